"""What becomes of a document under today's mappings and rules: a voucher, or why there is none and what it waits for.

The order of the questions is part of the contract: status in Zuora, posting rule, external, cutover, account, whether
it adds up, all other mappings, zero amount.
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import date

from schemas.audit import Gap
from schemas.base import DocumentType, Status, record_id
from schemas.mappings import ALL_COMPANIES
from streams.accounting import keys
from streams.accounting.chart import NOBODYS, Chart, CompanyTerms, Mapped, Rule, posting_rule
from streams.accounting.documents import GONE
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.postings import DoesNotAddUpError, Postings, postings_of
from streams.accounting.translation import Resolver, balances_of
from streams.accounting.voucher import Voucher, rest_row, shortened

NOTHING_WAITED_FOR: frozenset[str] = frozenset()
ZERO_AMOUNT = "zero amount"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a document comes to; a voucher where the outcome is READY, and only there."""

    outcome: Status
    reason: str | None = None
    missing: tuple[Gap, ...] = ()
    waits_for: frozenset[str] = NOTHING_WAITED_FOR
    """Every key whose change could alter the outcome, where it is MAPPING_MISSING or CAPTURED."""
    company: str | None = None
    voucher: Voucher | None = None
    warning: str | None = None
    """A line for the record's history."""


def evaluate(
    document: LedgerDocument, chart: Chart, *, voucher_date: date | None = None, posted: Container[str] = ()
) -> Evaluation:
    """Return what becomes of a document.

    `voucher_date` moves the voucher, not its rate. `posted` holds the ids of the records that are posted: a refund of
    a payment follows that payment.
    """
    if not document.posts or document.dated is None:
        return Evaluation(Status.NOT_POSTED, _status_reason(document))
    account_key = keys.account_key(document.account_id)
    account = chart.mapped(account_key)
    company = account.company if account else None
    rule_key, rule = posting_rule(chart, document.document_type, company)
    terms = chart.company(keys.company_key(company)) if company else None
    waits_for = _decided_by(document, company)
    reason = _captured(document, rule, posted) or _before_cutover(document.dated, terms)
    if reason:
        return Evaluation(Status.CAPTURED, reason, waits_for=waits_for, company=company)
    if account is None or company is None:
        gap = Gap(kind="account", key=document.account_id)
        return Evaluation(Status.MAPPING_MISSING, missing=(gap,), waits_for=waits_for)
    try:
        postings = postings_of(document)
    except DoesNotAddUpError as error:
        return Evaluation(Status.FAILED, str(error), company=company)
    resolver = Resolver(chart, document, account, company, rule.contra_account)
    resolver.versions.update(versions_of((account_key, account), (rule_key, rule), (keys.company_key(company), terms)))
    return evaluate_postings(postings, resolver, terms, voucher_date or document.dated, waits_for)


def evaluate_postings(
    postings: Postings, resolver: Resolver, terms: CompanyTerms | None, voucher_date: date, waits_for: frozenset[str]
) -> Evaluation:
    """Return the voucher of some postings, the list of gaps that keep it back, or that it comes to nothing."""
    document, company = resolver.document, resolver.company
    balances = balances_of(postings, resolver)
    if resolver.gaps:
        missing = tuple(resolver.gaps)
        return Evaluation(
            Status.MAPPING_MISSING, missing=missing, waits_for=waits_for | resolver.waits_for, company=company
        )
    if not balances:
        return Evaluation(Status.NOT_POSTED, ZERO_AMOUNT, company=company)
    terms = terms or CompanyTerms(NOBODYS)
    voucher = Voucher(
        company=company,
        voucher_type=terms.voucher_type,
        user_group=terms.user_group,
        currency_type=terms.currency_type,
        voucher_date=voucher_date,
        rate_date=document.dated or voucher_date,
        text=shortened(
            f"{document.document_type.value} {document.number}"
            f" {document.account_number or document.account_id} {document.account_name}"
        ),
        currency=document.currency,
        rows=tuple(balance.row(document.number) for balance in balances),
        rest_row=rest_row(balances),
        versions=resolver.versions,
    )
    return Evaluation(Status.READY, company=company, voucher=voucher, warning=_warning(document))


def _status_reason(document: LedgerDocument) -> str:
    return GONE if document.zuora_status == GONE else f"{document.zuora_status or 'no status'} in Zuora"


def _decided_by(document: LedgerDocument, company: str | None) -> frozenset[str]:
    """Return the keys that decide whether the document posts at all, and in which company."""
    decided = {keys.account_key(document.account_id), keys.rule_key(ALL_COMPANIES, document.document_type)}
    if company:
        decided |= {keys.rule_key(company, document.document_type), keys.company_key(company)}
    if document.payment_id:
        decided.add(payment_key(document))
    return frozenset(decided)


def payment_record(document: LedgerDocument) -> str:
    """Return the record id of the payment that a refund pays back."""
    return record_id(DocumentType.PAYMENT, document.payment_id)


def payment_key(document: LedgerDocument) -> str:
    """Return the key under which a refund waits for its payment."""
    return keys.record_key(payment_record(document))


def _captured(document: LedgerDocument, rule: Rule, posted: Container[str]) -> str | None:
    """Return why the posting rule keeps a document from posting, or None."""
    if not rule.post:
        return f"its posting rule does not post documents of type {document.document_type.value}"
    if document.payment_id:
        return None if payment_record(document) in posted else "its payment is not posted"
    if document.document_type in (DocumentType.PAYMENT, DocumentType.REFUND) and document.zuora_type != "Electronic":
        return None if rule.external else f"{document.zuora_type or 'not Electronic'}: its posting rule leaves it out"
    return None


def _before_cutover(dated: date, terms: CompanyTerms | None) -> str | None:
    if terms and terms.cutover and dated < terms.cutover:
        return f"dated before the cutover on {terms.cutover.isoformat()}"
    return None


def versions_of(*entries: tuple[str, Mapped | Rule | CompanyTerms | None]) -> dict[str, int]:
    """Return the versions of what somebody set."""
    return {key: entry.version for key, entry in entries if entry and entry.version != NOBODYS}


def _warning(document: LedgerDocument) -> str | None:
    if not document.elsewhere:
        return None
    share = f"{document.elsewhere:f} {document.currency}"
    return f"{share} is applied to another account's documents and stays on unapplied cash"

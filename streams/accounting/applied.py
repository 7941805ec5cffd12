"""A payment's change of U: what was applied, unapplied or paid back since, as a voucher of the difference."""

from datetime import date
from decimal import Decimal

from schemas.audit import Gap
from schemas.base import Status
from streams.accounting import keys
from streams.accounting.chart import Chart
from streams.accounting.evaluation import Evaluation, evaluate_postings, versions_of
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.postings import applied_postings
from streams.accounting.translation import Resolver


def evaluate_applied(
    document: LedgerDocument, chart: Chart, *, booked: Decimal, company: str, voucher_date: date | None = None
) -> Evaluation:
    """Return the voucher that takes a posted payment's U from what is `booked` to what the document says.

    Posting rules and cutover are not asked again: the payment is posted in `company`. Dated as the parts were changed;
    the rate stays that of the payment's own date. CHANGED_AFTER_POSTING where its account has moved to another company
    since, which a person must put right. The reference is `applied_reference`.

    Raises:
        ValueError: the document does not post.

    """
    dated = voucher_date or document.applied_on or document.dated
    if not document.posts or dated is None:
        raise ValueError(f"{document.record_id} does not post: nothing of it can be applied")
    account_key = keys.account_key(document.account_id)
    account = chart.mapped(account_key)
    waits_for = frozenset({account_key})
    if account is None:
        gap = Gap(kind="account", key=document.account_id)
        return Evaluation(Status.MAPPING_MISSING, missing=(gap,), waits_for=waits_for, company=company)
    if account.company != company:
        reason = f"account moved from company {company} to {account.company}"
        return Evaluation(Status.CHANGED_AFTER_POSTING, reason, company=company)
    company_key = keys.company_key(company)
    terms = chart.company(company_key)
    resolver = Resolver(chart, document, account, company)
    resolver.versions.update(versions_of((account_key, account), (company_key, terms)))
    return evaluate_postings(applied_postings(document, booked), resolver, terms, dated, waits_for)

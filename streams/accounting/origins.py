"""Why an amount stands on a row of a voucher: which part of the document brought it there, by which mappings."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from schemas.vouchers import VoucherRow
from streams.accounting import keys
from streams.accounting.chart import Chart, posting_rule
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.money import ZERO
from streams.accounting.postings import Posting, Postings
from streams.accounting.translation import Resolver
from streams.accounting.voucher import Account, Role, account_of


@dataclass(frozen=True, slots=True)
class Origin:
    """A part of a row: what of the document it is, its amount (debit positive), and the keys that led it there."""

    role: Role
    label: str
    amount: Decimal
    keys: tuple[str, ...]
    """Of mappings and rules, the deciding one first; empty for a rest of rounding that the row took."""


def origins(
    document: LedgerDocument, postings: Postings, chart: Chart, rows: Sequence[VoucherRow]
) -> list[tuple[Origin, ...]]:
    """Return, for each of a voucher's rows, where its amount comes from.

    A row that nothing of the document leads to has no origin.
    """
    by_account = _by_account(document, postings, chart)
    return [_of_row(row, by_account.get(account_of(row.account, row.code_parts), [])) for row in rows]


def _by_account(document: LedgerDocument, postings: Postings, chart: Chart) -> dict[Account, list[Origin]]:
    account = chart.mapped(keys.account_key(document.account_id))
    found: dict[Account, list[Origin]] = {}
    if account is None or account.company is None:
        return found
    rule_key, rule = posting_rule(chart, document.document_type, account.company)
    for posting in postings.parts:
        # A resolver for each posting, so that what it used is what this posting used.
        resolver = Resolver(chart, document, account, account.company, rule.contra_account)
        place = resolver.account_of(posting)
        if place is not None:
            origin = Origin(posting.role, posting.label, posting.amount, _keys(posting, resolver, rule_key))
            found.setdefault(place, []).append(origin)
    return found


def _keys(posting: Posting, resolver: Resolver, rule_key: str) -> tuple[str, ...]:
    account_key = keys.account_key(resolver.document.account_id)
    if posting.role is Role.RECEIVABLE:
        return (account_key,)
    if posting.role is not Role.REVENUE:
        return tuple(resolver.versions)
    deciding = [rule_key] if resolver.contra_account else list(resolver.versions)
    filled = {part for key in resolver.versions if (one := resolver.chart.mapped(key)) for part in one.code_parts}
    borrows = resolver.account.code_parts.keys() - filled
    return (*deciding, account_key) if borrows else tuple(deciding)


def _of_row(row: VoucherRow, found: list[Origin]) -> tuple[Origin, ...]:
    rest = (row.debit or ZERO) - (row.credit or ZERO) - sum((one.amount for one in found), ZERO)
    if found and rest:
        found = [*found, Origin(found[0].role, "rest of rounding", rest, ())]
    return tuple(found)

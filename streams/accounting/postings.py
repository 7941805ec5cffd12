"""What a document posts, before anything is mapped: signed amounts, debit positive, and what each is mapped by."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from schemas.base import DocumentType
from schemas.mappings import NONE_VALUE
from streams.accounting.ledger_document import ROUNDING, LedgerDocument, Line, ProductKeys, lines_by_mapping, taxes_of
from streams.accounting.money import ZERO, minor_unit, rounded
from streams.accounting.voucher import Role

MINOR_UNITS_MAX = 10
"""A difference between items and header beyond this many minor units is never one of rounding."""

NO_KEYS: ProductKeys = (("accounting_code", NONE_VALUE),)
"""What an item with none of the four product keys is mapped by."""


class Posting(NamedTuple):
    """One amount that has to find its account; debit is positive."""

    role: Role
    amount: Decimal
    label: str = ""
    """What the row's text names: an account, a product, a tax code."""
    keys: ProductKeys = ()
    """For revenue: what its mapping may match, most specific first."""
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class Postings:
    """All that a document posts; they add up to zero together with `tax_rest`."""

    lead: Role
    """The role of the document's own amount, whose row comes first."""
    parts: tuple[Posting, ...]
    tax_rest: Decimal = ZERO
    """What goes to the largest tax row on top, so that tax is what the header says; debit is positive."""


class DoesNotAddUpError(ValueError):
    """Items and header differ by more than rounding explains; the message has both figures."""


def postings_of(document: LedgerDocument) -> Postings:
    """Return what a document posts.

    Raises:
        DoesNotAddUpError: its items differ from its amount by more than rounding explains.

    """
    match document.document_type:
        case DocumentType.PAYMENT:
            return _payment(document)
        case DocumentType.REFUND:
            return _exchange(Role.RECEIVABLE, Role.CASH, document, document.amount)
        case DocumentType.CREDIT_MEMO:
            return _billing(document, -1)
        case DocumentType.ADJUSTMENT:
            return _billing(document, 1 if document.zuora_type == "Charge" else -1)
    return _billing(document, 1)


def applied_postings(document: LedgerDocument, booked: Decimal) -> Postings:
    """Return what a payment posts when its U is no longer what was booked: from unapplied to receivable, or back."""
    return _exchange(Role.RECEIVABLE, Role.UNAPPLIED, document, document.unapplied - booked)


def _exchange(debit: Role, credit: Role, document: LedgerDocument, amount: Decimal) -> Postings:
    return Postings(debit, _without_zeros(document, (debit, amount), (credit, -amount)))


def _without_zeros(document: LedgerDocument, *amounts: tuple[Role, Decimal]) -> tuple[Posting, ...]:
    return tuple(Posting(role, amount, label_of(document, role)) for role, amount in amounts if amount)


def _payment(document: LedgerDocument) -> Postings:
    parts = _without_zeros(
        document,
        (Role.CASH, document.amount),
        (Role.UNAPPLIED, -document.unapplied),
        (Role.RECEIVABLE, document.unapplied - document.amount),
    )
    return Postings(Role.CASH, parts)


def label_of(document: LedgerDocument, role: Role) -> str:
    """Return what the text of a row of this role names, where it is the same for the whole document."""
    if role is Role.RECEIVABLE:
        return f"{document.account_number or document.account_id} {document.account_name}"
    return document.gateway if role is Role.CASH else ""


def _billing(document: LedgerDocument, sign: int) -> Postings:
    """Return the postings of a document with items; `sign` is 1 where the receivable is debited."""
    unit = minor_unit(document.currency)
    lines = lines_by_mapping(document.lines)
    revenue = [_revenue(line, rounded(line.net, unit), sign) for line in lines if line.processing_type != ROUNDING]
    taxes = [Posting(Role.TAX, -sign * rounded(tax, unit), code) for code, tax in taxes_of(lines)]
    parts = [posting for posting in (*revenue, *taxes) if posting.amount]
    rounding = -sign * sum([rounded(line.net, unit) for line in lines if line.processing_type == ROUNDING], ZERO)
    difference = sum([posting.amount for posting in parts], rounding) + sign * document.amount
    items = sum([line.items for line in lines])
    tax_rest = _tax_rest(document, taxes, sign, unit * max(items, MINOR_UNITS_MAX)) if difference else ZERO
    difference += tax_rest
    _check(document, difference, items, unit, sign)
    if rounding != difference:
        parts.append(Posting(Role.ROUNDING, rounding - difference))
    if document.amount:
        label = label_of(document, Role.RECEIVABLE)
        parts.insert(0, Posting(Role.RECEIVABLE, sign * document.amount, label))
    return Postings(Role.RECEIVABLE, tuple(parts), tax_rest)


def _revenue(line: Line, net: Decimal, sign: int) -> Posting:
    keys = line.keys or NO_KEYS
    return Posting(Role.REVENUE, -sign * net, keys[0][1], keys, line.deferred)


def _tax_rest(document: LedgerDocument, taxes: list[Posting], sign: int, most: Decimal) -> Decimal:
    """Return what tax lacks against the header; nothing where the header names none or there is no tax row.

    Beyond `most` it is no rest of rounding but tax that no item names: what then does not add up is not posted. Ten
    minor units may be meant by one item of many taxes, and one for each item where Zuora rounds them one by one.
    """
    if document.header_tax is None or not any(posting.amount for posting in taxes):
        return ZERO
    rest = -sign * document.header_tax - sum((posting.amount for posting in taxes), ZERO)
    return rest if abs(rest) <= most else ZERO


def _check(document: LedgerDocument, difference: Decimal, items: int, unit: Decimal, sign: int) -> None:
    if abs(difference) > unit * min(items, MINOR_UNITS_MAX):
        added = document.amount - sign * difference
        raise DoesNotAddUpError(f"does not add up: items {added:f}, document {document.amount:f} {document.currency}")

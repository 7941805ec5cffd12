"""The words and signs of the pages: what accountants read instead of codes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from schemas.audit import Gap
from schemas.base import DocumentType, Status
from schemas.errors import UnreadableError
from schemas.vouchers import VoucherNumber
from streams.accounting.money import decimals
from streams.views.summary import StatusTotal

STATUS_WORDS = {
    Status.RECEIVED: "Received",
    Status.FETCHED: "Fetched",
    Status.READY: "Ready to post",
    Status.POSTING: "Posting",
    Status.POSTED: "Posted",
    Status.MAPPING_MISSING: "Mapping missing",
    Status.UNCERTAIN: "Uncertain",
    Status.CAPTURED: "Captured only",
    Status.NOT_POSTED: "Not posted",
    Status.REJECTED: "Rejected by IFS",
    Status.FAILED: "Failed",
    Status.CHANGED_AFTER_POSTING: "Changed after posting",
    Status.CORRECTED: "Corrected",
    Status.SETTLED_BY_HAND: "Settled by hand",
}
TYPE_WORDS = {
    DocumentType.INVOICE: "Invoice",
    DocumentType.PAYMENT: "Payment",
    DocumentType.REFUND: "Refund",
    DocumentType.CREDIT_MEMO: "Credit memo",
    DocumentType.DEBIT_MEMO: "Debit memo",
    DocumentType.ADJUSTMENT: "Adjustment",
}
GAP_WORDS = {
    "account": "Customer account",
    "product": "Product",
    "tax": "Tax code",
    "cash": "Cash account",
    "unapplied": "Unapplied cash",
    "rounding": "Rounding difference",
}
MATCH_WORDS = {
    "sku": "SKU",
    "product_name": "product name",
    "charge_type": "charge type",
    "accounting_code": "accounting code",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Statuses that mean the same to whoever looks for work to do; the tone is a class of the style sheet."""

    name: str
    tone: str
    statuses: tuple[Status, ...]


GROUPS = (
    Group(
        "Needs attention",
        "wait",
        (Status.MAPPING_MISSING, Status.REJECTED, Status.FAILED, Status.CHANGED_AFTER_POSTING, Status.UNCERTAIN),
    ),
    Group("On its way", "move", (Status.RECEIVED, Status.FETCHED, Status.READY, Status.POSTING)),
    Group("In the ledger", "good", (Status.POSTED, Status.CORRECTED, Status.SETTLED_BY_HAND)),
    Group("Not for the ledger", "quiet", (Status.CAPTURED, Status.NOT_POSTED)),
)
ALWAYS_SHOWN = (Status.MAPPING_MISSING, Status.POSTED)
_TONES = {status: group.tone for group in GROUPS for status in group.statuses} | {
    Status.REJECTED: "bad",
    Status.FAILED: "bad",
}


@dataclass(frozen=True, slots=True)
class Share:
    """A group's part of all records, for the bar: where it begins and how wide it is, of 1000."""

    group: Group
    records: int
    start: float
    width: float


def shares(totals: Iterable[StatusTotal]) -> list[Share]:
    """Return each group's part of all records, in the order of the groups."""
    by_status = {total.status: total.records for total in totals}
    whole = sum(by_status.values())
    found: list[Share] = []
    start = 0.0
    for group in GROUPS:
        records = sum(by_status.get(status, 0) for status in group.statuses)
        width = 1000 * records / whole if whole else 0.0
        found.append(Share(group, records, round(start, 2), round(width, 2)))
        start += width
    return found


def tone(status: Status) -> str:
    """Return the class of the style sheet for a status."""
    return _TONES[status]


def amount(value: Decimal | None, currency: str | None) -> str:
    """Return an amount with its currency's decimals, thousands set apart by narrow spaces that do not break.

    What has more decimals than its currency is shown as it is: a page rounds nothing.
    """
    if value is None:
        return ""
    return f"{value:,.{_places(value, currency)}f}".replace(",", "\u202f").replace("-", "\u2212")


def _places(value: Decimal, currency: str | None) -> int:
    exponent = value.as_tuple().exponent
    own = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    try:
        return max(own, decimals(currency or ""))
    except UnreadableError:
        return own


def number(value: int) -> str:
    """Return a count with thousands set apart."""
    return f"{value:,}".replace(",", "\u202f")


def moment(value: datetime) -> str:
    """Return a time to the second, in UTC."""
    return f"{value:%Y-%m-%d %H:%M:%S}"


def gap_value(gap: Gap) -> str:
    """Return what a missing mapping is about: the value to be filled in."""
    if gap.kind == "cash":
        return f"{gap.currency}" + (f", gateway {gap.gateway}" if gap.gateway else "")
    if gap.kind == "product":
        return f"{MATCH_WORDS[gap.match_on or 'accounting_code']} {gap.key}"
    return gap.key or ""


def gap_text(gap: Gap) -> str:
    """Return a missing mapping in one line."""
    company = f" (company {gap.company})" if gap.company else ""
    return " ".join(filter(None, [GAP_WORDS[gap.kind], gap_value(gap)])) + company


def voucher_text(voucher: VoucherNumber | None) -> str:
    """Return a voucher's number as IFS people write it: type, number, year."""
    return f"{voucher.voucher_type} {voucher.voucher_no} / {voucher.accounting_year}" if voucher else ""

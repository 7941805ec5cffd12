"""Reads a captured document: Zuora's names of its fields, per type of document, and what they mean to the ledger."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from schemas.base import DocumentType
from schemas.errors import UnreadableError
from schemas.notifications import DocumentCaptured
from schemas.personal import is_sealed
from streams.accounting.fields import Json, amount, day, part, parts, required_amount, text
from streams.accounting.fingerprint import fingerprint
from streams.accounting.items import adjustment_line, invoice_lines, memo_lines
from streams.accounting.ledger_document import LedgerDocument, Line, summarised
from streams.accounting.money import ZERO, minor_unit, one_currency, rounded

__all__ = ["GONE", "LedgerDocument", "Line", "read_document", "summarised"]

GONE = "gone from Zuora"
"""Stands for the status of a document that is no longer there."""


@dataclass(frozen=True, slots=True)
class Names:
    """What Zuora calls the fields of a type of document, and the status in which it posts."""

    posts_when: str
    dated: str
    number: str = "number"
    status: str = "status"
    amount: str = "amount"
    type: str = "type"


NAMES: Mapping[DocumentType, Names] = {
    DocumentType.INVOICE: Names("Posted", "invoiceDate", number="invoiceNumber"),
    DocumentType.PAYMENT: Names("Processed", "effectiveDate"),
    DocumentType.REFUND: Names("Processed", "refundDate"),
    DocumentType.CREDIT_MEMO: Names("Posted", "creditMemoDate"),
    DocumentType.DEBIT_MEMO: Names("Posted", "debitMemoDate"),
    DocumentType.ADJUSTMENT: Names("Processed", "AdjustmentDate", "AdjustmentNumber", "Status", "Amount", "Type"),
}

TYPED = frozenset({DocumentType.PAYMENT, DocumentType.REFUND, DocumentType.ADJUSTMENT})
"""Documents whose `type` decides how they post; that of others is not for the ledger."""

ABOUT: Mapping[DocumentType, tuple[str, ...]] = {
    DocumentType.REFUND: ("payment", "creditMemo"),
    DocumentType.ADJUSTMENT: ("invoice",),
}
"""What is captured with a document that does not name its own currency."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the rest of a document is read against."""

    account_id: str
    dated: date
    amount: Decimal
    unit: Decimal


def read_document(captured: DocumentCaptured) -> LedgerDocument:
    """Return what the ledger needs of a captured document, with its fingerprint.

    Raises:
        UnreadableError: a field that the ledger needs is missing or wrong; the message names it, never its content.

    """
    document = _whole(captured) if _posts(captured) else _unposted(captured)
    # The document is new and nobody else's yet: a copy of its 21 fields would cost more than its fingerprint.
    object.__setattr__(document, "fingerprint", fingerprint(document))
    return document


def _posts(captured: DocumentCaptured) -> bool:
    names = NAMES[captured.document_type]
    return not captured.gone and text(captured.document, names.status) == names.posts_when


def _unposted(captured: DocumentCaptured) -> LedgerDocument:
    """Read what does not post leniently: a draft need not be complete, and one that is gone has no fields at all."""
    names, source = NAMES[captured.document_type], captured.document
    return LedgerDocument(
        **_heading(captured),
        zuora_status=GONE if captured.gone else text(source, names.status),
        posts=False,
        currency=text(source, "currency") or captured.currency or "",
        dated=day(source, names.dated),
        amount=amount(source, names.amount) or amount({"amount": captured.amount}, "amount") or ZERO,
    )


def _heading(captured: DocumentCaptured) -> dict[str, Any]:
    """Return what is read alike of every document."""
    names, source = NAMES[captured.document_type], captured.document
    return {
        "record_id": captured.record_id,
        "document_type": captured.document_type,
        "document_id": captured.document_id,
        "number": text(source, names.number) or captured.document_number or "",
        "account_id": captured.account_id,
        "account_number": captured.account_number or "",
        # A ledger keeps its texts for ten years: a name that can be erased elsewhere is not written into them.
        "account_name": "" if is_sealed(captured.account_name) else captured.account_name or "",
        "zuora_type": text(source, names.type) if captured.document_type in TYPED else "",
    }


def _whole(captured: DocumentCaptured) -> LedgerDocument:
    names, source = NAMES[captured.document_type], captured.document
    dated = day(source, names.dated)
    if dated is None:
        raise UnreadableError(f"{names.dated}: missing")
    currency = _currency(captured)
    unit = minor_unit(currency)
    amount_due = rounded(required_amount(source, names.amount), unit)
    return LedgerDocument(
        **_heading(captured),
        **_READERS[captured.document_type](source, Header(captured.account_id, dated, amount_due, unit)),
        zuora_status=names.posts_when,
        posts=True,
        currency=currency,
        dated=dated,
        amount=amount_due,
    )


def _currency(captured: DocumentCaptured) -> str:
    """Return the document's currency; refunds and adjustments have it from what they are about."""
    source = captured.document
    about = (part(source, name) for name in ABOUT.get(captured.document_type, ()))
    currency = one_currency(text(source, "currency"), *(text(other, "currency") for other in about))
    currency = currency or captured.currency or ""
    if not currency:
        raise UnreadableError("currency: missing")
    return currency


def _invoice(source: Json, header: Header) -> dict[str, Any]:
    return {"lines": invoice_lines(source), "header_tax": _header_tax(source, header.unit)}


def _memo(source: Json, header: Header) -> dict[str, Any]:
    return {"lines": memo_lines(source), "header_tax": _header_tax(source, header.unit)}


def _header_tax(source: Json, unit: Decimal) -> Decimal | None:
    tax = amount(source, "taxAmount")
    return None if tax is None else rounded(tax, unit)


def _payment(source: Json, header: Header) -> dict[str, Any]:
    shares = parts(source, "parts")
    elsewhere = rounded(_elsewhere(shares, header.account_id), header.unit)
    own = (amount(source, "unappliedAmount") or ZERO) + (amount(source, "creditBalanceAmount") or ZERO)
    return {
        "unapplied": rounded(own, header.unit) + elsewhere,
        "elsewhere": elsewhere,
        "applied_on": _last_update(shares) or day(source, "updatedDate") or header.dated,
        "gateway": text(source, "gatewayId"),
    }


def _elsewhere(shares: list[Json], account_id: str) -> Decimal:
    """Return how much is applied to documents of another account."""
    owners = ((share, text(share, "billingDocumentOwnerId")) for share in shares)
    foreign = (amount(share, "amount", "parts.") or ZERO for share, owner in owners if owner not in ("", account_id))
    return sum(foreign, ZERO)


def _last_update(shares: list[Json]) -> date | None:
    return max((updated for share in shares if (updated := day(share, "updatedDate", "parts."))), default=None)


def _refund(source: Json, header: Header) -> dict[str, Any]:  # noqa: ARG001 - as all readers
    payment, memo = part(source, "payment"), part(source, "creditMemo")
    payment_id = text(source, "paymentId") or text(payment, "id")
    return {
        "gateway": text(source, "gatewayId") or text(payment, "gatewayId"),
        "payment_id": payment_id,
        "memo_id": "" if payment_id else text(source, "creditMemoId") or text(memo, "id"),
    }


def _adjustment(source: Json, header: Header) -> dict[str, Any]:
    if text(source, "Type") not in ("Charge", "Credit"):
        raise UnreadableError("Type: neither Charge nor Credit")
    return {"lines": (adjustment_line(source, header.amount),)}


_READERS: Mapping[DocumentType, Callable[[Json, Header], dict[str, Any]]] = {
    DocumentType.INVOICE: _invoice,
    DocumentType.PAYMENT: _payment,
    DocumentType.REFUND: _refund,
    DocumentType.CREDIT_MEMO: _memo,
    DocumentType.DEBIT_MEMO: _memo,
    DocumentType.ADJUSTMENT: _adjustment,
}
"""What is read of a type of document beyond its heading."""

"""Documents other than invoices and payments, as the collector captures them: refunds, memos, adjustments."""

from decimal import Decimal
from typing import Any

from schemas.base import DocumentType
from schemas.mappings import PostingRuleSet
from schemas.notifications import DocumentCaptured
from tests.support.bookkeeping import card_payment
from tests.support.ledger import NOW


def posting(document_type: DocumentType, *, post: bool = True, external: bool = False) -> PostingRuleSet:
    """Set for all companies whether documents of a type are posted."""
    return PostingRuleSet(company="*", document_type=document_type, post=post, external=external, actor="eva", at=NOW)


def refund(amount: str, *, status: str = "Processed", account_id: str = "A") -> DocumentCaptured:
    """A chargeback of payment pay-1."""
    about = {"paymentId": "pay-1", "payment": card_payment("0").document}
    return _refund("ref-1", amount, {"type": "External", **about}, status=status, account_id=account_id)


def memo_refund(amount: str, *, status: str = "Processed") -> DocumentCaptured:
    """A refund of credit memo cm-1."""
    about = {"creditMemoId": "cm-1", "creditMemo": {"id": "cm-1", "currency": "EUR"}}
    return _refund("ref-2", amount, {"type": "Electronic", **about}, status=status, account_id="A")


def _refund(name: str, amount: str, about: dict[str, Any], *, status: str, account_id: str) -> DocumentCaptured:
    document = {"refundDate": "2026-03-20", "gatewayId": None, "parts": [], **about}
    return _captured(DocumentType.REFUND, name, amount, document, status=status, account_id=account_id)


def memo(document_type: DocumentType, amount: str, *, status: str = "Posted", applied: str = "0") -> DocumentCaptured:
    """A credit or debit memo of one item; `applied` of it is applied to an invoice, which the ledger does not book."""
    name = "cm-1" if document_type is DocumentType.CREDIT_MEMO else "dm-1"
    dated = "creditMemoDate" if document_type is DocumentType.CREDIT_MEMO else "debitMemoDate"
    item = {"id": f"item-{name}", "amountWithoutTax": amount, "sku": "ANL", "taxAmount": "0", "appliedAmount": applied}
    document = {dated: "2026-03-10", "appliedAmount": applied, "taxAmount": "0", "items": [item]}
    return _captured(document_type, name, amount, document, status=status, account_id="A")


def adjustment(amount: str, kind: str, *, status: str = "Processed") -> DocumentCaptured:
    """An adjustment of an invoice's item, `Charge` or `Credit`."""
    document = {
        "Id": "adj-1",
        "AdjustmentNumber": "IIA-1",
        "AccountId": "A",
        "Type": kind,
        "Status": status,
        "Amount": amount,
        "AdjustmentDate": "2026-03-12",
        "SourceType": "InvoiceDetail",
        "SourceId": "item-1",
        "AccountingCode": "3010",
        "invoice": {"id": "inv-1", "currency": "EUR"},
    }
    return _captured(DocumentType.ADJUSTMENT, "adj-1", amount, document, status=status, account_id="A")


def _captured(
    document_type: DocumentType, name: str, amount: str, document: dict[str, Any], *, status: str, account_id: str
) -> DocumentCaptured:
    heading = {"id": name, "number": name.upper(), "accountId": account_id, "status": status, "amount": amount}
    return DocumentCaptured(
        record_id=f"{document_type.value}:{name}",
        document_type=document_type,
        document_id=name,
        document_number=name.upper(),
        account_id=account_id,
        currency="EUR",
        amount=Decimal(amount),
        received_at=NOW,
        fetched_at=NOW,
        document={**heading, "currency": "EUR", **document},
    )

"""Company 10 with its chart, and short words for Zuora's documents, so that a test fits on one screen.

Own currency EUR. Account A1 is mapped to 1510, cost centre 100. Rows are written `1510/100 Dr 119.00`: account, cost
centre, side, amount in the document's currency.
"""

from datetime import UTC, date, datetime
from typing import Any

from schemas.base import DocumentType, Model
from schemas.mappings import (
    AccountMappingRemoved,
    AccountMappingSet,
    ChartRuleRemoved,
    ChartRuleSet,
    CompanySet,
    PostingRuleRemoved,
    PostingRuleSet,
)
from schemas.notifications import DocumentCaptured
from schemas.vouchers import VoucherRow
from streams.accounting.chart import DictChart
from streams.accounting.documents import LedgerDocument, read_document
from streams.accounting.evaluation import Evaluation, evaluate

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
CHANGE: dict[str, Any] = {"actor": "eva", "at": NOW}
ALL_POSTED = frozenset({"Payment:P1"})


def account(account_id: str = "A1", company: str = "10", to: str = "1510/100") -> AccountMappingSet:
    gl_account, code_parts = _split(to)
    return AccountMappingSet(
        **CHANGE, account_id=account_id, company=company, gl_account=gl_account, code_parts=code_parts
    )


def no_account(account_id: str = "A1") -> AccountMappingRemoved:
    return AccountMappingRemoved(**CHANGE, account_id=account_id)


def product(value: str, to: str, match_on: str = "sku", deferred: str | None = None) -> ChartRuleSet:
    return _chart_rule("product", to, match_on=match_on, match_value=value, deferred_account=deferred)


def tax(code: str, to: str) -> ChartRuleSet:
    return _chart_rule("tax", to, match_value=code)


def cash(currency: str, to: str, gateway: str | None = None) -> ChartRuleSet:
    return _chart_rule("cash", to, currency=currency, gateway=gateway)


def unapplied(to: str) -> ChartRuleSet:
    return _chart_rule("unapplied", to)


def rounding(to: str) -> ChartRuleSet:
    return _chart_rule("rounding", to)


def without(kind: str, value: str | None = None, match_on: str | None = None) -> ChartRuleRemoved:
    return ChartRuleRemoved(**CHANGE, company="10", kind=kind, match_value=value, match_on=match_on)


def rule(document_type: str, post: bool = True, company: str = "10", **options: Any) -> PostingRuleSet:  # noqa: FBT001, FBT002
    return PostingRuleSet(**CHANGE, company=company, document_type=DocumentType(document_type), post=post, **options)


def no_rule(document_type: str, company: str = "10") -> PostingRuleRemoved:
    return PostingRuleRemoved(**CHANGE, company=company, document_type=DocumentType(document_type))


def company(**terms: Any) -> CompanySet:
    return CompanySet(**CHANGE, company="10", **terms)


def _chart_rule(kind: str, to: str, **key: Any) -> ChartRuleSet:
    gl_account, code_parts = _split(to)
    return ChartRuleSet(**CHANGE, company="10", kind=kind, gl_account=gl_account, code_parts=code_parts, **key)


def _split(to: str) -> tuple[str, dict[Any, str]]:
    gl_account, _, cost_centre = to.partition("/")
    return gl_account, {"B": cost_centre} if cost_centre else {}


MAPPINGS: tuple[Model, ...] = (
    account(),
    product("ANL", "3010"),
    product("SVC", "3020/200"),
    product("DISC", "3090"),
    product("6351 Bad debt", "6351", "accounting_code"),
    tax("VAT25", "2610"),
    tax("VAT19", "2611"),
    tax("CH", "2612"),
    cash("EUR", "1935", "GW1"),
    cash("EUR", "1930"),
    cash("USD", "1936"),
    unapplied("2420"),
    rounding("3740"),
)
RULES: tuple[Model, ...] = tuple(rule(document_type.value) for document_type in DocumentType)


def chart(*changes: Model) -> DictChart:
    """Return company 10's chart with all rules on, `external` no, after some changes."""
    return DictChart((*MAPPINGS, *RULES, *changes))


def item(sku: str = "", net: str = "0.00", **fields: Any) -> dict[str, Any]:
    """Return an item of an invoice; `VAT25="25.00"` is a taxation item of that tax code."""
    return {"sku": sku, "chargeAmount": net, "processingType": "Charge", **_with_taxes(fields)}


def memo_item(sku: str, net: str, amount: str | None = None, finance: Any = None, **fields: Any) -> dict[str, Any]:
    """Return an item of a memo; `amount` is gross where tax is included."""
    item = {"sku": sku, "amount": amount or net, "amountWithoutTax": net, "processingType": "Charge"}
    return {**item, "financeInformation": finance or {}, **_with_taxes(fields)}


def _with_taxes(fields: dict[str, Any]) -> dict[str, Any]:
    codes = [name for name in fields if name in ("VAT25", "VAT19", "CH")]
    listed = [
        {"id": f"{code}-{number}", "taxCode": code, "taxAmount": tax}
        for code in codes
        for number, tax in enumerate(fields[code].split(" + "))
    ]
    plain = {name: value for name, value in fields.items() if name not in codes}
    return {**plain, "taxationItems": {"data": listed}} if listed else plain


def captured(document_type: str, document: dict[str, Any], account_id: str = "A1", **more: Any) -> DocumentCaptured:
    """Return a document as the collector records it."""
    document_id = str(document.get("id") or document.get("Id"))
    return DocumentCaptured(
        record_id=f"{document_type}:{document_id}",
        document_type=DocumentType(document_type),
        document_id=document_id,
        account_id=account_id,
        account_number="A00000123",
        account_name="Nordic Example AB",
        received_at=NOW,
        fetched_at=NOW,
        document=document,
        **more,
    )


def _numbered(items: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    return [{"id": f"item-{number}", **item} for number, item in enumerate(items)]


def invoice(amount: str, *items: dict[str, Any], **fields: Any) -> DocumentCaptured:
    header = {"id": "I1", "invoiceNumber": "INV1", "status": "Posted", "invoiceDate": "2026-03-01", "currency": "EUR"}
    return captured("Invoice", {**header, "amount": amount, "items": _numbered(items), **fields})


def credit_memo(amount: str, *items: dict[str, Any], **fields: Any) -> DocumentCaptured:
    header = {"id": "C1", "number": "CM1", "status": "Posted", "creditMemoDate": "2026-03-15", "currency": "EUR"}
    return captured("CreditMemo", {**header, "amount": amount, "items": _numbered(items), **fields})


def debit_memo(amount: str, *items: dict[str, Any], **fields: Any) -> DocumentCaptured:
    header = {"id": "D1", "number": "DM1", "status": "Posted", "debitMemoDate": "2026-03-16", "currency": "EUR"}
    return captured("DebitMemo", {**header, "amount": amount, "items": _numbered(items), **fields})


def payment(amount: str, u: str = "0.00", parts: Any = (), account_id: str = "A1", **fields: Any) -> DocumentCaptured:
    header = {"id": "P1", "number": "P-1", "status": "Processed", "type": "Electronic", "effectiveDate": "2026-03-06"}
    money = {"amount": amount, "unappliedAmount": u, "currency": "EUR", "gatewayId": "GW1", "parts": list(parts)}
    return captured("Payment", {**header, **money, "updatedDate": "2026-03-06 11:02:55", **fields}, account_id)


def refund(amount: str, of: str = "payment", **fields: Any) -> DocumentCaptured:
    """Return a refund of the payment P1, or of the memo C1."""
    header = {"id": "R1", "number": "R-1", "status": "Processed", "type": "Electronic", "refundDate": "2026-03-20"}
    about: dict[str, Any] = {"creditMemoId": "C1", "creditMemo": {"id": "C1", "currency": "EUR"}}
    if of == "payment":
        about = {"paymentId": "P1", "payment": {"id": "P1", "currency": "EUR", "gatewayId": "GW1"}}
    return captured("Refund", {**header, "amount": amount, "gatewayId": None, **about, **fields})


def adjustment(amount: str, kind: str, **fields: Any) -> DocumentCaptured:
    header = {"Id": "J1", "AdjustmentNumber": "IIA-1", "Status": "Processed", "AdjustmentDate": "2026-03-18"}
    about = {
        "SourceType": "InvoiceDetail",
        "AccountingCode": "6351 Bad debt",
        "invoice": {"id": "I1", "currency": "EUR"},
    }
    return captured("Adjustment", {**header, "Type": kind, "Amount": amount, **about, **fields})


def result(document: DocumentCaptured, *changes: Model, posted: Any = ALL_POSTED, on: date | None = None) -> Evaluation:
    """Return what becomes of a document in company 10 after some changes of its chart."""
    return evaluate(read_document(document), chart(*changes), posted=posted, voucher_date=on)


def rows(document: DocumentCaptured, *changes: Model, posted: Any = ALL_POSTED) -> list[str]:
    """Return the rows that a document posts."""
    evaluation = result(document, *changes, posted=posted)
    assert evaluation.voucher, evaluation
    return [written(row) for row in evaluation.voucher.rows]


def written(row: VoucherRow) -> str:
    """Return a row as `1510/100 Dr 119.00`."""
    place = "/".join((row.account, *(value for _, value in sorted(row.code_parts.items()))))
    return f"{place} Dr {row.debit}" if row.debit is not None else f"{place} Cr {row.credit}"


def written_in_company_currency(row: VoucherRow) -> str:
    """Return a row with its amount in the company's currency, such as `2610 Cr 18.27`."""
    place = written(row).split(" ", maxsplit=1)[0]
    return f"{place} Dr {row.company_debit}" if row.debit is not None else f"{place} Cr {row.company_credit}"


def gaps(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return what is missing as a subscriber of the audit trail reads it."""
    return [gap.model_dump(mode="json", by_alias=True, exclude_none=True) for gap in evaluation.missing]


def read(document: DocumentCaptured) -> LedgerDocument:
    """Return a document as the ledger sees it."""
    return read_document(document)

"""Reads the items of invoices, memos and adjustments: net amount, tax per code, and what a mapping can match."""

from decimal import Decimal

from schemas.errors import UnreadableError
from schemas.mappings import NONE_VALUE, MatchOn
from streams.accounting.fields import Json, amount, part, parts, required_amount, text
from streams.accounting.ledger_document import TAX, Line, ProductKeys, Taxes
from streams.accounting.money import ZERO


def invoice_lines(document: Json) -> tuple[Line, ...]:
    """Return the lines of an invoice.

    Raises:
        UnreadableError: an item lacks what the ledger needs; the message names the field.

    """
    return tuple(_invoice_line(item, f"items[{index}].") for index, item in enumerate(_items(document)))


def memo_lines(document: Json) -> tuple[Line, ...]:
    """Return the lines of a credit or debit memo; one without impact on revenue matches on its write-off codes alone.

    Raises:
        UnreadableError: an item lacks what the ledger needs; the message names the field.

    """
    write_off = text(document, "revenueImpacting").lower() in ("no", "false")
    return tuple(_memo_line(item, f"items[{index}].", write_off) for index, item in enumerate(_items(document)))


def adjustment_line(document: Json, net: Decimal) -> Line:
    """Return an adjustment's one line: revenue by accounting code, or tax by the code of the item it adjusts.

    Raises:
        UnreadableError: a field is not of its type.

    """
    if text(document, "SourceType") == TAX:
        code = _tax_code(part(document, "invoice"), text(document, "SourceId"))
        return Line(ZERO, taxes=((code, net),), processing_type=TAX)
    return Line(net, _keys(("accounting_code", text(document, "AccountingCode"))))


def _items(document: Json) -> list[Json]:
    if document.get("items") is None:
        raise UnreadableError("items: missing")
    return parts(document, "items")


def _invoice_line(item: Json, where: str) -> Line:
    keys = _keys(
        ("sku", text(item, "sku", where)),
        ("product_name", text(item, "productName", where)),
        ("charge_type", text(item, "chargeType", where)),
        ("accounting_code", text(item, "accountingCode", where)),
    )
    net = required_amount(item, "chargeAmount", where)
    return _line(item, where, net, keys, deferred=bool(text(item, "deferredRevenueAccountingCode", where)))


def _memo_line(item: Json, where: str, write_off: bool) -> Line:  # noqa: FBT001 - one of two kinds of memo, in this module
    net = required_amount(item, "amountWithoutTax", where)
    finance = part(item, "financeInformation")
    if write_off:
        code = text(finance, "nonRevenueWriteOffAccountingCode", where)
        return _line(item, where, net, _keys(("accounting_code", code)), deferred=False)
    deferred = text(finance, "deferredRevenueAccountingCode", where)
    keys = _keys(
        ("sku", text(item, "sku", where)),
        ("product_name", text(item, "skuName", where)),
        ("accounting_code", deferred or text(finance, "recognizedRevenueAccountingCode", where)),
    )
    return _line(item, where, net, keys, deferred=bool(deferred))


def _line(item: Json, where: str, net: Decimal, keys: ProductKeys, *, deferred: bool) -> Line:
    processing_type = text(item, "processingType", where)
    taxes = _taxes(item, where)
    if processing_type == TAX:
        taxes = _added((*taxes, (text(item, "taxCode", where) or NONE_VALUE, net)))
        net, keys, deferred = ZERO, (), False
    return Line(net, keys, taxes, processing_type, deferred, id=text(item, "id", where))


def _taxes(item: Json, where: str) -> Taxes:
    """Return an item's tax per code, from its taxation items or, where it lists none, from its own amount."""
    own_code = text(item, "taxCode", where) or NONE_VALUE
    listed = parts(part(item, "taxationItems"), "data", f"{where}taxationItems.")
    if not listed:
        return _added(((own_code, amount(item, "taxAmount", where) or ZERO),))
    return _added(
        tuple(
            (text(entry, "taxCode", where) or own_code, amount(entry, "taxAmount", f"{where}taxationItems.") or ZERO)
            for entry in listed
        )
    )


def _added(taxes: Taxes) -> Taxes:
    if len(taxes) == 1:  # nearly always, and then without a dict
        return taxes if taxes[0][1] else ()
    sums: dict[str, Decimal] = {}
    for code, tax in taxes:
        sums[code] = sums.get(code, ZERO) + tax
    return tuple(sorted((code, tax) for code, tax in sums.items() if tax))


def _keys(*pairs: tuple[MatchOn, str]) -> ProductKeys:
    return tuple(pair for pair in pairs if pair[1])


def _tax_code(invoice: Json, taxation_item_id: str) -> str:
    for item in parts(invoice, "items", "invoice."):
        for entry in parts(part(item, "taxationItems"), "data", "invoice.items.taxationItems."):
            if text(entry, "id") == taxation_item_id:
                return text(entry, "taxCode") or text(item, "taxCode") or NONE_VALUE
    return NONE_VALUE

"""Reading Zuora's documents: what is refused, what is alike, and the short form in which held documents are kept."""

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest

from schemas.errors import UnreadableError
from schemas.notifications import DocumentCaptured
from streams.accounting.commands import check_command
from streams.accounting.documents import LedgerDocument, read_document, summarised
from streams.accounting.money import decimals
from tests.support.company_10 import (
    adjustment,
    captured,
    credit_memo,
    debit_memo,
    invoice,
    item,
    memo_item,
    payment,
    refund,
)
from tests.support.posting import command

DOCUMENTS = [
    invoice("125.00", item("ANL", "100.00", VAT25="25.00", deferredRevenueAccountingCode="D"), taxAmount="25.00"),
    payment("500.00", "100.00", [{"amount": "400.00", "billingDocumentOwnerId": "A2", "updatedDate": "2026-03-11"}]),
    refund("5.00"),
    refund("5.00", of="memo"),
    credit_memo("1.00", memo_item("ANL", "1.00")),
    debit_memo("1.00", memo_item("ANL", "1.00")),
    adjustment("1.00", "Credit"),
    invoice("1.00", status="Draft"),
    captured("Payment", {"id": "P1"}, gone=True),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.record_id)
def test_a_document_survives_its_short_form(document: DocumentCaptured) -> None:
    whole = read_document(document)

    assert LedgerDocument.from_json(orjson.loads(orjson.dumps(whole.to_json()))) == whole


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (invoice("1.00", invoiceDate=None), "invoiceDate: missing"),
        (invoice("1.00", invoiceDate="01/03/2026"), "invoiceDate: not a date"),
        (invoice("1.00", invoiceDate="2026-03-01x"), "invoiceDate: not a date"),
        (invoice("one"), "amount: not a decimal number"),
        (invoice("NaN"), "amount: not an amount of money"),
        (invoice("1e30"), "amount: not an amount of money"),
        (invoice(""), "amount: missing"),
        (invoice("1.00", taxAmount=1.5), "taxAmount: not a decimal number"),
        (invoice("1.00", taxAmount=True), "taxAmount: not a decimal number"),
        (invoice("1.00", items=None), "items: missing"),
        (invoice("1.00", items="secret"), "items: not a list of objects"),
        (invoice("1.00", item("ANL", "1.00"), item("ANL", "")), "items[1].chargeAmount: missing"),
        (invoice("1.00", {**item("ANL", "1.00"), "sku": ["secret"]}), "items[0].sku: not a text"),
        (
            invoice("1.00", item("ANL", "1.00", VAT25="secret")),
            "items[0].taxationItems.taxAmount: not a decimal number",
        ),
        (credit_memo("1.00", {"sku": "ANL", "amount": "1.00"}), "items[0].amountWithoutTax: missing"),
        (invoice("1.00", currency=None), "currency: missing"),
        (invoice("1.00", currency="EURO"), "currency: 'EURO' is not a currency of ISO 4217"),
        (invoice("1.00", currency="XAU"), "currency: 'XAU' is not a currency of ISO 4217"),
        (refund("1.00", currency="USD"), "currency: USD and EUR in one document"),
        (adjustment("1.00", "Neither"), "Type: neither Charge nor Credit"),
    ],
)
def test_what_the_ledger_cannot_read_is_refused_by_the_name_of_its_field(
    document: DocumentCaptured, message: str
) -> None:
    with pytest.raises(UnreadableError) as refused:
        read_document(document)

    assert str(refused.value) == message
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("document", "currency"),
    [
        (refund("1.00"), "EUR"),
        (refund("1.00", of="memo"), "EUR"),
        (adjustment("1.00", "Charge"), "EUR"),
        (refund("1.00", payment={"id": "P1"}).model_copy(update={"currency": "SEK"}), "SEK"),
    ],
)
def test_what_names_no_currency_has_it_from_what_it_is_about(document: DocumentCaptured, currency: str) -> None:
    assert read_document(document).currency == currency


@pytest.mark.parametrize("nothing", ["", None, "  "])
def test_empty_null_and_absent_are_alike(nothing: str | None) -> None:
    fields = (
        "productName",
        "chargeType",
        "accountingCode",
        "taxCode",
        "deferredRevenueAccountingCode",
        "taxationItems",
    )
    empty = invoice("1.00", item("ANL", "1.00", **dict.fromkeys(fields[:-1], nothing), taxationItems=None))

    assert read_document(empty) == read_document(invoice("1.00", item("ANL", "1.00")))


@pytest.mark.parametrize(
    ("parts", "updated", "day"),
    [
        ([{"updatedDate": "2026-03-11 23:59:59"}, {"updatedDate": "2026-03-10 08:00:00"}], "2026-03-20", "2026-03-11"),
        ([{}], "2026-03-20T01:00:00.000+01:00", "2026-03-20"),
        ([], None, "2026-03-06"),
    ],
)
def test_u_changed_when_its_parts_did_else_when_the_payment_did(
    parts: list[dict[str, Any]], updated: str | None, day: str
) -> None:
    assert str(read_document(payment("5.00", parts=parts, updatedDate=updated)).applied_on) == day


def test_two_thousand_items_are_kept_in_less_than_a_kilobyte() -> None:
    fields = {"productName": "Analytics Cloud", "chargeType": "Recurring", "accountingCode": "3010 Subscription"}
    items = [item("SKU-ANL" if number % 2 else "SKU-SVC", "1.00", VAT25="0.25", **fields) for number in range(2000)]
    document = read_document(invoice("2500.00", *items))

    short = summarised(document)

    assert [(line.net, line.items, line.taxes) for line in short.lines] == [
        (Decimal("1000.00"), 1000, (("VAT25", Decimal("250.00")),)),
        (Decimal("1000.00"), 1000, (("VAT25", Decimal("250.00")),)),
    ]
    assert len(json.dumps(short.to_json())) < 1000
    assert short.fingerprint == document.fingerprint


@pytest.mark.parametrize(("currency", "places"), [("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4)])
def test_currencies_have_their_own_decimals(currency: str, places: int) -> None:
    assert decimals(currency) == places


@pytest.mark.parametrize(("currency", "places"), [("BGN", 2), ("ANG", 2), ("HRK", 2), ("BYR", 0)])
def test_what_iso_4217_withdrew_is_still_read_and_its_vouchers_are_still_carried(currency: str, places: int) -> None:
    assert decimals(currency) == places
    assert read_document(invoice("1.00", item("ANL", "1.00"), currency=currency)).currency == currency
    check_command(command(currency=currency))

"""What becomes of a document: in which order the questions are asked, what is missing, what a record waits for."""

from datetime import date
from typing import Any

import pytest

from schemas.base import Model, Status
from schemas.notifications import DocumentCaptured
from streams.accounting.chart import NOBODYS, Mapped, Rule
from streams.accounting.evaluation import Evaluation, versions_of
from tests.support.company_10 import (
    account,
    adjustment,
    captured,
    cash,
    company,
    credit_memo,
    debit_memo,
    gaps,
    invoice,
    item,
    memo_item,
    no_account,
    no_rule,
    payment,
    product,
    refund,
    result,
    rows,
    rule,
    tax,
    unapplied,
    without,
)

INVOICE = invoice("100.00", item("ANL", "100.00"))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (invoice("100.00", status="Draft"), "Draft in Zuora"),
        (invoice("100.00", status="Canceled"), "Canceled in Zuora"),
        (payment("100.00", status="Processing"), "Processing in Zuora"),
        (refund("100.00", status="Error"), "Error in Zuora"),
        (credit_memo("100.00", status="Draft"), "Draft in Zuora"),
        (debit_memo("100.00", status=None), "no status in Zuora"),
        (adjustment("100.00", "Charge", Status="Canceled"), "Canceled in Zuora"),
        (captured("Invoice", {"id": "I1"}, gone=True), "gone from Zuora"),
    ],
    ids=str,
)
def test_what_is_not_posted_in_zuora_is_not_posted_whatever_else_is_missing(
    document: DocumentCaptured, reason: str
) -> None:
    evaluation = result(document, no_account())

    assert (evaluation.outcome, evaluation.reason) == (Status.NOT_POSTED, reason)


@pytest.mark.parametrize(
    ("document", "changes", "outcome"),
    [
        # The rule comes before the account: what is captured by default is so while its account is unmapped.
        (credit_memo("1.00"), (no_rule("CreditMemo"), no_account()), Status.CAPTURED),
        (credit_memo("1.00"), (no_account(),), Status.CAPTURED),
        (credit_memo("1.00"), (rule("CreditMemo", company="*"), no_account()), Status.MAPPING_MISSING),
        # A company's own rule replaces that of all companies.
        (INVOICE, (rule("Invoice", post=False), rule("Invoice", company="*")), Status.CAPTURED),
        (INVOICE, (no_rule("Invoice"), rule("Invoice", post=False, company="*")), Status.CAPTURED),
        (INVOICE, (no_rule("Invoice"),), Status.READY),
        # External before the account.
        (payment("1.00", type="External"), (no_account(),), Status.CAPTURED),
        (payment("1.00", type="External"), (rule("Payment", external=True),), Status.READY),
        (payment("1.00", type=None), (), Status.CAPTURED),
        (refund("1.00", of="memo", type="External"), (), Status.CAPTURED),
        (refund("1.00", of="memo", type="External"), (rule("Refund", external=True),), Status.READY),
        # Cutover before whether it adds up; on the day itself it posts.
        (invoice("9.00", item("ANL", "1.00")), (company(cutover=date(2026, 3, 2)),), Status.CAPTURED),
        (INVOICE, (company(cutover=date(2026, 3, 1)),), Status.READY),
        # The account before whether it adds up, and that before all other mappings.
        (invoice("9.00", item("ANL", "1.00")), (no_account(),), Status.MAPPING_MISSING),
        (invoice("9.00", item("unmapped", "1.00")), (), Status.FAILED),
        # Mappings before a zero amount.
        (invoice("0.00", item("ANL", "1.00"), item("unmapped", "-1.00")), (), Status.MAPPING_MISSING),
        (invoice("0.00"), (), Status.NOT_POSTED),
        (payment("0.00"), (without("cash"),), Status.NOT_POSTED),
    ],
)
def test_the_questions_are_asked_in_their_order(
    document: DocumentCaptured, changes: tuple[Model, ...], outcome: Status
) -> None:
    assert result(document, *changes).outcome is outcome


@pytest.mark.parametrize("document_type", ["CreditMemo", "DebitMemo", "Refund", "Adjustment"])
def test_all_but_invoices_and_payments_are_captured_by_default(document_type: str) -> None:
    documents = {
        "CreditMemo": credit_memo("1.00", memo_item("ANL", "1.00")),
        "DebitMemo": debit_memo("1.00", memo_item("ANL", "1.00")),
        "Refund": refund("1.00"),
        "Adjustment": adjustment("1.00", "Charge"),
    }

    evaluation = result(documents[document_type], no_rule(document_type))

    assert evaluation.outcome is Status.CAPTURED
    assert evaluation.reason == f"its posting rule does not post documents of type {document_type}"


FOUR_KEYS = {"sku": "NEW", "productName": "Cloud", "chargeType": "Recurring", "accountingCode": "3010 Sales"}


@pytest.mark.parametrize(
    ("fields", "gap"),
    [
        (FOUR_KEYS, {"matchOn": "sku", "key": "NEW"}),
        ({**FOUR_KEYS, "sku": ""}, {"matchOn": "product_name", "key": "Cloud"}),
        ({"sku": None, "chargeType": "Recurring"}, {"matchOn": "charge_type", "key": "Recurring"}),
        ({"accountingCode": "3010 Sales"}, {"matchOn": "accounting_code", "key": "3010 Sales"}),
        ({}, {"matchOn": "accounting_code", "key": "(none)"}),
    ],
)
def test_a_product_gap_names_the_most_specific_key_that_is_filled(fields: dict[str, Any], gap: dict[str, str]) -> None:
    evaluation = result(invoice("1.00", {**item(net="1.00"), **fields}))

    assert gaps(evaluation) == [{"kind": "product", "company": "10", **gap}]


@pytest.mark.parametrize(
    ("mapped_by", "gl_account"),
    [
        (("accounting_code",), "3004"),
        (("accounting_code", "charge_type"), "3003"),
        (("accounting_code", "charge_type", "product_name"), "3002"),
        (("accounting_code", "charge_type", "product_name", "sku"), "3001"),
    ],
)
def test_the_most_specific_mapping_of_a_product_wins(mapped_by: tuple[str, ...], gl_account: str) -> None:
    mappings = {
        "sku": product("NEW", "3001"),
        "product_name": product("Cloud", "3002", "product_name"),
        "charge_type": product("Recurring", "3003", "charge_type"),
        "accounting_code": product("3010 Sales", "3004", "accounting_code"),
    }
    document = invoice("1.00", {**item(net="1.00"), **FOUR_KEYS})

    assert rows(document, *(mappings[name] for name in mapped_by)) == ["1510/100 Dr 1.00", f"{gl_account}/100 Cr 1.00"]


def test_every_gap_is_listed_once() -> None:
    document = invoice(
        "65.02",
        item("NEW", "10.00", VAT25="2.50"),
        item("NEW", "10.00", VAT25="2.50"),
        item("OTHER", "40.00", taxAmount="0.01"),
        item("", "0.01", processingType="Rounding"),
    )

    assert gaps(result(document, without("tax", "VAT25"), without("rounding"))) == [
        {"kind": "product", "company": "10", "matchOn": "sku", "key": "NEW"},
        {"kind": "product", "company": "10", "matchOn": "sku", "key": "OTHER"},
        {"kind": "tax", "company": "10", "key": "(none)"},
        {"kind": "tax", "company": "10", "key": "VAT25"},
        {"kind": "rounding", "company": "10"},
    ]


def test_an_unmapped_account_is_the_only_gap_since_the_company_is_unknown() -> None:
    evaluation = result(invoice("1.00", item("NEW", "1.00")), no_account())

    assert gaps(evaluation) == [{"kind": "account", "key": "A1"}]
    assert evaluation.waits_for == {"account/A1", "*/rule/Invoice"}


def test_cash_and_unapplied_gaps_say_what_to_fill_in() -> None:
    evaluation = result(payment("5.00", "1.00", currency="SEK", gatewayId="GW2"), without("unapplied"))

    assert gaps(evaluation) == [
        {"kind": "cash", "company": "10", "currency": "SEK", "gateway": "GW2"},
        {"kind": "unapplied", "company": "10"},
    ]
    assert evaluation.waits_for >= {"10/cash/SEK/GW2", "10/cash/SEK/", "10/unapplied"}


def test_a_gap_waits_for_every_key_that_would_fill_it_and_for_what_decides_the_document() -> None:
    evaluation = result(invoice("1.00", {**item(net="1.00"), **FOUR_KEYS}))

    assert evaluation.waits_for == {
        "10/product/sku/NEW",
        "10/product/product_name/Cloud",
        "10/product/charge_type/Recurring",
        "10/product/accounting_code/3010 Sales",
        "account/A1",
        "10/rule/Invoice",
        "*/rule/Invoice",
        "10/company",
    }


def test_a_voucher_names_the_versions_that_it_was_made_from() -> None:
    def versions(*changes: Model) -> dict[str, int]:
        voucher = result(INVOICE, *changes).voucher
        assert voucher
        return voucher.versions

    assert versions() == {"account/A1": 1, "10/rule/Invoice": 14, "10/product/sku/ANL": 2}
    assert versions(no_rule("Invoice"), company(voucher_type="Z")) == {
        "account/A1": 1,
        "10/company": 21,
        "10/product/sku/ANL": 2,
    }


def test_what_a_company_sets_goes_into_its_vouchers() -> None:
    voucher = result(INVOICE, company(voucher_type="Z", user_group="INT", currency_type="3")).voucher

    assert voucher
    assert (voucher.voucher_type, voucher.user_group, voucher.currency_type) == ("Z", "INT", "3")


CHARGE, CREDIT = adjustment("25.00", "Charge"), adjustment("25.00", "Credit")
OF_TAX: dict[str, Any] = {
    "SourceType": "Tax",
    "SourceId": "VAT25-0",
    "invoice": {"id": "I1", "currency": "EUR", "items": [item("ANL", "100.00", VAT25="25.00")]},
}


@pytest.mark.parametrize(
    ("document", "changes", "expected"),
    [
        (CHARGE, (), ["1510/100 Dr 25.00", "6351/100 Cr 25.00"]),
        (CREDIT, (), ["1510/100 Cr 25.00", "6351/100 Dr 25.00"]),
        (CREDIT, (rule("Adjustment", contra_account="3095"),), ["1510/100 Cr 25.00", "3095/100 Dr 25.00"]),
        (adjustment("25.00", "Credit", **OF_TAX), (), ["1510/100 Cr 25.00", "2610 Dr 25.00"]),
        (adjustment("25.00", "Charge", **OF_TAX), (), ["1510/100 Dr 25.00", "2610 Cr 25.00"]),
    ],
)
def test_adjustments(document: DocumentCaptured, changes: tuple[Model, ...], expected: list[str]) -> None:
    assert rows(document, *changes) == expected


@pytest.mark.parametrize(
    ("document", "changes", "expected"),
    [
        # Cash by gateway, else by currency; a refund has its payment's gateway.
        (payment("5.00"), (), ["1935 Dr 5.00", "1510/100 Cr 5.00"]),
        (payment("5.00", gatewayId="GW2"), (), ["1930 Dr 5.00", "1510/100 Cr 5.00"]),
        (payment("5.00", gatewayId=""), (), ["1930 Dr 5.00", "1510/100 Cr 5.00"]),
        (refund("5.00", gatewayId="GW2"), (cash("EUR", "1937", "GW2"),), ["1510/100 Dr 5.00", "1937 Cr 5.00"]),
        # U is what is unapplied and what went to the credit balance.
        (payment("5.00", "2.00", creditBalanceAmount="1.00"), (), ["1935 Dr 5.00", "1510/100 Cr 2.00", "2420 Cr 3.00"]),
        # One account for unapplied and receivable: with the same code parts it is one row.
        (payment("5.00", "2.00"), (unapplied("1510/100"),), ["1935 Dr 5.00", "1510/100 Cr 5.00"]),
        (payment("5.00", "2.00"), (unapplied("1510"),), ["1935 Dr 5.00", "1510 Cr 2.00", "1510/100 Cr 3.00"]),
    ],
)
def test_payments_and_refunds(document: DocumentCaptured, changes: tuple[Model, ...], expected: list[str]) -> None:
    assert rows(document, *changes) == expected


def test_what_is_applied_to_another_account_stays_on_unapplied_with_a_warning() -> None:
    document = payment(
        "500.00",
        "100.00",
        [{"amount": "250.00", "billingDocumentOwnerId": "A1"}, {"amount": "150.00", "billingDocumentOwnerId": "A2"}],
    )

    assert rows(document) == ["1935 Dr 500.00", "1510/100 Cr 250.00", "2420 Cr 250.00"]
    assert result(document).warning == (
        "150.00 EUR is applied to another account's documents and stays on unapplied cash"
    )


MEMO_CODES = {"recognizedRevenueAccountingCode": "Recognized", "deferredRevenueAccountingCode": "Deferred"}
BY_CODE = (product("Recognized", "3001", "accounting_code"), product("Deferred", "3002", "accounting_code"))


@pytest.mark.parametrize(
    ("fields", "changes", "gl_account"),
    [
        ({"sku": "ANL", "skuName": "Cloud"}, (product("Cloud", "3005", "product_name"),), "3010"),
        ({"skuName": "Cloud"}, (product("Cloud", "3005", "product_name"),), "3005"),
        ({"finance": MEMO_CODES}, BY_CODE, "3002"),
        ({"finance": {**MEMO_CODES, "deferredRevenueAccountingCode": ""}}, BY_CODE, "3001"),
        ({"finance": MEMO_CODES}, (product("Deferred", "3002", "accounting_code", deferred="2970"),), "2970"),
    ],
)
def test_memo_items_match_on_sku_then_name_then_accounting_code(
    fields: dict[str, Any], changes: tuple[Model, ...], gl_account: str
) -> None:
    memo = credit_memo("1.00", memo_item(fields.pop("sku", ""), "1.00", **fields))

    assert rows(memo, *changes) == ["1510/100 Cr 1.00", f"{gl_account}/100 Dr 1.00"]


def test_a_write_off_never_goes_to_a_deferred_account_and_matches_on_nothing_else() -> None:
    finance = {**MEMO_CODES, "nonRevenueWriteOffAccountingCode": "6351 Bad debt"}
    memo = credit_memo("1.00", memo_item("ANL", "1.00", finance=finance), revenueImpacting="No")
    without_code = credit_memo("1.00", memo_item("ANL", "1.00", finance=MEMO_CODES), revenueImpacting="No")

    assert rows(memo, product("6351 Bad debt", "6351", "accounting_code", deferred="2970")) == [
        "1510/100 Cr 1.00",
        "6351/100 Dr 1.00",
    ]
    assert gaps(result(without_code)) == [
        {"kind": "product", "company": "10", "matchOn": "accounting_code", "key": "(none)"}
    ]


NO_CODE = tax("(none)", "2619")


@pytest.mark.parametrize(
    ("document", "changes", "expected"),
    [
        # From the item's own amount where it lists no taxation items.
        (
            invoice("125.00", item("ANL", "100.00", taxAmount="25.00", taxCode="VAT25")),
            (),
            ["1510/100 Dr 125.00", "2610 Cr 25.00", "3010/100 Cr 100.00"],
        ),
        (
            invoice("125.00", item("ANL", "100.00", taxAmount="25.00")),
            (NO_CODE,),
            ["1510/100 Dr 125.00", "2619 Cr 25.00", "3010/100 Cr 100.00"],
        ),
        # An item that is tax itself.
        (
            invoice("125.00", item("ANL", "100.00"), item("", "25.00", processingType="Tax", taxCode="VAT25")),
            (),
            ["1510/100 Dr 125.00", "2610 Cr 25.00", "3010/100 Cr 100.00"],
        ),
        # 3 x 0.335 is 1.005, rounded once: 1.01; the header says 1.00, and the largest tax row gives the rest.
        (
            invoice(
                "13.99", *[item("ANL", "3.00", VAT25="0.335") for _ in range(3)], item("ANL", "3.99"), taxAmount="1.00"
            ),
            (),
            ["1510/100 Dr 13.99", "2610 Cr 1.00", "3010/100 Cr 12.99"],
        ),
        (
            invoice("103.01", item("ANL", "100.00", VAT25="1.00", VAT19="2.00"), taxAmount="3.01"),
            (),
            ["1510/100 Dr 103.01", "2610 Cr 1.00", "2611 Cr 2.01", "3010/100 Cr 100.00"],
        ),
        (
            credit_memo("103.01", memo_item("ANL", "100.00", VAT25="1.00", VAT19="2.00"), taxAmount="3.01"),
            (),
            ["1510/100 Cr 103.01", "2610 Dr 1.00", "2611 Dr 2.01", "3010/100 Dr 100.00"],
        ),
        # Two tax codes on one account are one row, the largest.
        (
            invoice("106.01", item("ANL", "100.00", VAT25="2.00", VAT19="2.00", CH="2.00"), taxAmount="6.01"),
            (tax("CH", "2611"),),
            ["1510/100 Dr 106.01", "2610 Cr 2.00", "2611 Cr 4.01", "3010/100 Cr 100.00"],
        ),
        # Ten minor units at most, one per item: what is left goes to rounding.
        (
            invoice("2.02", item("ANL", "1.00"), item("ANL", "1.00")),
            (),
            ["1510/100 Dr 2.02", "3010/100 Cr 2.00", "3740 Cr 0.02"],
        ),
        # A rounding item and the difference it leaves make one row, or none.
        (
            invoice("1.00", item("ANL", "1.00"), item("", "0.01", processingType="Rounding")),
            (without("rounding"),),
            ["1510/100 Dr 1.00", "3010/100 Cr 1.00"],
        ),
        # Currencies of no and of three decimals.
        (
            invoice("1190", item("ANL", "1000", VAT19="190"), currency="JPY"),
            (),
            ["1510/100 Dr 1190", "2611 Cr 190", "3010/100 Cr 1000"],
        ),
        (
            invoice("1.190", item("ANL", "1", VAT19="0.19"), currency="KWD"),
            (),
            ["1510/100 Dr 1.190", "2611 Cr 0.190", "3010/100 Cr 1.000"],
        ),
    ],
)
def test_tax_and_rounding(document: DocumentCaptured, changes: tuple[Model, ...], expected: list[str]) -> None:
    assert rows(document, *changes) == expected


@pytest.mark.parametrize(
    "document",
    [
        invoice("2.03", item("ANL", "1.00"), item("ANL", "1.00")),
        invoice("20.11", *[item("ANL", "1.00") for _ in range(20)]),
        invoice("1.00"),
        credit_memo("2.00", memo_item("ANL", "1.00")),
    ],
)
def test_what_rounding_does_not_explain_does_not_add_up(document: DocumentCaptured) -> None:
    evaluation = result(document)

    assert evaluation.outcome is Status.FAILED
    assert str(evaluation.reason).startswith("does not add up: items ")


def texts(evaluation: Evaluation) -> list[str]:
    assert evaluation.voucher
    return [row.text for row in evaluation.voucher.rows]


def test_texts_name_the_document_and_what_the_row_is() -> None:
    document = invoice("127.00", item("SVC", "1.00"), item("ANL", "101.00", VAT25="25.00"))

    assert texts(result(document, product("SVC", "3010"))) == [
        "INV1 receivable A00000123 Nordic Example AB",
        "INV1 tax VAT25",
        "INV1 revenue ANL, SVC",
    ]
    assert texts(result(payment("5.00", "2.00"))) == [
        "P-1 cash GW1",
        "P-1 receivable A00000123 Nordic Example AB",
        "P-1 unapplied cash",
    ]


def test_texts_are_cut_to_what_ifs_takes() -> None:
    document = invoice("40.00", *[item(f"product number {number}", "1.00") for number in range(40)])
    mapped = [product(f"product number {number}", "3010") for number in range(40)]

    assert max(len(text) for text in texts(result(document, *mapped))) == 200


def test_an_account_of_a_company_that_has_no_chart_is_held_with_gaps_of_that_company() -> None:
    assert gaps(result(INVOICE, account(company="20"))) == [
        {"kind": "product", "company": "20", "matchOn": "sku", "key": "ANL"}
    ]


def test_the_first_mapping_of_a_partition_is_named_too_though_its_version_is_zero() -> None:
    assert versions_of(("account/A1", Mapped(0, "1510")), ("*/rule/Invoice", Rule(NOBODYS, post=True))) == {
        "account/A1": 0
    }

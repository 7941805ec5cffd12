"""The worked examples that finance agreed to, one test each, in company 10 of tests.support.company_10."""

from datetime import date
from decimal import Decimal

from schemas.base import Status
from schemas.notifications import DocumentCaptured
from streams.accounting.applied import evaluate_applied
from streams.accounting.conversion import Rate, convert
from streams.accounting.evaluation import Evaluation
from streams.accounting.reference import reference, reversal_reference
from tests.support.company_10 import (
    chart,
    credit_memo,
    debit_memo,
    gaps,
    invoice,
    item,
    memo_item,
    payment,
    product,
    read,
    refund,
    result,
    rows,
    without,
    written,
    written_in_company_currency,
)


def test_1_a_tax_inclusive_credit_memo_debits_revenue_without_tax() -> None:
    memo = credit_memo("119.00", memo_item("ANL", "100.00", amount="119.00", VAT19="19.00"), taxAmount="19.00")

    assert rows(memo) == ["1510/100 Cr 119.00", "2611 Dr 19.00", "3010/100 Dr 100.00"]


def test_1_a_debit_memo_with_the_same_facts_has_the_sides_swapped() -> None:
    memo = debit_memo("119.00", memo_item("ANL", "100.00", amount="119.00", VAT19="19.00"), taxAmount="19.00")

    assert rows(memo) == ["1510/100 Dr 119.00", "2611 Cr 19.00", "3010/100 Cr 100.00"]


ZERO_INVOICE = invoice("0.00", item("ANL", "100.00"), item("DISC", "-100.00"), item("FREE", "0.00"))


def test_2a_an_invoice_of_zero_posts_its_revenue_and_discount_and_needs_nothing_for_what_is_free() -> None:
    assert rows(ZERO_INVOICE) == ["3010/100 Cr 100.00", "3090/100 Dr 100.00"]


def test_2b_an_invoice_whose_rows_are_all_zero_is_not_posted() -> None:
    evaluation = result(ZERO_INVOICE, product("DISC", "3010"))

    assert (evaluation.outcome, evaluation.reason) == (Status.NOT_POSTED, "zero amount")


def test_2c_negative_amounts_stand_on_the_other_side() -> None:
    assert rows(invoice("-100.00", item("ANL", "-80.00", VAT25="-20.00"))) == [
        "1510/100 Cr 100.00",
        "2610 Dr 20.00",
        "3010/100 Dr 80.00",
    ]


CHF_INVOICE = invoice(
    "107.65",
    item("ANL", "99.97", CH="3.84885 + 3.84885", taxAmount="7.70"),
    item("", "-0.02", processingType="Rounding"),
    currency="CHF",
    taxAmount="7.70",
)


def test_3a_tax_is_added_up_unrounded_and_a_rounding_item_goes_to_rounding() -> None:
    assert rows(CHF_INVOICE) == ["1510/100 Dr 107.65", "2612 Cr 7.70", "3010/100 Cr 99.97", "3740 Dr 0.02"]


def test_3b_without_a_rounding_mapping_it_is_held() -> None:
    evaluation = result(CHF_INVOICE, without("rounding"))

    assert evaluation.outcome is Status.MAPPING_MISSING
    assert gaps(evaluation) == [{"kind": "rounding", "company": "10"}]


def test_3c_three_euros_between_items_and_header_are_no_rounding() -> None:
    evaluation = result(invoice("400.00", *[item("ANL", "1.00") for _ in range(397)]))

    assert evaluation.outcome is Status.FAILED
    assert evaluation.reason == "does not add up: items 397.00, document 400.00 EUR"


def applied(document: DocumentCaptured, booked: str) -> Evaluation:
    return evaluate_applied(read(document), chart(), booked=Decimal(booked), company="10")


def test_4_a_payment_before_its_invoice_then_applied_then_moved() -> None:
    first = payment("500.00", "500.00")
    on_the_11th = payment("500.00", "100.00", [{"amount": "400.00", "updatedDate": "2026-03-11 09:00:00"}])
    on_the_20th = payment("500.00", "350.00", [{"amount": "150.00", "updatedDate": "2026-03-20 09:00:00"}])

    assert rows(first) == ["1935 Dr 500.00", "2420 Cr 500.00"]
    applied_400 = applied(on_the_11th, booked="500.00").voucher
    assert applied_400
    assert [written(row) for row in applied_400.rows] == ["1510/100 Cr 400.00", "2420 Dr 400.00"]
    assert (applied_400.voucher_date, applied_400.rate_date) == (date(2026, 3, 11), date(2026, 3, 6))
    taken_back = applied(on_the_20th, booked="100.00").voucher
    assert taken_back
    assert [written(row) for row in taken_back.rows] == ["1510/100 Dr 250.00", "2420 Cr 250.00"]
    assert applied(on_the_20th, booked="350.00").voucher is None


def test_4_a_payment_first_fetched_after_all_of_that_is_one_voucher() -> None:
    evaluation = result(payment("500.00", "350.00", [{"amount": "150.00", "updatedDate": "2026-03-20 09:00:00"}]))

    assert evaluation.voucher
    assert [written(row) for row in evaluation.voucher.rows] == [
        "1935 Dr 500.00",
        "1510/100 Cr 150.00",
        "2420 Cr 350.00",
    ]
    assert evaluation.voucher.voucher_date == date(2026, 3, 6)


CHARGEBACK = refund("1500.00", type="External", refundTransactionType="Chargeback")


def test_5_a_chargeback_follows_its_posted_payment_although_it_is_external() -> None:
    assert rows(CHARGEBACK) == ["1510/100 Dr 1500.00", "1935 Cr 1500.00"]


def test_5_the_payment_has_the_same_fingerprint_and_u_once_it_is_refunded() -> None:
    before = read(payment("1500.00", parts=[{"invoiceId": "I1", "amount": "1500.00"}], appliedAmount="1500.00"))
    after = read(payment("1500.00", appliedAmount="0", refundAmount="1500.00"))

    assert (before.fingerprint, before.unapplied) == (after.fingerprint, after.unapplied)


def test_5_a_payment_first_fetched_after_its_refund_credits_the_receivable() -> None:
    assert rows(payment("1500.00", refundAmount="1500.00")) == ["1935 Dr 1500.00", "1510/100 Cr 1500.00"]


def test_5_a_refund_of_a_captured_payment_is_captured() -> None:
    assert result(payment("1500.00", type="External")).outcome is Status.CAPTURED
    evaluation = result(CHARGEBACK, posted=frozenset())

    assert evaluation.outcome is Status.CAPTURED
    assert "record/Payment:P1" in evaluation.waits_for


def test_6_a_refund_of_unapplied_cash_is_two_vouchers_that_leave_the_receivable_alone() -> None:
    assert rows(payment("500.00", "500.00")) == ["1935 Dr 500.00", "2420 Cr 500.00"]
    taken = applied(payment("500.00", "300.00", refundAmount="200.00"), booked="500.00").voucher
    assert taken
    assert [written(row) for row in taken.rows] == ["1510/100 Cr 200.00", "2420 Dr 200.00"]
    assert rows(refund("200.00", gatewayId="GW1")) == ["1510/100 Dr 200.00", "1935 Cr 200.00"]


def test_6_a_credit_memo_and_its_refund_leave_the_receivable_alone() -> None:
    memo = credit_memo("250.00", memo_item("ANL", "200.00", VAT25="50.00"))

    assert rows(memo) == ["1510/100 Cr 250.00", "2610 Dr 50.00", "3010/100 Dr 200.00"]
    assert rows(refund("250.00", of="memo", gatewayId="GW1")) == ["1510/100 Dr 250.00", "1935 Cr 250.00"]


WRITE_OFF = credit_memo(
    "100.00",
    memo_item("ANL", "80.00", finance={"nonRevenueWriteOffAccountingCode": "6351 Bad debt"}, VAT25="20.00"),
    revenueImpacting="No",
)


def test_7_a_write_off_goes_by_its_write_off_code() -> None:
    assert rows(WRITE_OFF) == ["1510/100 Cr 100.00", "2610 Dr 20.00", "6351/100 Dr 80.00"]


def test_7_without_that_mapping_it_is_held() -> None:
    assert gaps(result(WRITE_OFF, without("product", "6351 Bad debt", "accounting_code"))) == [
        {"kind": "product", "company": "10", "matchOn": "accounting_code", "key": "6351 Bad debt"}
    ]


def test_8_unposted_and_posted_again_unchanged_it_has_another_reference_and_the_rate_of_its_date() -> None:
    document = invoice("119.00", item("ANL", "100.00", VAT19="19.00"), currency="USD")
    first = result(document).voucher
    third = result(document, on=date(2026, 5, 5)).voucher
    fingerprint = read(document).fingerprint
    x = reference("INV1", "I1", fingerprint)

    assert first
    assert third
    converted = convert(first.rows, first.rest_row, Rate(Decimal("0.90")), 2)
    assert [written_in_company_currency(row) for row in converted] == [
        "1510/100 Dr 107.10",
        "2611 Cr 17.10",
        "3010/100 Cr 90.00",
    ]
    assert read(invoice("119.00", status="Draft")).fingerprint != fingerprint
    assert reversal_reference(x) == f"{x}-R"
    assert reference("INV1", "I1", fingerprint, x) != x
    assert (third.voucher_date, third.rate_date, third.rows) == (date(2026, 5, 5), date(2026, 3, 1), first.rows)


def test_9_what_conversion_leaves_over_goes_to_the_largest_revenue_row() -> None:
    voucher = result(
        invoice("100.00", item("ANL", "33.33", VAT25="20.00"), item("SVC", "46.67"), currency="USD")
    ).voucher

    assert voucher
    converted = convert(voucher.rows, voucher.rest_row, Rate(Decimal("0.91371")), 2)
    assert [written_in_company_currency(row) for row in converted] == [
        "1510/100 Dr 91.37",
        "2610 Cr 18.27",
        "3010/100 Cr 30.45",
        "3020/200 Cr 42.65",  # 42.64 and the rest of 0.01
    ]


def test_10_deferred_revenue_goes_to_the_deferred_account_of_its_product() -> None:
    document = invoice(
        "1750.00",
        item("ANL", "1200.00", VAT25="350.00", deferredRevenueAccountingCode="2970 Deferred Revenue"),
        item("SVC", "200.00", deferredRevenueAccountingCode=""),
    )

    assert rows(document, product("ANL", "3010", deferred="2970")) == [
        "1510/100 Dr 1750.00",
        "2610 Cr 350.00",
        "2970/100 Cr 1200.00",
        "3020/200 Cr 200.00",
    ]

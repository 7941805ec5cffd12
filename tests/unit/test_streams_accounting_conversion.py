"""A voucher's rows in the company's own currency."""

from decimal import Decimal

import pytest

from schemas.vouchers import VoucherRow
from streams.accounting.conversion import SAME_CURRENCY, Rate, convert
from tests.support.company_10 import (
    credit_memo,
    invoice,
    item,
    memo_item,
    payment,
    result,
    rounding,
    written_in_company_currency,
)


def row(account: str, side: str, amount: str) -> VoucherRow:
    return VoucherRow(account=account, text="row", **{side: Decimal(amount)})


@pytest.mark.parametrize(
    ("rate", "decimals", "expected"),
    [
        (SAME_CURRENCY, 2, ["1510 Dr 100.00", "3010 Cr 100.00"]),
        (Rate(Decimal("0.91371")), 2, ["1510 Dr 91.37", "3010 Cr 91.37"]),
        (Rate(Decimal("11.4025"), Decimal(100)), 2, ["1510 Dr 11.40", "3010 Cr 11.40"]),
        (Rate(Decimal("1.25"), inverted=True), 2, ["1510 Dr 80.00", "3010 Cr 80.00"]),
        (Rate(Decimal("8.7702"), Decimal(100), inverted=True), 2, ["1510 Dr 1140.22", "3010 Cr 1140.22"]),
        (Rate(Decimal("163.455")), 0, ["1510 Dr 16346", "3010 Cr 16346"]),
        (Rate(Decimal("0.3358")), 3, ["1510 Dr 33.580", "3010 Cr 33.580"]),
    ],
)
def test_rates_and_their_factors(rate: Rate, decimals: int, expected: list[str]) -> None:
    rows = [row("1510", "debit", "100.00"), row("3010", "credit", "100.00")]

    assert [written_in_company_currency(converted) for converted in convert(rows, 1, rate, decimals)] == expected


def test_what_does_not_balance_goes_to_the_rest_row() -> None:
    rows = [row("1510", "debit", "0.10"), row("3010", "credit", "0.05"), row("3020", "credit", "0.05")]

    converted = convert(rows, 1, Rate(Decimal("0.9")), 2)

    # 0.09, and twice 0.045 which is 0.05 rounded half up: 0.01 too much in credit.
    assert [written_in_company_currency(row) for row in converted] == ["1510 Dr 0.09", "3010 Cr 0.04", "3020 Cr 0.05"]


@pytest.mark.parametrize("rate", [("0", "1"), ("-1", "1"), ("1", "0")])
def test_a_rate_of_nothing_is_refused(rate: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Rate(Decimal(rate[0]), Decimal(rate[1]))


def test_the_rest_goes_to_the_largest_row_that_is_no_control_account_else_to_the_last() -> None:
    largest = result(invoice("30.00", item("ANL", "10.00"), item("SVC", "20.00"))).voucher
    first_of_equals = result(invoice("20.00", item("ANL", "10.00"), item("SVC", "10.00"))).voucher
    tax_is_larger = result(credit_memo("30.00", memo_item("ANL", "10.00", VAT25="20.00"))).voucher
    rounding_row = result(invoice("20.01", item("", "0.01", processingType="Rounding"), tax("20.00")), rounding("3740"))
    none = result(payment("5.00", "2.00")).voucher

    vouchers = (largest, first_of_equals, tax_is_larger, rounding_row.voucher, none)

    assert [voucher.rows[voucher.rest_row].account for voucher in vouchers if voucher] == [
        "3020",
        "3010",
        "3010",
        "3740",
        "2420",
    ]


def tax(amount: str) -> dict[str, object]:
    return item("", amount, processingType="Tax", taxCode="VAT25")

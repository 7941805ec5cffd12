"""A payment that is posted, and of which more or less is applied than was booked."""

from datetime import date
from decimal import Decimal

import pytest

from schemas.base import Model, Status
from streams.accounting.applied import evaluate_applied
from streams.accounting.evaluation import Evaluation
from tests.support.company_10 import (
    account,
    chart,
    company,
    gaps,
    no_account,
    payment,
    read,
    rule,
    unapplied,
    without,
    written,
)

PAYMENT = payment("500.00", "100.00", [{"amount": "400.00", "updatedDate": "2026-03-11 09:00:00"}])


def changed(*changes: Model, booked: str = "500.00", on: date | None = None) -> Evaluation:
    return evaluate_applied(read(PAYMENT), chart(*changes), booked=Decimal(booked), company="10", voucher_date=on)


@pytest.mark.parametrize(
    ("booked", "rows"),
    [
        ("500.00", ["1510/100 Cr 400.00", "2420 Dr 400.00"]),
        ("0.00", ["1510/100 Dr 100.00", "2420 Cr 100.00"]),
    ],
)
def test_the_difference_goes_from_unapplied_to_the_receivable_or_back(booked: str, rows: list[str]) -> None:
    voucher = changed(booked=booked).voucher

    assert voucher
    assert [written(row) for row in voucher.rows] == rows
    assert voucher.versions == {"account/A1": 1, "10/unapplied": 12}
    assert [row.text for row in voucher.rows] == ["P-1 receivable A00000123 Nordic Example AB", "P-1 unapplied cash"]


def test_it_is_dated_as_it_was_applied_at_the_rate_of_the_payment() -> None:
    voucher, moved = changed().voucher, changed(on=date(2026, 4, 1)).voucher

    assert voucher
    assert moved
    assert (voucher.voucher_date, voucher.rate_date) == (date(2026, 3, 11), date(2026, 3, 6))
    assert (moved.voucher_date, moved.rate_date) == (date(2026, 4, 1), date(2026, 3, 6))


def test_rules_and_cutover_are_not_asked_again() -> None:
    assert changed(rule("Payment", post=False), company(cutover=date(2027, 1, 1))).outcome is Status.READY


def test_what_is_missing_holds_it() -> None:
    no_unapplied, unmapped = changed(without("unapplied")), changed(no_account())

    assert gaps(no_unapplied) == [{"kind": "unapplied", "company": "10"}]
    assert no_unapplied.waits_for == {"account/A1", "10/unapplied"}
    assert gaps(unmapped) == [{"kind": "account", "key": "A1"}]
    assert unmapped.waits_for == {"account/A1"}


def test_an_account_that_moved_to_another_company_is_for_a_person() -> None:
    evaluation = changed(account(company="20"))

    assert evaluation.outcome is Status.CHANGED_AFTER_POSTING
    assert evaluation.reason == "account moved from company 10 to 20"


def test_nothing_is_booked_where_both_are_one_account_or_u_is_as_booked() -> None:
    for evaluation in (changed(unapplied("1510/100")), changed(booked="100.00")):
        assert (evaluation.outcome, evaluation.reason) == (Status.NOT_POSTED, "zero amount")


def test_a_payment_that_no_longer_posts_is_refused() -> None:
    with pytest.raises(ValueError, match="Payment:P1 does not post"):
        evaluate_applied(read(payment("5.00", status="Canceled")), chart(), booked=Decimal(0), company="10")

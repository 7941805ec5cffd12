"""What tax lacks against the header: rounding goes to the largest tax row, tax that no item names goes nowhere."""

import pytest

from schemas.base import Status
from schemas.notifications import DocumentCaptured
from tests.support.company_10 import credit_memo, invoice, item, memo_item, result, rows


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        # Zuora may round each item's tax: 20 x 0.0055 is 0.11, the header says 0.20; and so for more than ten items.
        (
            invoice("20.20", *[item("ANL", "1.00", VAT25="0.0055") for _ in range(20)], taxAmount="0.20"),
            ["1510/100 Dr 20.20", "2610 Cr 0.20", "3010/100 Cr 20.00"],
        ),
        (
            invoice("101.00", *[item("ANL", "1.00", VAT25="0.0051") for _ in range(100)], taxAmount="1.00"),
            ["1510/100 Dr 101.00", "2610 Cr 1.00", "3010/100 Cr 100.00"],
        ),
        # One item may have many taxes: up to ten minor units.
        (
            invoice("1.60", item("ANL", "1.00", VAT25="0.50"), taxAmount="0.60"),
            ["1510/100 Dr 1.60", "2610 Cr 0.60", "3010/100 Cr 1.00"],
        ),
    ],
)
def test_a_rest_of_rounding_goes_to_the_largest_tax_row(document: DocumentCaptured, expected: list[str]) -> None:
    assert rows(document) == expected


@pytest.mark.parametrize(
    ("document", "figures"),
    [
        # Item SVC lists 25.00 of its 37.00 of VAT19: the account of VAT25 would have got the other 12.00.
        (
            invoice(
                "462.00", item("ANL", "100.00", VAT25="25.00"), item("SVC", "300.00", VAT19="25.00"), taxAmount="62.00"
            ),
            "items 450.00, document 462.00 EUR",
        ),
        (invoice("1.61", item("ANL", "1.00", VAT25="0.50"), taxAmount="0.61"), "items 1.50, document 1.61 EUR"),
        (
            credit_memo("462.00", memo_item("ANL", "400.00", VAT25="50.00"), taxAmount="62.00"),
            "items 450.00, document 462.00 EUR",
        ),
        (
            invoice("7362", item("ANL", "7000", VAT25="350"), taxAmount="362", currency="JPY"),
            "items 7350, document 7362 JPY",
        ),
    ],
)
def test_tax_that_no_item_names_does_not_add_up(document: DocumentCaptured, figures: str) -> None:
    evaluation = result(document)

    assert (evaluation.outcome, evaluation.reason) == (Status.FAILED, f"does not add up: {figures}")

"""Fingerprints and references never change: the golden file guards them against every later release."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.notifications import DocumentCaptured
from streams.accounting.documents import read_document
from streams.accounting.fingerprint import FINGERPRINT_VERSION
from streams.accounting.reference import applied_reference, reference, reversal_reference
from tests.support.company_10 import NOW, credit_memo, invoice, item, memo_item, payment, refund

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "accounting_golden.json").read_text())


@pytest.mark.parametrize("golden", GOLDEN, ids=[golden["is"] for golden in GOLDEN])
def test_fingerprint_and_reference_are_what_they_always_were(golden: dict[str, Any]) -> None:
    captured = DocumentCaptured(**golden["captured"], received_at=NOW, fetched_at=NOW)

    document = read_document(captured)

    assert document.fingerprint == golden["fingerprint"]
    assert reference(document.number, document.document_id, document.fingerprint) == golden["reference"]


def test_a_fingerprint_names_its_version() -> None:
    assert read_document(invoice("1.00")).fingerprint.startswith(f"{FINGERPRINT_VERSION}-")


def fingerprint(document: DocumentCaptured) -> str:
    return read_document(document).fingerprint


PLAIN = invoice("125.00", item("ANL", "100.00", VAT25="25.00"), taxAmount="25.00")


@pytest.mark.parametrize(
    "changed",
    [
        invoice("125.01", item("ANL", "100.00", VAT25="25.00")),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00"), currency="USD"),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00"), invoiceDate="2026-03-02"),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00"), status="Draft"),
        invoice("125.00", item("ANL", "100.00", VAT19="25.00")),
        invoice("125.00", item("ANL", "101.00", VAT25="24.00")),
        invoice("125.00", item("SVC", "100.00", VAT25="25.00")),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00", productName="Cloud")),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00", chargeType="Usage")),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00", accountingCode="3010")),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00", deferredRevenueAccountingCode="2970")),
        invoice("125.00", {**item("ANL", "100.00", VAT25="25.00"), "processingType": "Rounding"}),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00"), item("FREE", "0.00")),
        PLAIN.model_copy(update={"account_id": "A2"}),
    ],
)
def test_what_a_voucher_is_made_of_changes_the_fingerprint(changed: DocumentCaptured) -> None:
    assert fingerprint(changed) != fingerprint(PLAIN)


@pytest.mark.parametrize(
    "unchanged",
    [
        invoice("125", item("ANL", "1E+2", VAT25="12.5 + 12.500"), taxAmount=None),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00", VAT19="0.00", taxAmount="25", quantity="3")),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00"), balance="0.00", updatedDate="2027-01-01 00:00:00"),
        invoice("125.00", item("ANL", "100.00", VAT25="25.00"), transferredToAccounting="Yes", paymentAmount="125.00"),
        PLAIN.model_copy(update={"account_name": "New Name AB", "account_number": "A9"}),
    ],
)
def test_nothing_else_changes_the_fingerprint(unchanged: DocumentCaptured) -> None:
    assert fingerprint(unchanged) == fingerprint(PLAIN)


def test_payments_and_refunds_change_with_type_gateway_and_what_they_are_about() -> None:
    prints = [
        fingerprint(payment("5.00")),
        fingerprint(payment("5.00", type="External")),
        fingerprint(payment("5.00", gatewayId="GW2")),
        fingerprint(refund("5.00")),
        fingerprint(refund("5.00", paymentId="P2")),
        fingerprint(refund("5.00", of="memo")),
    ]

    assert len(set(prints)) == len(prints)
    assert fingerprint(payment("5.00", "4.00", refundAmount="1.00", appliedAmount="0")) == prints[0]


def test_a_memo_that_becomes_a_write_off_changes() -> None:
    finance = {"nonRevenueWriteOffAccountingCode": "6351 Bad debt"}
    memo = credit_memo("1.00", memo_item("ANL", "1.00", finance=finance))
    write_off = credit_memo("1.00", memo_item("ANL", "1.00", finance=finance), revenueImpacting="No")

    assert fingerprint(memo) != fingerprint(write_off)


@pytest.mark.parametrize(
    ("number", "readable"),
    [
        ("INV00004711", "INV00004711"),
        ("inv/2026 #4711-a", "INV20264711-A"),
        ("X" * 40, "X" * 25),
        ("Rechnung Ä 1", "RECHNUNG1"),
        ("", "8AD08D2989BD1F2C0189BD5A7"),
    ],
)
def test_a_reference_begins_with_the_documents_number(number: str, readable: str) -> None:
    name = reference(number, "8ad08d2989bd1f2c0189bd5a7e3a2001", "1-f")

    assert re.fullmatch(re.escape(readable) + r"-[A-Z2-7]{20}", name)
    assert len(reversal_reference(name)) <= 50


def test_the_same_state_has_the_same_reference_until_it_was_reversed() -> None:
    first = reference("INV1", "I1", "1-f")
    second = reference("INV1", "I1", "1-f", first)
    third = reference("INV1", "I1", "1-f", second)

    assert first == reference("INV1", "I1", "1-f", None)
    assert len({first, second, third, reference("INV1", "I1", "1-g"), reference("INV1", "I2", "1-f")}) == 5


def test_each_change_of_u_has_its_own_reference_also_the_second_time() -> None:
    own = reference("P-1", "P1", "1-f")
    down = applied_reference("P-1", "P1", own, Decimal("500.00"), Decimal("100.00"))
    up = applied_reference("P-1", "P1", down, Decimal("100.00"), Decimal("350.00"))
    down_again = applied_reference("P-1", "P1", up, Decimal("350.00"), Decimal("100.00"))
    up_again = applied_reference("P-1", "P1", down_again, Decimal("100.00"), Decimal("350.00"))

    assert len({own, down, up, down_again, up_again}) == 5
    assert down == applied_reference("P-1", "P1", own, Decimal(500), Decimal("100.0"))
    assert re.fullmatch(r"P-1-[A-Z2-7]{20}-A", down)
    assert len(reversal_reference(applied_reference("X" * 40, "P1", own, Decimal(1), Decimal(2)))) == 50

"""From what Zuora answered to the event that says so."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from schemas.base import DocumentType
from schemas.envelope import decode, encode
from schemas.errors import RefusedError
from schemas.notifications import DocumentCaptured, NotificationReceived
from streams.systems.zuora.accounts import KEPT_SECONDS, MOST_ACCOUNTS, AccountCache
from streams.systems.zuora.captured import DEEPEST, Account, Fetched, as_text, captured, captured_event_id

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTIFICATION = NotificationReceived(
    document_type=DocumentType.INVOICE, object_id="INV00004711", received_at=datetime(2026, 3, 1, 11, tzinfo=UTC)
)
INVOICE: dict[str, Any] = {
    "id": "8ad08d2989bd1f2c0189bd5a7e3a2001",
    "invoiceNumber": "INV00004711",
    "accountId": "8ad09e2b86f1c1a90186f2a6c0d41001",
    "currency": "EUR",
    "amount": "1500.00",
    "updatedDate": "2026-03-01 02:31:07",
    "items": [],
}


def event(document: dict[str, Any], now: datetime = NOON) -> DocumentCaptured:
    return captured(NOTIFICATION, Fetched(DocumentType.INVOICE, document), Account("x", "A1", "Nordic"), now)


def test_the_event_takes_its_ids_from_the_document_not_from_the_callout() -> None:
    seen = event(INVOICE)

    assert seen.record_id == "Invoice:8ad08d2989bd1f2c0189bd5a7e3a2001"
    assert seen.document_number == "INV00004711"
    assert seen.account_id == "8ad09e2b86f1c1a90186f2a6c0d41001"
    assert (seen.account_number, seen.account_name) == ("A1", "Nordic")
    assert (seen.amount, seen.currency) == (Decimal("1500.00"), "EUR")
    assert seen.updated_date == "2026-03-01 02:31:07"
    assert seen.received_at == NOTIFICATION.received_at
    assert seen.fetched_at == NOON
    assert seen.document == INVOICE


@pytest.mark.parametrize(
    ("amount", "currency", "told"),
    [
        ("1500.0", "EUR", "1500.00"),
        (1500, "EUR", "1500.00"),
        ("1500.000", "EUR", "1500.00"),
        ("1500.005", "EUR", "1500.005"),
        ("1500.0", "JPY", "1500"),
        ("1500", "KWD", "1500.000"),
        ("1500.0", "???", "1500.0"),
        ("1500.0", None, "1500.0"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency_and_is_never_rounded(
    amount: str | int, currency: str | None, told: str
) -> None:
    seen = event({**INVOICE, "amount": amount, "currency": currency})

    assert json.loads(encode(seen))["amount"] == told


def test_the_id_follows_from_the_content_alone() -> None:
    reordered = dict(reversed(INVOICE.items()))

    first = captured_event_id(event(INVOICE))

    assert captured_event_id(event(reordered, datetime(2027, 1, 1, tzinfo=UTC))) == first
    assert captured_event_id(event({**INVOICE, "amount": "1500.01"})) != first
    assert captured_event_id(event({**INVOICE, "id": "8ad08d2989bd1f2c0189bd5a7e3a2002"})) != first


def test_one_that_is_gone_can_go_again_after_another_state() -> None:
    gone = event(INVOICE).model_copy(update={"gone": True, "document": {}})
    again = gone.model_copy(update={"updated_date": "2026-03-02 00:00:00"})

    assert len({captured_event_id(gone), captured_event_id(again), captured_event_id(event(INVOICE))}) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1190.10"), "1190.10"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.00000001"), "-0.00000001"),
        (7, 7),
        (True, True),
        (None, None),
        ("1,5", "1,5"),
        ([{"a": Decimal("0.1")}], [{"a": "0.1"}]),
        (2**63, "9223372036854775808"),
        ("half \ud83d", "half ?"),
    ],
)
def test_decimals_become_text_and_all_else_stays(value: Any, text: Any) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize("number", [Decimal("1E+999999999"), Decimal("1E-999999999"), 10**100])
def test_a_number_that_would_fill_the_memory_is_refused(number: Any) -> None:
    with pytest.raises(RefusedError, match="digits"):
        as_text({"amount": number})


def test_nesting_has_a_bound() -> None:
    value: Any = "x"
    for _ in range(DEEPEST + 1):
        value = [value]

    with pytest.raises(RefusedError, match="nested"):
        as_text(value)


@pytest.mark.parametrize("amount", [None, "", "abc", "NaN", True, [], "Infinity"])
def test_an_amount_that_cannot_be_read_is_none(amount: Any) -> None:
    assert event({**INVOICE, "amount": amount}).amount is None


def test_what_a_strange_document_holds_survives_the_wire() -> None:
    strange = as_text({**INVOICE, "note": "\ud800", "huge": 2**70, "nested": [{"deep": None}]})

    assert decode(DocumentCaptured, encode(event(strange))).document == strange


def test_an_account_is_forgotten_after_some_minutes_and_when_there_are_too_many() -> None:
    now = 0.0
    cache = AccountCache(clock=lambda: now)
    cache.put(Account("first", "A1", "One"))

    assert cache.get("first") == Account("first", "A1", "One")
    now = KEPT_SECONDS
    assert cache.get("first") is None
    now = 0.0
    for number in range(MOST_ACCOUNTS):
        cache.put(Account(str(number)))
    assert cache.get("first") is None
    assert cache.get("0") == Account("0")

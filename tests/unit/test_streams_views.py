"""Folds of events into what people read."""

from decimal import Decimal

import pytest

from schemas.audit import Gap, Record
from schemas.base import Status
from streams.json_schemas import event_schemas
from streams.views.json import json_value
from streams.views.records import record_after, step_of
from streams.views.summary import StatusTotal, add_up, gap_key, status_totals
from streams.views.tally import Tally
from tests.support.projecting import step


def test_a_step_carries_the_whole_record() -> None:
    event = step("Invoice:1", "posted", amount="1190.00", currency="EUR", note="n", reason="r", previous="posting")

    record = record_after(event)

    assert type(record) is Record
    assert json_value(record)["amount"] == "1190.00"
    assert "note" not in json_value(record)
    told = step_of("e1", event)
    assert (told.event_id, told.status, told.previous, told.reason, told.note) == (
        "e1",
        Status.POSTED,
        Status.POSTING,
        "r",
        "n",
    )


@pytest.mark.parametrize("late", ["received", "fetched"])
@pytest.mark.parametrize("known", ["ready", "posting", "posted", "mapping-missing", "settled-by-hand", "corrected"])
def test_what_a_collector_tells_late_does_not_change_what_the_bookkeeper_said(known: str, late: str) -> None:
    standing = record_after(step("Invoice:1", known))

    assert record_after(step("Invoice:1", late, previous="received", actor="collector"), standing) == standing


@pytest.mark.parametrize(("known", "then"), [("received", "fetched"), ("failed", "received"), ("fetched", "ready")])
def test_a_step_in_its_time_changes_the_record(known: str, then: str) -> None:
    standing = record_after(step("Invoice:1", known))

    assert record_after(step("Invoice:1", then), standing).status == then


def test_a_tally_is_the_sum_of_what_was_taken_and_added() -> None:
    tally: Tally[str] = Tally()
    tally.add("a", Decimal("10.10"))
    tally.add("a", Decimal("10.10"), -1)
    tally.add("b", Decimal("0.30"))
    tally.add("b", Decimal("0.10"), -1)
    tally.add("c", None)

    assert {key: (count.records, count.amount) for key, count in tally.changes()} == {
        "b": (0, Decimal("0.20")),
        "c": (1, Decimal(0)),
    }


def test_currencies_never_add() -> None:
    sums = add_up([("EUR", Decimal("1.10")), ("USD", Decimal(2)), ("EUR", Decimal("2.20")), (None, Decimal(0))])

    assert [(money.currency, money.amount) for money in sums] == [("EUR", Decimal("3.30")), ("USD", Decimal(2))]


def test_every_status_has_a_total() -> None:
    assert status_totals([]) == [StatusTotal(status=status, records=0, amounts=()) for status in Status]


def test_gaps_are_told_apart_by_all_that_is_to_be_filled_in() -> None:
    one = Gap(kind="cash", company="10", currency="EUR", gateway="G1")

    assert gap_key(one) == gap_key(one.model_copy())
    assert gap_key(one) != gap_key(one.model_copy(update={"gateway": None}))


def test_gaps_in_json_have_only_what_they_name() -> None:
    event = step("Invoice:1", "mapping-missing", missing=[{"kind": "account", "key": "A1"}])

    assert json_value(record_after(event))["missing"] == [{"kind": "account", "key": "A1"}]


def test_schemas_are_closed_and_in_the_words_of_the_wire() -> None:
    found = event_schemas()["RecordStatusChanged"]

    assert found["additionalProperties"] is False
    assert found["properties"]["amount"] == {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "default": None,
        "title": "Amount",
    }
    assert "documentType" in found["required"]
    assert event_schemas()["DocumentCaptured"]["properties"]["document"]["additionalProperties"] is True

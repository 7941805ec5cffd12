"""Events as Kafka takes them: every one belongs to a trace."""

import re
from datetime import UTC, datetime

import pytest

from schemas.mappings import AccountMappingRemoved
from streams.log.cutting import without_bytes
from streams.log.messages import Message, NeverInATopic, dead_letter, event_message, letter_again
from streams.log.reader import LogRecord

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT = AccountMappingRemoved(account_id="8ad0", actor="ann", at=NOON)


def removal(traceparent: str | None) -> Message:
    return event_message(
        "ledger.mapping.v1",
        "8ad0",
        EVENT,
        event_id="1",
        process="cli",
        subject="account/8ad0",
        time=NOON,
        traceparent=traceparent,
    )


def test_an_event_that_nothing_led_to_begins_a_trace_of_its_own() -> None:
    first, second = (dict(removal(None).headers)["traceparent"].decode() for _ in range(2))

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", first)
    assert first != second


@pytest.mark.parametrize(
    ("key", "kept_key"), [(b"A1", b"A1"), (None, None), (b"k" * 64 * 1024, b"k" * 64 * 1024), (b"k" * 70_000, None)]
)
def test_a_dead_letter_that_is_too_large_leaves_its_bytes_where_it_came_from(
    key: bytes | None, kept_key: bytes | None
) -> None:
    origin = LogRecord("t", 2, 7, key, b"x" * 100_000, {"ce_id": b"e1", "dlq.topic": b"made up"}, NOON)
    whole = dead_letter("dead", origin, "not JSON")
    cut = dead_letter("dead", origin, "not JSON", largest=100_000)

    assert (whole.key, whole.value, dict(whole.headers)["ce_id"]) == (key, origin.value, b"e1")
    assert (cut.key, cut.value) == (kept_key, b"")
    about = {name: value for name, value in whole.headers if name.startswith("dlq.") and name != "dlq.time"}
    kept = dict(cut.headers)
    del kept["dlq.time"]
    assert kept == about | {"dlq.left-out": b"true"}
    again = letter_again(
        "dead", LogRecord("dead", 0, 0, cut.key, cut.value, dict(cut.headers), NOON), {"dlq.resent": "x"}
    )
    assert without_bytes(again.key, again.headers) == (again.key, _in_order(again))
    assert dict(again.headers) == dict(cut.headers) | {"dlq.resent": b"x"}


def _in_order(letter: Message) -> tuple[tuple[str, bytes], ...]:
    headers = dict(letter.headers)
    left_out = headers.pop("dlq.left-out")
    return (*headers.items(), ("dlq.left-out", left_out))


def test_what_is_nowhere_else_and_what_is_no_dead_letter_is_never_cut() -> None:
    callout = dead_letter("dead", NeverInATopic("t", b"k", b"body", {"ce_id": b"e"}), "of no type")
    assert without_bytes(callout.key, callout.headers) is None
    assert without_bytes(b"8ad0", removal(None).headers) is None


def test_an_event_goes_on_with_the_trace_of_what_led_to_it() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    assert dict(removal(trace).headers)["traceparent"] == trace.encode()

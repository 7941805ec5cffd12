"""Events as Kafka takes them: every one belongs to a trace."""

import re
from datetime import UTC, datetime

from schemas.mappings import AccountMappingRemoved
from streams.log.messages import Message, event_message

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


def test_an_event_goes_on_with_the_trace_of_what_led_to_it() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    assert dict(removal(trace).headers)["traceparent"] == trace.encode()

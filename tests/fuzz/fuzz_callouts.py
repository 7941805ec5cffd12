"""Coverage-guided fuzzing of what reads callouts: `make fuzz`, or with options of libFuzzer as arguments.

An input is three bytes that choose content type, content encoding and query, and the body. What is asked of it: it is
read or told to be unreadable, in time and memory, and what is read can be written as an event and read again.
"""

import sys
from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["streams.callouts", "defusedxml", "json", "email"]):
    from streams.callouts.bodies import BodyTooLargeError, unpacked
    from streams.callouts.reading import Callout, Unknown, Unreadable, read_callout
    from streams.callouts.telling import notification_message

from schemas.envelope import decode
from schemas.notifications import NotificationReceived
from schemas.topics import TopicNames

MOST_BYTES = 262_144
LARGEST_EVENT_BYTES = 1024 * 1024
CONTENT_TYPES = (
    "application/json",
    "application/json; charset=utf-16",
    "application/json; charset=utf-32",
    "application/json; charset*=utf-7''%ff",
    "application/x-www-form-urlencoded",
    "text/xml; charset=iso-8859-1",
    "",
)
ENCODINGS = ("", "gzip", "deflate", "br")
QUERIES: tuple[dict[str, str], ...] = ({}, {"InvoiceId": "8ad0"}, {"event": "PaymentProcessed", "token": "x"})
NAMES = TopicNames("", "fuzz")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def one_input(data: bytes) -> None:
    """Read one callout and check what came of it; an assertion that fails is a finding."""
    choice, body = data[:3].ljust(3, b"\0"), data[3:]
    content_type = CONTENT_TYPES[choice[0] % len(CONTENT_TYPES)]
    try:
        plain = unpacked(body, ENCODINGS[choice[1] % len(ENCODINGS)], MOST_BYTES)
    except BodyTooLargeError:
        return
    callout = read_callout(plain, content_type, QUERIES[choice[2] % len(QUERIES)], {})
    assert isinstance(callout, Callout | Unknown | Unreadable)
    if isinstance(callout, Callout):
        message = notification_message(NAMES, callout, delivery="d", received_at=NOW, traceparent="t")
        assert len(message.value or b"") < LARGEST_EVENT_BYTES
        event = decode(NotificationReceived, message.value)
        assert (event.object_id, event.fields) == (callout.object_id, callout.fields)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

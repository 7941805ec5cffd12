"""Events and dead letters as Kafka takes them: key, value, headers."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from schemas.base import Model, utc_now
from schemas.envelope import SOURCE, Envelope, encode, utc_text
from schemas.errors import UnreadableError
from schemas.topics import LARGEST_MESSAGE_BYTES
from streams.log.cutting import ABOUT_LETTERS, without_bytes
from streams.log.producer import record_bytes

LONGEST_LETTER_TEXT = 500
"""Characters of a reason or exception kept in a header."""
LONGEST_TRACE = 512
"""Characters of a `traceparent` that is carried on; those of today have 55 (W3C Trace Context, section 3.2)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One Kafka record to be sent; `partition` None leaves it to the key's murmur2 hash."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None


def new_traceparent() -> str:
    """Return the `traceparent` of a trace that begins here (W3C Trace Context, section 3.2)."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def event_message(
    topic: str,
    key: str,
    event: Model,
    *,
    event_id: str,
    process: str,
    subject: str,
    time: datetime,
    traceparent: str | None = None,
    partition: int | None = None,
) -> Message:
    """Return an event under its key, with its CloudEvents attributes; `process` is who says it, such as `collector`.

    Without a `traceparent` that led to it, a trace begins with it.
    """
    trace = traceparent or new_traceparent()
    envelope = Envelope(event_id, type(event).__name__, f"{SOURCE}/{process}", subject, time, trace)
    return enveloped(topic, key, encode(event), envelope, partition)


def enveloped(topic: str, key: str, value: bytes, envelope: Envelope, partition: int | None = None) -> Message:
    """Return an event that is encoded already."""
    return Message(topic, key.encode(), value, tuple(envelope.headers()), partition)


class Origin(Protocol):
    """Where a record was read, and all of it; events and records of the reader are such."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - a record's own words
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> dict[str, bytes]: ...  # noqa: D102


def header_text(headers: Mapping[str, bytes], name: str) -> str | None:
    """Return a header as text, whatever its bytes are; None where it is missing or empty."""
    return headers.get(name, b"").decode(errors="replace") or None


def trace_text(headers: Mapping[str, bytes]) -> str | None:
    """Return the trace that a record belongs to; None for what is too long to go on with, in a topic of 1 MB."""
    trace = header_text(headers, "traceparent")
    return trace if trace and len(trace) <= LONGEST_TRACE else None


def key_text(origin: Origin) -> str:
    """Return the key of a record that must have one.

    Raises:
        UnreadableError: it has none, or not one in UTF-8.

    """
    try:
        text = (origin.key or b"").decode()
    except UnicodeDecodeError:
        raise UnreadableError("its key is not UTF-8") from None
    if not text:
        raise UnreadableError("it has no key")
    return text


@dataclass(frozen=True, slots=True)
class NeverInATopic:
    """What was meant for a topic and never got there, such as a webhook's unreadable body."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    partition: int = -1
    offset: int = -1


def dead_letter(
    topic: str,
    origin: Origin,
    reason: str,
    exception: BaseException | None = None,
    *,
    largest: int = LARGEST_MESSAGE_BYTES,
) -> Message:
    """Return the original bytes under the original key, with `dlq.*` headers that say where they came from and why.

    What is larger with them than `largest` bytes is parked without: its bytes stay where they are, in a topic that is
    kept forever, and `dlq.left-out` says so. A producer does the same where it knows that the topic takes less.
    """
    told = {
        "dlq.topic": origin.topic,
        "dlq.partition": str(origin.partition),
        "dlq.offset": str(origin.offset),
        "dlq.reason": reason[:LONGEST_LETTER_TEXT],
        "dlq.exception": f"{type(exception).__name__}: {exception}"[:LONGEST_LETTER_TEXT] if exception else "",
        "dlq.time": utc_text(utc_now()),
    }
    kept = {name: value for name, value in origin.headers.items() if not name.startswith(ABOUT_LETTERS)}
    return _fitting(topic, origin, kept, told, largest)


def letter_again(topic: str, parked: Origin, told: Mapping[str, str]) -> Message:
    """Return a dead letter as it is parked, with more that is to be known of it: a repeat for who does not read it."""
    headers = parked.headers.items()
    kept = {name: value for name, value in headers if not name.startswith(ABOUT_LETTERS)}
    before = {name: value.decode(errors="replace") for name, value in headers if name.startswith(ABOUT_LETTERS)}
    return _fitting(topic, parked, kept, {**before, **told}, LARGEST_MESSAGE_BYTES)


def _fitting(topic: str, origin: Origin, kept: Mapping[str, bytes], told: Mapping[str, str], largest: int) -> Message:
    about = tuple((name, text.encode()) for name, text in told.items())
    headers = (*kept.items(), *about)
    is_too_large = record_bytes(origin.key, origin.value, headers) > largest
    if is_too_large and (left := without_bytes(origin.key, about)):
        key, headers = left
        return Message(topic, key, b"", headers)
    # aiokafka sends no record that has neither key nor value, and other clients do.
    value = b"" if origin.key is None and origin.value is None else origin.value
    return Message(topic, origin.key, value, headers)

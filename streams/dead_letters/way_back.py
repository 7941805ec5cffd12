"""The message that a dead letter goes back as: its bytes under its key, or a callout that can be read by now."""

from collections.abc import Mapping
from dataclasses import replace

import orjson

from schemas import topics
from schemas.envelope import event_id, utc_text
from schemas.errors import UnreadableError
from schemas.topics import LARGEST_MESSAGE_BYTES, TopicNames
from streams.callouts.bodies import unpacked
from streams.callouts.reading import NOTIFICATION_ID_HEADER, Callout, read_callout
from streams.callouts.telling import notification_message
from streams.dead_letters.reading import DeadLetterError, original_headers
from streams.log.messages import Message, header_text
from streams.log.producer import record_bytes
from streams.log.reader import LogRecord
from streams.requests import Word
from streams.views.dead_letters import DeadLetter

ORIGIN = "resend"
"""Of the notification of a callout that could be read at a later time."""
RESENT_FROM = "resent-from"
"""Header of what was sent back: which dead letter it was. It stays where that becomes a dead letter again."""

_ADDRESSED = (topics.CHART_COPY, topics.RELEASE, topics.POSTING_RETRY)
"""Working topics whose records go to a partition by its number."""

_NO_WAY_BACK = {
    topics.CREDENTIAL: "credentials are not sent back, they would hide newer ones: `zuora-ifs credentials set`",
    topics.AUDIT: "a step of a record is not sent back, it would stand for its newest: a release that can read it"
    " reads it where it lies",
    topics.PROPOSAL: "proposals and decisions are not sent back, others were made since: propose or decide once more;"
    " a release that can read it reads it where it lies",
    topics.DEAD_LETTER: "it came to the dead letters themselves and was none: there is nowhere else to send it",
}
"""What is read where it lies, in its order, by who comes to be able to; at the end it would say something else."""


def way_back(names: TopicNames, letter: DeadLetter, record: LogRecord, word: Word) -> Message:
    """Return what a letter goes back as, with who sends it; `record` is the letter as it is parked.

    Raises:
        UnreadableError: a webhook's callout that still cannot be read, so there is no topic for it.
        DeadLetterError: it came from no topic to which it could go back.

    """
    message = _callout(names, letter, record) if letter.is_callout else _original(names, letter, record)
    told = {
        RESENT_FROM: letter.id,
        "resent-by": word.actor,
        "resent-at": utc_text(word.at),
        "resent-reason": word.reason,
    }
    headers = dict(message.headers) | {name: text.encode() for name, text in told.items()}
    signed = replace(message, headers=tuple(headers.items()))
    fitting = next((one for one in (signed, message) if _fits(one)), None)  # the mark tells who sent it, too
    if fitting is None:
        raise DeadLetterError("it is larger than what this program sends: have its own client send it again")
    return fitting


def _fits(message: Message) -> bool:
    return record_bytes(message.key, message.value, message.headers) <= LARGEST_MESSAGE_BYTES


def _original(names: TopicNames, letter: DeadLetter, record: LogRecord) -> Message:
    if why := next((why for name, why in _NO_WAY_BACK.items() if letter.topic == names.public(name)), None):
        raise DeadLetterError(why)
    known = {names.public(spec.name) for spec in topics.PUBLIC_TOPICS}
    if letter.topic not in known | {names.working(spec.name) for spec in topics.WORKING_TOPICS}:
        raise DeadLetterError(f"{letter.topic} is no topic of this app id and prefix: send it back with its own")
    headers = original_headers(record)
    if letter.topic == names.public(topics.NOTIFICATION) and "ce_id" in headers:
        # The collector has noted it as done where it gave it up; the same letter has the same id each time.
        headers["ce_id"] = event_id(ORIGIN, letter.id).encode()
    is_addressed = letter.topic in {names.working(name) for name in _ADDRESSED}
    partition = letter.partition if is_addressed else None
    # aiokafka sends no record that has neither key nor value.
    value = b"" if record.key is None and record.value is None else record.value
    return Message(letter.topic, record.key, value, tuple(headers.items()), partition)


def _callout(names: TopicNames, letter: DeadLetter, record: LogRecord) -> Message:
    """Read a webhook's body once more, with what is known of callouts today."""
    headers = record.headers
    body = unpacked(record.value or b"", header_text(headers, "content-encoding") or "", LARGEST_MESSAGE_BYTES)
    notification_id = header_text(headers, "zuora-notification-id")
    sent_with = {NOTIFICATION_ID_HEADER: notification_id} if notification_id else {}
    callout = read_callout(body, header_text(headers, "content-type") or "", _query(headers), sent_with)
    if not isinstance(callout, Callout):
        raise UnreadableError(callout.reason)
    delivery = record.event_id or event_id(ORIGIN, letter.id)
    return notification_message(names, callout, delivery=delivery, received_at=letter.time, origin=ORIGIN)


def _query(headers: Mapping[str, bytes]) -> dict[str, str]:
    try:
        told = orjson.loads(headers.get("http.query") or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return {name: value for name, value in told.items() if isinstance(value, str)} if isinstance(told, dict) else {}

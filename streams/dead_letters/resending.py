"""Sending dead letters back.

To send one back twice is harmless. One that was sent back is passed over unless that is wanted `again`; and what comes
again is known by what it is: a notification by its event id, a document by its content, a command by its id, a request
by its event id, while a mapping is only set once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schemas.envelope import decode_any, utc_text
from schemas.errors import LogError, UnreadableError
from schemas.topics import DEAD_LETTER, TopicNames
from streams.dead_letters.reading import DeadLetterError, parked_records
from streams.dead_letters.way_back import way_back
from streams.log.messages import Message, letter_again
from streams.log.producer import LogProducer
from streams.log.reader import LogRecord
from streams.log.sending import BrokenOffError
from streams.requests import Word
from streams.settings import KafkaSettings
from streams.views.dead_letters import (
    RESENT,
    RESENT_AT,
    RESENT_BY,
    RESENT_REASON,
    RESENT_TO,
    DeadLetter,
    place_id,
)


class Outcome(StrEnum):
    """What became of a dead letter that was to be sent back."""

    SENT = "sent"
    WOULD_BE_SENT = "would-be-sent"
    """It was a dry run."""
    PASSED_OVER = "passed-over"
    """It was sent back before."""
    NOT_SENT = "not-sent"
    """It cannot be sent back."""


@dataclass(frozen=True, slots=True)
class Resending:
    """What became of one dead letter, where it lies now, and what is to be known of it."""

    letter: str
    outcome: Outcome
    sent_to: str | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as lists give it."""
        return {"id": self.letter, "outcome": self.outcome.value, "to": self.sent_to, "note": self.note}


@dataclass(frozen=True, slots=True)
class _Back:
    """A dead letter, as it is parked, and the message that it goes back as."""

    letter: DeadLetter
    record: LogRecord
    message: Message

    def told(self, sent_to: str | None) -> Resending:
        """Return what became of it; the note says why it will come back, as far as its bytes tell."""
        outcome = Outcome.SENT if sent_to else Outcome.WOULD_BE_SENT
        try:
            decode_any(dict(self.message.headers), self.message.value)
        except UnreadableError as error:
            note = f"still cannot be read, and will come back as a dead letter: {error}"
            return Resending(self.letter.id, outcome, sent_to, note)
        return Resending(self.letter.id, outcome, sent_to)


async def resend(
    kafka: KafkaSettings,
    names: TopicNames,
    letters: Sequence[DeadLetter],
    word: Word,
    *,
    again: bool = False,
    dry_run: bool = False,
) -> list[Resending]:
    """Send letters back where they came from, in the order given, and mark each as sent back.

    A crash in between leaves one that is in and not marked: sent once more, it does no harm.

    Raises:
        LogUnavailableError: Kafka cannot be reached; nothing was sent.
        TopicsError: the log does not have the bytes of one any more; nothing was sent.
        BrokenOffError: some were not confirmed; the message says how many are in.

    """
    records = await parked_records(kafka, letters)
    planned = [_planned(names, *pair, word, again=again) for pair in zip(letters, records, strict=True)]
    if dry_run or not any(isinstance(one, _Back) for one in planned):
        return [one.told(None) if isinstance(one, _Back) else one for one in planned]
    producer = LogProducer(kafka, client_id=f"{names.app_id}-{word.process}")
    await producer.start()
    done: list[Resending] = []
    try:
        for one in planned:
            if isinstance(one, Resending):
                done.append(one)
            else:
                done.append(one.told(await _send(producer, names, one, word)))
    except LogError as error:
        sent = sum(one.outcome is Outcome.SENT for one in done)
        raise BrokenOffError(f"{error}; {sent} were sent back: run the command again, it passes over those") from error
    finally:
        await producer.stop()
    return done


async def _send(producer: LogProducer, names: TopicNames, back: _Back, word: Word) -> str:
    """Append a letter where it came from, then that it was; return where it lies now."""
    place, letter = await _append(producer, back.message), back.letter
    parked = {
        "dlq.topic": letter.topic,
        "dlq.partition": str(letter.partition),
        "dlq.offset": str(letter.offset),
        "dlq.reason": letter.reason,
        "dlq.exception": letter.exception or "",
        "dlq.time": utc_text(letter.time),
    }
    about = {
        RESENT: letter.id,
        RESENT_TO: place,
        RESENT_BY: word.actor,
        RESENT_AT: utc_text(word.at),
        RESENT_REASON: word.reason,
    }
    await _append(producer, letter_again(names.public(DEAD_LETTER), back.record, parked | about))
    return place


async def _append(producer: LogProducer, message: Message) -> str:
    told = await producer.send_and_confirm(
        message.topic, key=message.key, value=message.value, headers=message.headers, partition=message.partition
    )
    return place_id(told.topic, told.partition, told.offset)


def _planned(names: TopicNames, letter: DeadLetter, record: LogRecord, word: Word, *, again: bool) -> _Back | Resending:
    """Return what is to be sent, or why nothing is."""
    if letter.resent and not again:
        last = letter.resent[-1]
        note = f"sent back before, by {last.actor} at {utc_text(last.at)}, to {last.to}"
        return Resending(letter.id, Outcome.PASSED_OVER, note=note)
    try:
        return _Back(letter, record, way_back(names, letter, record, word))
    except UnreadableError as error:
        return Resending(letter.id, Outcome.NOT_SENT, note=f"still cannot be read: {error}")
    except DeadLetterError as error:
        return Resending(letter.id, Outcome.NOT_SENT, note=str(error))

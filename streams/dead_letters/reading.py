"""A dead letter by its id, and its bytes from the log."""

from collections.abc import Sequence
from typing import Any

from schemas.errors import ConnectorError
from schemas.topics import TopicNames
from streams.callouts.vocabulary import without_credentials
from streams.log.cutting import ABOUT_LETTERS
from streams.log.messages import Origin
from streams.log.reader import LogRecord, read_many
from streams.projection.queries import ReadModel
from streams.settings import KafkaSettings
from streams.views.dead_letters import DeadLetter


class DeadLetterError(ConnectorError):
    """There is no such dead letter, or it cannot be sent back."""


def letter_named(model: ReadModel, names: TopicNames, letter_id: str) -> DeadLetter:
    """Return the dead letter of an id; the prefix of its topic may be left out.

    Raises:
        DeadLetterError: there is none.

    """
    letter = model.dead_letter(letter_id) or model.dead_letter(names.public(letter_id))
    if letter is None:
        raise DeadLetterError(f"no dead letter {letter_id!r}: `zuora-ifs dead-letters list` gives their ids")
    return letter


async def parked_records(kafka: KafkaSettings, letters: Sequence[DeadLetter]) -> list[LogRecord]:
    """Return the letters as they are parked, with their bytes; those of one that was too large from where it was.

    Raises:
        LogUnavailableError: Kafka does not answer in time.
        TopicsError: the log does not have one any more.

    """
    parked = await read_many(kafka, [_place(letter.parked) for letter in letters])
    left_out = [_place(letter.id) for letter in letters if letter.is_left_out]
    whole = iter(await read_many(kafka, left_out))
    return [next(whole) if letter.is_left_out else one for letter, one in zip(letters, parked, strict=True)]


def original_headers(record: Origin) -> dict[str, bytes]:
    """Return the headers that a parked record came with."""
    return {name: value for name, value in record.headers.items() if not name.startswith(ABOUT_LETTERS)}


def headers_told(record: Origin) -> dict[str, str]:
    """Return the original headers as text, hexadecimal where they are none, without what looks like a credential."""
    told = {name: bytes_told(value) or {} for name, value in original_headers(record).items()}
    kept: dict[str, Any] = without_credentials(told)
    return {name: one.get("text", one.get("hex", "")) for name, one in kept.items()}


def bytes_told(value: bytes | None) -> dict[str, str] | None:
    """Return bytes under `text`, or under `hex` where they are none that could be shown."""
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return {"hex": value.hex()}
    return {"text": text} if all(one.isprintable() or one in "\t\r\n" for one in text) else {"hex": value.hex()}


def _place(place: str) -> tuple[str, int, int]:
    topic, partition, offset = place.rsplit("/", 2)
    return topic, int(partition), int(offset)

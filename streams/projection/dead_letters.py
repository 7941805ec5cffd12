"""Dead letters into tables: each once, however often a crash had it parked, with when it was sent back."""

import sqlite3

from schemas.envelope import encode
from streams.log.messages import header_text
from streams.log.reader import LogRecord
from streams.projection.records import microseconds
from streams.projection.unparked import forget_parked
from streams.views.dead_letters import DeadLetter, Resent, place_id, read_letter


def write_letter(connection: sqlite3.Connection, record: LogRecord) -> None:
    """Write one record of the topic of dead letters.

    Raises:
        UnreadableError: it was not parked by us.

    """
    match read_letter(record, record.timestamp):
        case DeadLetter() as letter:
            row = (letter.id, _known_by(letter, record), letter.topic, microseconds(letter.time), encode(letter))
            connection.execute("INSERT OR IGNORE INTO dead_letters VALUES (?, ?, ?, ?, ?)", row)
            forget_parked(connection, letter.id)
        case Resent() as resent:
            place = place_id(record.topic, record.partition, record.offset)
            connection.execute("INSERT OR IGNORE INTO resent VALUES (?, ?, ?)", (resent.letter, place, encode(resent)))


def _known_by(letter: DeadLetter, record: LogRecord) -> str:
    """Return what tells repeats: of a callout that Zuora delivers again, the id of its notification."""
    is_numbered = letter.is_callout and header_text(record.headers, "zuora-notification-id")
    return f"callout/{record.event_id}" if is_numbered and record.event_id else letter.id

"""What no worker reads and this program could not: kept whole until it is found among the dead letters."""

import sqlite3
from collections.abc import Iterable

import orjson

from streams.log.reader import LogRecord
from streams.projection.records import microseconds, moment
from streams.views.dead_letters import place_id

MOST_UNPARKED = 500
MOST_UNPARKED_BYTES = 16 * 1024 * 1024
"""Of those that are asked for at once; a first one that is larger comes alone."""


def keep_unparked(connection: sqlite3.Connection, found: Iterable[tuple[LogRecord, str]]) -> None:
    """Keep records with the reasons why they cannot be read, unless their dead letters are known."""
    for record, reason in found:
        place = place_id(record.topic, record.partition, record.offset)
        headers = orjson.dumps({name: value.decode("latin-1") for name, value in record.headers.items()})
        connection.execute(
            "INSERT OR IGNORE INTO unparked SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?"
            " WHERE NOT EXISTS (SELECT 1 FROM dead_letters WHERE id = ?)",
            (
                *(place, record.topic, record.partition, record.offset),
                *(record.key, record.value, headers, microseconds(record.timestamp), reason, place),
            ),
        )


def forget_parked(connection: sqlite3.Connection, letter_id: str) -> None:
    """Let go of what is parked now."""
    connection.execute("DELETE FROM unparked WHERE id = ?", (letter_id,))


def unparked(connection: sqlite3.Connection) -> list[tuple[LogRecord, str]]:
    """Return some of what is to be parked, with the reasons; nothing where all is."""
    found: list[tuple[LogRecord, str]] = []
    size = 0
    columns = "topic, partition, log_offset, key, value, headers, time, reason"
    rows = connection.execute(f"SELECT {columns} FROM unparked ORDER BY rowid LIMIT ?", (MOST_UNPARKED,))  # noqa: S608
    for topic, partition, offset, key, value, headers, time, reason in rows:
        size += len(key or b"") + len(value or b"") + len(headers)
        if found and size > MOST_UNPARKED_BYTES:
            break
        named = {name: text.encode("latin-1") for name, text in orjson.loads(headers).items()}
        found.append((LogRecord(topic, partition, offset, key, value, named, moment(time)), reason))
    return found

"""The audit trail into tables: records as they stand, their steps, and totals that never need a walk over them."""

import sqlite3
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from schemas.audit import Gap, Record, RecordStatusChanged
from schemas.base import Status
from schemas.envelope import decode, encode
from streams.log.reader import LogRecord
from streams.views.records import record_after, step_of
from streams.views.summary import gap_key
from streams.views.tally import Count, Tally

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
IDS_PER_QUERY = 500
"""SQLite takes at least 999 variables in a statement."""

TotalKey = tuple[str, str, str]
"""Status, document type, currency (empty for none)."""
GapKey = tuple[str, str]
"""Gap and currency."""


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970, which sort as times do."""
    return (moment - EPOCH) // MICROSECOND


def moment(since: int) -> datetime:
    """Return the moment that is so many microseconds after 1970 began."""
    return EPOCH + since * MICROSECOND


def write_steps(
    connection: sqlite3.Connection,
    events: list[tuple[LogRecord, RecordStatusChanged]],
    shown: Callable[[str | None], str | None] = lambda name: name,
) -> None:
    """Write steps and what they change; a step whose event is known already changes nothing.

    `shown` gives an account's name as people see it; what is kept of the record has the name as it is in the log.
    """
    new = [event for source, event in events if _insert_step(connection, source, event)]
    if new:
        before = _read(connection, {event.id for event in new})
        latest = dict(before)
        for event in new:
            latest[event.id] = record_after(event, latest.get(event.id))
        _write(connection, latest.values(), shown)
        _count_totals(connection, before.values(), latest.values())
        _count_gaps(connection, before.values(), latest.values())


def _insert_step(connection: sqlite3.Connection, source: LogRecord, event: RecordStatusChanged) -> bool:
    event_id = source.event_id or f"{source.partition}/{source.offset}"
    row = (event.id, event_id, source.offset, encode(step_of(event_id, event)))
    return connection.execute("INSERT OR IGNORE INTO steps VALUES (?, ?, ?, ?)", row).rowcount == 1


def _read(connection: sqlite3.Connection, ids: Collection[str]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    wanted = list(ids)
    for start in range(0, len(wanted), IDS_PER_QUERY):
        some = wanted[start : start + IDS_PER_QUERY]
        marks = ",".join("?" * len(some))
        rows = connection.execute(f"SELECT id, body FROM records WHERE id IN ({marks})", some)  # noqa: S608 - marks only
        found |= {record_id: decode(Record, body) for record_id, body in rows}
    return found


def _write(
    connection: sqlite3.Connection, records: Collection[Record], shown: Callable[[str | None], str | None]
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                record.id,
                record.status.value,
                record.document_type.value,
                record.document_number,
                record.account_id,
                record.account_number,
                shown(record.account_name),
                record.currency,
                format(record.amount, "f") if record.amount is not None else None,
                bool(record.vouchers or record.voucher),
                microseconds(record.received_at),
                encode(record),
            )
            for record in records
        ],
    )


def _count_totals(connection: sqlite3.Connection, before: Collection[Record], after: Collection[Record]) -> None:
    tally: Tally[TotalKey] = Tally()
    for sign, records in ((-1, before), (1, after)):
        for record in records:
            key = (record.status.value, record.document_type.value, record.currency or "")
            tally.add(key, record.amount, sign)
    for key, change in tally.changes():
        where = "status = ? AND document_type = ? AND currency = ?"
        row = connection.execute(f"SELECT records, amount FROM totals WHERE {where}", key).fetchone()  # noqa: S608
        connection.execute("INSERT OR REPLACE INTO totals VALUES (?, ?, ?, ?, ?)", (*key, *_changed(row, change)))


def _count_gaps(connection: sqlite3.Connection, before: Collection[Record], after: Collection[Record]) -> None:
    tally: Tally[GapKey] = Tally()
    gaps: dict[str, Gap] = {}
    for sign, records in ((-1, before), (1, after)):
        waiting = [(gap_key(gap), gap, record) for record in records for gap in _waits_for(record)]
        for key, gap, record in waiting:
            gaps[key] = gap
            tally.add((key, record.currency or ""), record.amount, sign)
        _note_waiting(connection, [(key, record.id) for key, _, record in waiting], waits=sign > 0)
    for (key, currency), change in tally.changes():
        where = "gap = ? AND currency = ?"
        row = connection.execute(f"SELECT records, amount FROM gap_totals WHERE {where}", (key, currency)).fetchone()  # noqa: S608
        records_left, amount = _changed(row, change)
        if records_left:
            values = (key, currency, records_left, amount, encode(gaps[key]))
            connection.execute("INSERT OR REPLACE INTO gap_totals VALUES (?, ?, ?, ?, ?)", values)
        else:
            connection.execute(f"DELETE FROM gap_totals WHERE {where}", (key, currency))  # noqa: S608


def _waits_for(record: Record) -> tuple[Gap, ...]:
    return record.missing if record.status is Status.MAPPING_MISSING else ()


def _note_waiting(connection: sqlite3.Connection, pairs: list[tuple[str, str]], *, waits: bool) -> None:
    if waits:
        connection.executemany("INSERT OR IGNORE INTO gaps VALUES (?, ?)", pairs)
    else:
        connection.executemany("DELETE FROM gaps WHERE gap = ? AND record_id = ?", pairs)


def _changed(row: tuple[int, str] | None, change: Count) -> tuple[int, str]:
    records, amount = row or (0, "0")
    return records + change.records, format(Decimal(amount) + change.amount, "f")

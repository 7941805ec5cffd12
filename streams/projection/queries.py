"""Questions to the read model. Every question opens the file for itself, so it never waits for the writer."""

import base64
import binascii
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from schemas.audit import Gap, Record
from schemas.base import DocumentType, Model, Status
from schemas.envelope import EVENT_TYPES, decode
from schemas.errors import UsageError
from schemas.personal import is_sealed
from streams.log.reader import LogRecord, Position
from streams.privacy.opening import Opener
from streams.projection.personal import finder
from streams.projection.records import IDS_PER_QUERY, microseconds
from streams.projection.unparked import unparked
from streams.views.dead_letters import DeadLetter, Resent
from streams.views.mappings import REMOVALS
from streams.views.records import Step
from streams.views.summary import MissingMapping, StatusTotal, TypeTotal, add_up, status_totals

_NEWEST = "version = (SELECT max(version) FROM mapping_versions AS other WHERE other.key = mapping_versions.key)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records a list is to have; what is None does not matter.

    `account` is a Zuora account id or number; `search` the beginning of a document's number or id, or of an account's
    number, name or id.
    """

    status: Status | None = None
    account: str | None = None
    document_type: DocumentType | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Records, newest first, and where the next page begins; None after the last."""

    records: list[Record]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the log an event is."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class CurrentMapping:
    """A mapping or rule: its newest event, a removal included, and its version."""

    key: str
    kind: str
    version: int
    event: Model

    @property
    def removed(self) -> bool:
        """Whether the newest event took it away."""
        return isinstance(self.event, REMOVALS)


class ReadModel:
    """Reads the file that a Projector writes."""

    def __init__(self, path: Path, opener: Opener | None = None) -> None:
        self._path = path
        self._opener = opener or Opener()

    def record(self, record_id: str) -> Record | None:
        """Return a record as it stands."""
        with self._reading() as connection:
            row = connection.execute("SELECT body, account_name FROM records WHERE id = ?", (record_id,)).fetchone()
        return _record(*row) if row else None

    def record_ids(self, text: str) -> list[str]:
        """Return the ids of records that `text` names: an id, a Zuora id, or a document's number."""
        with self._reading() as connection:
            exact = connection.execute("SELECT id FROM records WHERE id = ?", (text,)).fetchall()
            ids = [f"{kind.value}:{text}" for kind in DocumentType]
            marks = ",".join("?" * len(ids))
            query = f"SELECT id FROM records WHERE id IN ({marks}) OR document_number = ? COLLATE NOCASE"  # noqa: S608
            rows = exact or connection.execute(query, (*ids, text)).fetchall()
        return sorted(str(row[0]) for row in rows)

    def records(self, wanted: Wanted, *, limit: int, cursor: str | None = None) -> Page:
        """Return a page of records, the last received first.

        Raises:
            UsageError: the cursor is none of ours.

        """
        where, values = _conditions(wanted)
        if cursor:
            where.append("(received < ? OR (received = ? AND id > ?))")
            received, last_id = _read_cursor(cursor)
            values += [received, received, last_id]
        condition = " AND ".join(where) or "1"
        query = f"SELECT body, account_name FROM records WHERE {condition} ORDER BY received DESC, id LIMIT ?"  # noqa: S608 - marks only
        with self._reading() as connection:
            rows = connection.execute(query, (*values, limit + 1)).fetchall()
        found = [_record(*row) for row in rows[:limit]]
        return Page(found, _cursor_after(found[-1]) if len(rows) > limit else None)

    def steps(self, record_id: str) -> list[Step]:
        """Return a record's history, oldest first."""
        query = "SELECT body FROM steps WHERE record_id = ? ORDER BY log_offset"
        with self._reading() as connection:
            return [decode(Step, body) for (body,) in connection.execute(query, (record_id,))]

    def places(self, record_id: str, topic: str) -> list[Place]:
        """Return where a topic (its full name) tells of a record, oldest first."""
        query = "SELECT partition, log_offset FROM pointers WHERE record_id = ? AND topic = ? ORDER BY log_offset"
        with self._reading() as connection:
            return [Place(topic, *row) for row in connection.execute(query, (record_id, topic))]

    def totals(self) -> list[TypeTotal]:
        """Return counts and amounts per status, document type and currency."""
        query = "SELECT status, document_type, currency, records, amount FROM totals WHERE records > 0"
        with self._reading() as connection:
            return [
                TypeTotal(
                    status=Status(status),
                    document_type=DocumentType(document_type),
                    currency=currency or None,
                    records=records,
                    amount=Decimal(amount),
                )
                for status, document_type, currency, records, amount in connection.execute(query)
            ]

    def status_totals(self) -> list[StatusTotal]:
        """Return counts and amounts of every status."""
        return status_totals(self.totals())

    def missing_mappings(self) -> list[MissingMapping]:
        """Return what is missing, what holds up most first."""
        rows: dict[str, list[tuple[str, int, str, bytes]]] = {}
        with self._reading() as connection:
            for gap, *row in connection.execute("SELECT gap, currency, records, amount, body FROM gap_totals"):
                rows.setdefault(gap, []).append((row[0], row[1], row[2], row[3]))
            found = [_missing(connection, parts) for parts in rows.values()]
        return sorted(found, key=lambda one: (-one.records, one.kind, one.company or "", one.key or ""))

    def has_read_to(self, ends: Mapping[Position, int]) -> bool:
        """Return whether everything before these offsets has been read."""
        with self._reading() as connection:
            rows = connection.execute("SELECT topic, partition, next_offset FROM positions")
            read = {(topic, partition): offset for topic, partition, offset in rows}
        return all(read.get(place, 0) >= end for place, end in ends.items())

    def mappings(self, *, with_removed: bool = False) -> list[CurrentMapping]:
        """Return all mappings and rules as they stand."""
        query = f"SELECT key, kind, version, event_type, body FROM mapping_versions WHERE {_NEWEST} ORDER BY key"  # noqa: S608
        with self._reading() as connection:
            rows = [_mapping(row) for row in connection.execute(query)]
        return [row for row in rows if with_removed or not row.removed]

    def mapping(self, key: str, version: int | None = None) -> CurrentMapping | None:
        """Return one mapping or rule as it stands, a removal included, or as it was in a version."""
        newest = "SELECT key, kind, version, event_type, body FROM mapping_versions WHERE key = ?"
        with self._reading() as connection:
            if version is None:
                row = connection.execute(f"{newest} ORDER BY version DESC LIMIT 1", (key,)).fetchone()
            else:
                row = connection.execute(f"{newest} AND version = ?", (key, version)).fetchone()
        return _mapping(row) if row else None

    def mapping_versions(self, key: str) -> list[CurrentMapping]:
        """Return all versions of one mapping or rule, oldest first, removals included."""
        query = "SELECT key, kind, version, event_type, body FROM mapping_versions WHERE key = ? ORDER BY version"
        with self._reading() as connection:
            return [_mapping(row) for row in connection.execute(query, (key,))]

    def last_set(self, keys: Collection[str]) -> dict[str, Model]:
        """Return, per key, the newest event that set a mapping, also where it was removed since."""
        query = "SELECT key, kind, version, event_type, body FROM mapping_versions WHERE key = ? ORDER BY version DESC"
        found: dict[str, Model] = {}
        with self._reading() as connection:
            for key in keys:
                events = (_mapping(row) for row in connection.execute(query, (key,)))
                one = next((one for one in events if not one.removed), None)
                found |= {key: one.event} if one else {}
        return found

    def accounts_with_vouchers(self, account_ids: Collection[str]) -> set[str]:
        """Return those of the Zuora accounts for which a voucher was created."""
        found: set[str] = set()
        wanted = list(account_ids)
        with self._reading() as connection:
            for start in range(0, len(wanted), IDS_PER_QUERY):
                some = wanted[start : start + IDS_PER_QUERY]
                condition = f"has_voucher AND account_id IN ({','.join('?' * len(some))})"
                rows = connection.execute(f"SELECT DISTINCT account_id FROM records WHERE {condition}", some)  # noqa: S608
                found |= {str(row[0]) for row in rows}
        return found

    def dead_letters(
        self, topic: str | None = None, *, limit: int, offset: int = 0, not_resent: bool = False
    ) -> list[DeadLetter]:
        """Return what could not be read, the last parked first; of one topic (its full name), or never sent back."""
        where = ["topic = ?"] if topic else []
        where += ["id NOT IN (SELECT letter FROM resent)"] if not_resent else []
        query = f"SELECT body FROM dead_letters WHERE {' AND '.join(where) or '1'} ORDER BY parked DESC, id"  # noqa: S608
        values = [topic] if topic else []
        with self._reading() as connection:
            rows = connection.execute(f"{query} LIMIT ? OFFSET ?", (*values, limit, offset)).fetchall()
            return [_dead_letter(connection, body) for (body,) in rows]

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """Return one dead letter; None if there is none of that id."""
        with self._reading() as connection:
            row = connection.execute("SELECT body FROM dead_letters WHERE id = ?", (letter_id,)).fetchone()
            return _dead_letter(connection, row[0]) if row else None

    def unparked(self) -> list[tuple[LogRecord, str]]:
        """Return some of what cannot be read and is no dead letter yet, with the reasons; nothing where all is."""
        with self._reading() as connection:
            return unparked(connection)

    def opened(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a captured document with what is sealed in it opened, as far as keys are there."""
        with self._reading() as connection:
            opened: dict[str, Any] = self._opener.opened(document, finder(connection))
        return opened

    def personal_keys(self, account_id: str) -> list[str]:
        """Return the ids of an account's personal keys, those that were shredded left out."""
        query = "SELECT key_id FROM personal_keys WHERE account_id = ? AND wrapped IS NOT NULL ORDER BY key_id"
        with self._reading() as connection:
            return [str(key_id) for (key_id,) in connection.execute(query, (account_id,))]

    def named_in_clear(self, account_id: str) -> int:
        """Return how many records of an account have its name in clear in the log."""
        with self._reading() as connection:
            rows = connection.execute("SELECT body FROM records WHERE account_id = ?", (account_id,))
            names = [decode(Record, body).account_name for (body,) in rows]
        return sum(1 for name in names if name and not is_sealed(name))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)) as connection:
            # One view of the data for all statements of a question.
            connection.execute("BEGIN")
            yield connection


def _conditions(wanted: Wanted) -> tuple[list[str], list[object]]:
    where: list[str] = []
    values: list[object] = []
    if wanted.status:
        where.append("status = ?")
        values.append(wanted.status.value)
    if wanted.document_type:
        where.append("document_type = ?")
        values.append(wanted.document_type.value)
    if wanted.account:
        where.append("(account_id = ? OR account_number = ? COLLATE NOCASE)")
        values += [wanted.account, wanted.account]
    if wanted.search:
        columns = ("document_number", "account_number", "account_name")
        begins = " OR ".join(f"({column} >= ? COLLATE NOCASE AND {column} < ? COLLATE NOCASE)" for column in columns)
        where.append(f"({begins} OR account_id = ? OR id IN ({','.join('?' * (len(DocumentType) + 1))}))")
        # U+10FFFF sorts after every character that can follow.
        values += [wanted.search, f"{wanted.search}\U0010ffff"] * len(columns) + [wanted.search]
        values += [wanted.search, *(f"{kind.value}:{wanted.search}" for kind in DocumentType)]
    return where, values


def _cursor_after(record: Record) -> str:
    return base64.urlsafe_b64encode(f"{microseconds(record.received_at)} {record.id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        received, _, record_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
        return int(received), record_id
    except (binascii.Error, ValueError):
        raise UsageError("cursor: not one that a list gave") from None


def _missing(connection: sqlite3.Connection, parts: list[tuple[str, int, str, bytes]]) -> MissingMapping:
    told = decode(Gap, parts[0][3])
    example: tuple[str | None, str | None] = (None, None)
    if told.kind == "account":
        query = "SELECT account_number, account_name FROM records WHERE account_id = ? LIMIT 1"
        example = connection.execute(query, (told.key,)).fetchone() or example
    return MissingMapping(
        **dict(told),
        records=sum(part[1] for part in parts),
        amounts=add_up((currency or None, Decimal(amount)) for currency, _, amount, _ in parts),
        account_number=example[0],
        account_name=example[1],
    )


def _record(body: bytes, name: str | None) -> Record:
    record = decode(Record, body)
    return record.model_copy(update={"account_name": name}) if is_sealed(record.account_name) else record


def _dead_letter(connection: sqlite3.Connection, body: bytes) -> DeadLetter:
    letter = decode(DeadLetter, body)
    rows = connection.execute("SELECT body FROM resent WHERE letter = ?", (letter.id,))
    resent = sorted((decode(Resent, each) for (each,) in rows), key=lambda one: one.at)
    return letter.model_copy(update={"resent": tuple(resent)})


def _mapping(row: tuple[str, str, int, str, bytes]) -> CurrentMapping:
    key, kind, version, event_type, body = row
    return CurrentMapping(key, kind, version, decode(EVENT_TYPES[event_type], body))

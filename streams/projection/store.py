"""The file of the read model: its lock, its schema, its transactions, and how far it has read."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from schemas.errors import ConnectorError
from streams.log.reader import Bounds, LogRecord, Position
from streams.projection.schema import SCHEMA_VERSION, TABLES

LOCK_POLL_SECONDS = 0.05


class ProjectionError(ConnectorError):
    """The file of the read model cannot be used."""


def mark_of(record: LogRecord) -> str:
    """Return what a record is known by when it is met again at the same offset."""
    return f"{record.timestamp.isoformat()}/{record.event_id or ''}"


class Store:
    """One writer's hold on the file; readers open it on their own (WAL) and are never blocked by it.

    Raises:
        ProjectionError: another process writes to the file and goes on doing so for `patience_seconds`, or the file
            cannot be made.

    """

    def __init__(self, path: Path, *, patience_seconds: float = 0) -> None:
        self.path = path
        self._is_to_forget = False
        self._lock = _lock(path, patience_seconds)
        try:
            self.connection = self._open()
        except sqlite3.Error as error:
            os.close(self._lock)
            raise ProjectionError(f"{path} cannot be used: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()
        os.close(self._lock)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def ask_to_forget(self) -> None:
        """Have the copies of pages that a change left behind overwritten, once it is written."""
        self._is_to_forget = True

    def forget_if_asked(self) -> None:
        """Put the write-ahead log into the file and cut it to nothing; tried again later while somebody reads."""
        if self._is_to_forget:
            busy, *_ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._is_to_forget = bool(busy)

    def positions(self, topics: Collection[str]) -> dict[Position, int]:
        """Return the offset of the last record read per partition: reading begins there, to see that it is the same."""
        rows = self.connection.execute("SELECT topic, partition, next_offset FROM positions")
        return {(topic, partition): offset - 1 for topic, partition, offset in rows if topic in topics}

    def fits(self, log_id: str, bounds: Bounds) -> bool:
        """Return whether what was read so far can come from this log."""
        known = self.meta("log")
        rows = self.connection.execute("SELECT topic, partition, next_offset FROM positions").fetchall()
        behind_end = all(offset <= bounds.end.get((topic, partition), offset) for topic, partition, offset in rows)
        return known in (None, log_id) and behind_end

    def split_known(self, records: list[LogRecord]) -> tuple[list[LogRecord], bool]:
        """Return the records not read before, and whether those met again are the ones that they were."""
        rows = self.connection.execute("SELECT topic, partition, next_offset, mark FROM positions")
        known = {(topic, partition): (offset, mark) for topic, partition, offset, mark in rows}
        new, same = [], True
        for record in records:
            offset, mark = known.get((record.topic, record.partition), (0, ""))
            if record.offset >= offset:
                new.append(record)
            elif record.offset == offset - 1:
                same = same and mark_of(record) == mark
        return new, same

    def advance(self, records: list[LogRecord]) -> None:
        """Note how far was read; inside the transaction of what was read."""
        last = {(record.topic, record.partition): record for record in records}
        self.connection.executemany(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)",
            [(topic, partition, one.offset + 1, mark_of(one)) for (topic, partition), one in last.items()],
        )

    def meta(self, name: str) -> str | None:
        """Return a fact about the file."""
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set_meta(self, name: str, value: str) -> None:
        """Note a fact about the file."""
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def clear(self) -> None:
        """Forget everything; what is read next begins at the beginning of the log."""
        with self.transaction() as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from our own schema
            self.set_meta("schema_version", SCHEMA_VERSION)

    def _open(self) -> sqlite3.Connection:
        if (connection := _connect_to_fitting(self.path)) is not None:
            return connection
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        connection = _connect(self.path)
        connection.executescript(TABLES)
        connection.execute("INSERT INTO meta VALUES ('schema_version', ?)", (SCHEMA_VERSION,))
        return connection


def _connect_to_fitting(path: Path) -> sqlite3.Connection | None:
    """Return a connection to a file of our version; None where there is none, or one that cannot be read."""
    if not path.exists():
        return None
    connection = None
    try:
        connection = _connect(path)
        row = connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
    except sqlite3.DatabaseError:
        row = None
    if row == (SCHEMA_VERSION,):
        return connection
    if connection is not None:
        connection.close()
    return None


def _connect(path: Path) -> sqlite3.Connection:
    # The console writes from a thread of its own; its one task keeps writes apart.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A lost last transaction is read again from the log, so waiting for the disk buys nothing.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")  # a name that was erased must not lie on in a free page
        connection.execute("PRAGMA cache_size = -65536")  # 64 MiB
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _lock(path: Path, patience_seconds: float) -> int:
    give_up = time.monotonic() + patience_seconds
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ProjectionError(f"{path} cannot be made: {error.strerror}; set ZIFS_DATA_DIR") from error
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                os.close(lock)
                raise ProjectionError(
                    f"{path} is being written by another process: wait for it, or set another ZIFS_DATA_DIR"
                ) from None
            time.sleep(LOCK_POLL_SECONDS)
        else:
            return lock

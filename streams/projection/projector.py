"""Events to tables: which topic is projected by what, and how a batch becomes one transaction."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import orjson

from schemas.audit import RecordStatusChanged
from schemas.base import Model
from schemas.envelope import decode_any, encode
from schemas.errors import UnreadableError
from schemas.topics import AUDIT, DEAD_LETTER, DOCUMENT, MAPPING, PERSONAL_KEY, VOUCHER, VOUCHER_COMMAND, TopicNames
from streams.accounting.keys import mapping_key, topic_key
from streams.log.partitions import check_partition
from streams.log.reader import LogRecord
from streams.privacy.opening import Opener
from streams.projection.dead_letters import write_letter
from streams.projection.personal import shown_name, write_keys
from streams.projection.records import write_steps
from streams.projection.store import Store
from streams.views.mappings import kind_of

POINTED_AT = (DOCUMENT, VOUCHER_COMMAND, VOUCHER)
"""Topics of which only the places are kept, per record; their events are read from the log when somebody asks."""
PROJECTED = (PERSONAL_KEY, AUDIT, MAPPING, DEAD_LETTER, *POINTED_AT)

log = logging.getLogger(__name__)
M = TypeVar("M", bound=Model)


class LogChangedError(Exception):
    """A record met again is not the one that it was: the topic was made anew."""


class Projector:
    """Writes batches of records into a store.

    `partitions` is how many each topic has: a mapping in a partition that is not its key's holds for nobody.
    """

    def __init__(self, store: Store, names: TopicNames, opener: Opener | None = None) -> None:
        self.store = store
        self.opener = opener or Opener()
        self.partitions: Mapping[str, int] = {}
        self.unreadable = 0
        """Records passed over because they are not what their topic carries."""
        self._handlers: dict[str, Callable[[sqlite3.Connection, list[LogRecord]], None]] = {
            # First: what is told of an account in the same batch is shown as its keys are after it.
            names.public(PERSONAL_KEY): self._personal_keys,
            names.public(AUDIT): self._audit,
            names.public(MAPPING): self._mappings,
            names.public(DEAD_LETTER): self._dead_letters,
            **{names.public(topic): self._pointers for topic in POINTED_AT},
        }

    def apply(self, records: list[LogRecord]) -> int:
        """Write a batch with its offsets in one transaction and return how many records were new.

        Raises:
            LogChangedError: the log is not the one that was read before; nothing was written.

        """
        new, same = self.store.split_known(records)
        if not same:
            raise LogChangedError
        if not new:
            return 0
        with self.store.transaction() as connection:
            for topic, handler in self._handlers.items():
                handler(connection, [record for record in new if record.topic == topic])
            self.store.advance(new)
        self.store.forget_if_asked()
        return len(new)

    def _audit(self, connection: sqlite3.Connection, records: list[LogRecord]) -> None:
        steps = list(self._decoded(records, RecordStatusChanged))
        write_steps(connection, steps, lambda name: shown_name(connection, self.opener, name))

    def _personal_keys(self, connection: sqlite3.Connection, records: list[LogRecord]) -> None:
        if write_keys(connection, records, self.opener):
            self.store.ask_to_forget()

    def _mappings(self, connection: sqlite3.Connection, records: list[LogRecord]) -> None:
        rows = []
        for record, event in self._decoded(records, Model):
            try:
                key, kind = mapping_key(event), kind_of(event)
                check_partition(record, self.partitions[record.topic])
            except (TypeError, UnreadableError) as error:
                self._pass_over(record, str(error))
                continue
            if record.key != topic_key(event).encode():
                self._pass_over(record, "it is not under the key of its account or company")
                continue
            place = (record.offset, record.partition, _id_of(record))
            rows.append((key, *place, kind, type(event).__name__, encode(event)))
        connection.executemany("INSERT OR IGNORE INTO mapping_versions VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _dead_letters(self, connection: sqlite3.Connection, records: list[LogRecord]) -> None:
        for record in records:
            try:
                write_letter(connection, record)
            except UnreadableError as error:
                self._pass_over(record, str(error))

    def _pointers(self, connection: sqlite3.Connection, records: list[LogRecord]) -> None:
        rows = []
        for record in records:
            try:
                record_id = str(orjson.loads(record.value or b"")["recordId"])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                self._pass_over(record, "it names no record")
                continue
            rows.append((record_id, record.topic, _id_of(record), record.partition, record.offset))
        connection.executemany("INSERT OR IGNORE INTO pointers VALUES (?, ?, ?, ?, ?)", rows)

    def _decoded(self, records: list[LogRecord], event_type: type[M]) -> Iterator[tuple[LogRecord, M]]:
        for record in records:
            try:
                event = decode_any(record.headers, record.value)
            except UnreadableError as error:
                self._pass_over(record, str(error))
                continue
            if isinstance(event, event_type):
                yield record, event
            else:
                self._pass_over(record, f"{type(event).__name__} does not belong here")

    def _pass_over(self, record: LogRecord, reason: str) -> None:
        self.unreadable += 1
        where = f"{record.topic}/{record.partition}/{record.offset}"
        log.warning("the read model passes over %s: %s", where, reason)


def _id_of(record: LogRecord) -> str:
    return record.event_id or f"{record.partition}/{record.offset}"

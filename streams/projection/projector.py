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
from schemas.proposals import ChangeProposed
from schemas.topics import (
    AUDIT,
    DEAD_LETTER,
    DOCUMENT,
    MAPPING,
    PERSONAL_KEY,
    PROPOSAL,
    VOUCHER,
    VOUCHER_COMMAND,
    TopicNames,
)
from streams.accounting.keys import mapping_key, topic_key
from streams.log.partitions import check_partition
from streams.log.reader import LogRecord
from streams.privacy.key_book import key_event
from streams.privacy.opening import Opener
from streams.projection.dead_letters import write_letter
from streams.projection.personal import shown_name, write_keys
from streams.projection.records import write_steps
from streams.projection.store import Store
from streams.projection.unparked import keep_unparked
from streams.views.mappings import kind_of
from streams.views.proposals import change_of, proposal_event

POINTED_AT = (DOCUMENT, VOUCHER_COMMAND, VOUCHER)
"""Topics of which only the places are kept, per record; their events are read from the log when somebody asks."""
UNPARKED_BY_WORKERS = (AUDIT, PROPOSAL, DEAD_LETTER)
"""Topics that no worker reads. Personal keys are not among them: a dead letter would outlive the erasure of its key."""
PROJECTED = (PERSONAL_KEY, MAPPING, *UNPARKED_BY_WORKERS, *POINTED_AT)

log = logging.getLogger(__name__)
M = TypeVar("M", bound=Model)


class LogChangedError(Exception):
    """A record met again is not the one that it was: the topic was made anew."""


class Projector:
    """Writes batches of records into a store.

    `partitions` is how many each topic has: a mapping in a partition that is not its key's holds for nobody. With
    `keeps_unparked` it keeps what cannot be read of topics that no worker reads, for who parks it.
    """

    def __init__(
        self, store: Store, names: TopicNames, opener: Opener | None = None, *, keeps_unparked: bool = False
    ) -> None:
        self.store = store
        self.opener = opener or Opener()
        self.partitions: Mapping[str, int] = {}
        self.unreadable = 0
        """Records passed over because they are not what their topic carries."""
        self._to_park: list[tuple[LogRecord, str]] = []
        self._kept_topics = {names.public(topic) for topic in UNPARKED_BY_WORKERS} if keeps_unparked else set[str]()
        self._handlers: dict[str, Callable[[sqlite3.Connection, list[LogRecord]], None]] = {
            # First: what is told of an account in the same batch is shown as its keys are after it.
            names.public(PERSONAL_KEY): self._personal_keys,
            names.public(AUDIT): self._audit,
            names.public(MAPPING): self._mappings,
            names.public(DEAD_LETTER): self._dead_letters,
            names.public(PROPOSAL): self._proposals,
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
        self._to_park.clear()
        with self.store.transaction() as connection:
            for topic, handler in self._handlers.items():
                handler(connection, [record for record in new if record.topic == topic])
            keep_unparked(connection, self._to_park)
            self.store.advance(new)
        self.store.forget_if_asked()
        return len(new)

    def _audit(self, connection: sqlite3.Connection, records: list[LogRecord]) -> None:
        steps = list(self._decoded(records, RecordStatusChanged))
        write_steps(connection, steps, lambda name: shown_name(connection, self.opener, name))

    def _personal_keys(self, connection: sqlite3.Connection, records: list[LogRecord]) -> None:
        events = []
        for record in records:
            try:
                events.append(key_event(record))
            except UnreadableError as error:
                self._pass_over(record, str(error))
        if write_keys(connection, events, self.opener):
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

    def _proposals(self, _: sqlite3.Connection, records: list[LogRecord]) -> None:
        """See to it that they can be read; who shows proposals reads them from the log."""
        for record in records:
            try:
                event = proposal_event(record.headers, record.value)
                for change in event.changes if isinstance(event, ChangeProposed) else ():
                    change_of(change)
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
        if record.topic in self._kept_topics:
            self._to_park.append((record, reason))
        where = f"{record.topic}/{record.partition}/{record.offset}"
        log.warning("the read model passes over %s: %s", where, reason)


def _id_of(record: LogRecord) -> str:
    return record.event_id or f"{record.partition}/{record.offset}"

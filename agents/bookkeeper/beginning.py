"""What happens before a partition's first event: its memory is made from its tables, or its tables from the log.

Tables that are empty (a new app id, a lost changelog) are built first from all mappings and rules, then from all
outcomes and what came to nothing, then from all requests of people, up to the ends seen at the start; and of a record
that has several documents it is noted which is the newest. Otherwise a replay would meet yesterday's documents under no
rules at all, or under those of today though they were edited or cancelled since, and post again what it does not know
to be posted, or to be booked by hand.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

import structlog

from agents.bookkeeper.bookkeeper import Bookkeeper, captured_in, event_name, mapping_in
from agents.bookkeeper.partition import Partition
from agents.bookkeeper.rows import BUILT, mapping_row, record_of, row_name
from agents.bookkeeper.said import OpenWork, Said
from schemas import topics
from schemas.envelope import decode_any
from schemas.errors import UnreadableError
from schemas.requests import Request
from schemas.topics import TopicNames
from schemas.vouchers import NothingToPost, VoucherPosted, VoucherRejected
from streams.accounting.keys import account_key, mapping_key
from streams.accounting.outcomes import Outcome, remember, remember_nothing
from streams.accounting.record_state import RecordState
from streams.accounting.wishes import remember_wish
from streams.log.messages import key_text
from streams.log.partitions import check_partition
from streams.log.reader import LogRecord

log = structlog.get_logger(__name__)

WRITTEN_AT_ONCE = 5_000
"""Rows of one work, so that what is written and not yet confirmed stays small."""

ReadTopic = Callable[[str, Collection[int] | None], AsyncIterator[list[LogRecord]]]
"""Reads partitions of a topic (None: all) up to the ends seen at the start."""
Mappings = dict[str, tuple[int | None, bytes]]
"""Mapping key to the partition that it belongs to (None: to all) and its newest row."""


@dataclass(slots=True)
class Answered:
    """What was said of records, and when for the first time: a poster whose offsets are reset says all of it again.

    By the time of the last one nothing that a person booked by hand, or that came to nothing, would still count.
    """

    at: dict[str, datetime] = field(default_factory=dict)
    """Name of a record's row to when its last outcome was written."""
    said: set[str] = field(default_factory=set)

    def is_news(self, name: str) -> bool:
        """Note that something was said; False if it was said before."""
        is_news = name not in self.said
        self.said.add(name)
        return is_news


class Beginning:
    """Prepares partitions as they are assigned."""

    def __init__(self, bookkeeper: Bookkeeper, names: TopicNames, read: ReadTopic, said: Said) -> None:
        self._bookkeeper = bookkeeper
        self._said = said
        self._names = names
        self._read = read

    async def __call__(self, partitions: frozenset[int], open_work: OpenWork) -> None:
        """Load each partition, building the tables of those that have none yet."""
        self._bookkeeper.forget_lost()
        new: list[Partition] = []
        known: list[Partition] = []
        for number in sorted(partitions):
            async with open_work(number):
                partition = await self._bookkeeper.assigned(number)
                (known if BUILT in partition.tables.releases else new).append(partition)
        await self._said.take_up([*new, *known], open_work)
        if new:
            await self._build(new, open_work)

    async def _build(self, new: list[Partition], open_work: OpenWork) -> None:
        log.info("building new state from the log", partitions=[partition.number for partition in new])
        mappings = await self._mappings()
        for partition in new:
            async with open_work(partition.number):
                for key, (number, row) in mappings.items():
                    if number in (None, partition.number):
                        partition.tables.mappings[key] = row
        numbered = {partition.number: partition for partition in new}
        answered = await self._outcomes(numbered, open_work)
        await self._requests(numbered, open_work, answered)
        for partition in new:
            await self._documents(partition, open_work)
            async with open_work(partition.number):
                partition.note_requests(partition.requests_from)

    async def _mappings(self) -> Mappings:
        """Read the newest version of every mapping and rule; a version is an offset, so the last one read is newest."""
        newest: Mappings = {}
        async for records in self._read(self._names.public(topics.MAPPING), None):
            for record in records:
                key = _readable_key(record, self._bookkeeper.partition_count)
                if key is None:
                    continue
                own = key == account_key(key_text(record))
                row = mapping_row(record.offset, record.headers["ce_type"].decode(), record.value or b"")
                newest[key] = (record.partition if own else None, row)
        return newest

    async def _outcomes(self, new: dict[int, Partition], open_work: OpenWork) -> Answered:
        answered = Answered()
        for topic in (topics.VOUCHER, topics.NOTHING_TO_POST):
            async for records in self._read(self._names.public(topic), new.keys()):
                for number, own in _by_partition(records).items():
                    async with open_work(number):
                        _remember_all(new[number], own, self._bookkeeper.partition_count, answered)
        answered.said.clear()
        return answered

    async def _requests(self, new: dict[int, Partition], open_work: OpenWork, answered: Answered) -> None:
        async for records in self._read(self._names.public(topics.REQUEST), new.keys()):
            for number, own in _by_partition(records).items():
                async with open_work(number):
                    _remember_requests(new[number], own, self._bookkeeper.partition_count, answered)
                new[number].requests_from = own[-1].offset + 1

    async def _documents(self, partition: Partition, open_work: OpenWork) -> None:
        newest: dict[str, int] = {}
        several: set[str] = set()
        async for records in self._read(self._names.public(topics.DOCUMENT), [partition.number]):
            for record in records:
                name = _document_row(record, self._bookkeeper.partition_count)
                if name is None:
                    continue
                if name in newest:
                    several.add(name)
                newest[name] = record.offset
        names = iter(several)
        while some := list(islice(names, WRITTEN_AT_ONCE)):
            async with open_work(partition.number):
                for name in some:
                    account_id, record_id = record_of(name)
                    state = partition.state(account_id, record_id) or RecordState.blank(account_id)
                    if state.document_offset < newest[name]:
                        partition.tables.records[name] = replace(state, newest_offset=newest[name]).to_json()


def _remember_all(partition: Partition, records: Iterable[LogRecord], partitions: int, answered: Answered) -> None:
    for record in records:
        try:
            check_partition(record, partitions)
            outcome = decode_any(record.headers, record.value)
        except UnreadableError:
            continue  # it goes to the dead letters when the stream meets it
        if not isinstance(outcome, VoucherPosted | VoucherRejected | NothingToPost):
            continue
        if record.key != outcome.account_id.encode() or not answered.is_news(_said_in(outcome, record)):
            continue
        name = row_name(outcome.account_id, outcome.record_id)
        state = partition.state(outcome.account_id, outcome.record_id)
        if isinstance(outcome, NothingToPost):
            if name in answered.at and record.timestamp < answered.at[name]:
                continue  # what was posted, or taken back, since
            state = remember_nothing(state, outcome)
        else:
            state = remember(state, outcome, record.offset)
        partition.tables.records[name] = state.to_json()
        answered.at[name] = record.timestamp


def _said_in(outcome: Outcome | NothingToPost, record: LogRecord) -> str:
    """Return the name of what is said; a command may be rehearsed, and sent by another app id later."""
    if isinstance(outcome, NothingToPost):
        return event_name(record)
    is_rehearsed = isinstance(outcome, VoucherPosted) and outcome.shadow
    return f"{outcome.command_id} in shadow mode" if is_rehearsed else outcome.command_id


def _remember_requests(partition: Partition, records: Iterable[LogRecord], partitions: int, answered: Answered) -> None:
    for record in records:
        try:
            check_partition(record, partitions)
            wish = decode_any(record.headers, record.value)
        except UnreadableError:
            continue  # it was parked by whoever met it first
        if not isinstance(wish, Request) or record.key != wish.account_id.encode():
            continue
        name, state = row_name(wish.account_id, wish.record_id), partition.state(wish.account_id, wish.record_id)
        last = answered.at.get(name)
        is_answered = last is not None and record.timestamp < last
        after = remember_wish(state, wish, event_name(record), answered=is_answered)
        if after is not None and after != state:
            partition.tables.records[name] = after.to_json()


def _document_row(record: LogRecord, partitions: int) -> str | None:
    """Return the row of a document's record; None for one that the stream will put among the dead letters."""
    try:
        check_partition(record, partitions)
        return row_name(key_text(record), captured_in(record).record_id)
    except UnreadableError:
        return None


def _readable_key(record: LogRecord, partitions: int) -> str | None:
    """Return the mapping key of a record; None for one that the stream will put among the dead letters."""
    try:
        check_partition(record, partitions)
        return mapping_key(mapping_in(record))
    except UnreadableError:
        return None


def _by_partition(records: Iterable[LogRecord]) -> dict[int, list[LogRecord]]:
    parts: dict[int, list[LogRecord]] = {}
    for record in records:
        parts.setdefault(record.partition, []).append(record)
    return parts

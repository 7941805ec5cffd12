"""Finds in the log what a partition said and, after a crash, does not know that it did.

What is sent is in the log before what is written is in the tables. Where a worker dies between the two, perhaps with
the broker gone for minutes, the log has a voucher command of which the record's state knows nothing. So before the
first event all that was said since the last time is read, and what the states do not know is taken up.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

import orjson
import structlog

from agents.bookkeeper.logged import Logged, ReadValues
from agents.bookkeeper.partition import Partition
from agents.runtime import Work
from schemas import topics
from schemas.base import utc_now
from schemas.envelope import decode
from schemas.errors import LogUnavailableError, UnreadableError
from schemas.releases import HandedOver
from schemas.topics import TopicNames
from streams.accounting.forgotten import begun, take_up_handed_over, take_up_sent
from streams.accounting.record_state import RecordState, Sent
from streams.clocks import steady_seconds
from streams.log.messages import key_text
from streams.log.partitions import partition_of
from streams.log.reader import LogRecord, Position

log = structlog.get_logger(__name__)

NOTED_EVERY_SECONDS = 150.0
"""So a worker reads some five minutes of commands when it starts, and what it said right before is in them: what is
noted are the ends of the time before, and a producer gives up a write after 40 s."""

OpenWork = Callable[[int], AbstractAsyncContextManager[Work]]
ReadFrom = Callable[[str, Mapping[Position, int]], AsyncIterator[list[LogRecord]]]
"""Reads a topic from offsets up to the ends seen at the start; partitions not named from their first."""
ReadEnds = Callable[[Collection[str]], Awaitable[Mapping[Position, int]]]
"""Tells the present ends of topics."""
Last = dict[int, dict[tuple[str, str], Sent]]
"""By partition: account and record to the last command."""
Handed = dict[int, dict[tuple[str, str], tuple[str, datetime]]]
"""By partition: account and record to the account to which it was handed over last, and when that state was fetched."""


class Said:
    """What the partitions of the bookkeeper said, as the log tells."""

    def __init__(
        self,
        names: TopicNames,
        *,
        partitions: int,
        read: ReadFrom,
        ends: ReadEnds,
        read_values: ReadValues,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        self._app_id = names.app_id
        self._commands = names.public(topics.VOUCHER_COMMAND)
        self._handed = names.working(topics.HANDED_OVER)
        self._count = partitions
        self._read = read
        self._read_ends = ends
        self._logged = Logged(names, read_values)
        self._steady = steady
        self._seen: dict[int, tuple[float, Mapping[Position, int]]] = {}
        """Of each partition when the ends were asked for last, and what they were."""

    async def take_up(self, partitions: Collection[Partition], open_work: OpenWork) -> None:
        """Take up what partitions do not know that they said; those that have noted nothing yet begin to note now."""
        ends = await self._ends()
        noted = {partition.number: partition for partition in partitions if partition.said is not None}
        sent, handed = await self._commands_of(noted, ends), await self._handed_over_by(noted, ends)
        for partition in partitions:
            async with open_work(partition.number):
                await self._take_up_in(partition, sent.get(partition.number, {}), handed.get(partition.number, {}))
                partition.note_said(ends)
            self._seen[partition.number] = self._steady(), ends

    async def note(self, partition: Partition) -> None:
        """Note now and then up to where all is in the tables; inside a work of the partition."""
        seen_at, ends = self._seen.get(partition.number, (float("-inf"), None))
        if self._steady() - seen_at < NOTED_EVERY_SECONDS:
            return
        try:
            now = await self._ends()
        except LogUnavailableError as error:  # then a start reads more of it: nothing is missed
            log.info("how far the log is was not answered", error=str(error))
            now = ends or {}
        if ends:
            partition.note_said(ends)
        self._seen[partition.number] = self._steady(), now

    async def _ends(self) -> Mapping[Position, int]:
        return await self._read_ends([self._commands, self._handed])

    async def _since(
        self, topic: str, noted: Mapping[int, Partition], ends: Mapping[Position, int]
    ) -> AsyncIterator[list[LogRecord]]:
        """Read a topic from the earliest offsets that any of the partitions has noted."""
        starts: dict[Position, int] = {}
        for partition in noted.values():
            for place, offset in (partition.said or {}).items():
                if place[0] == topic:
                    starts[place] = min(offset, starts.get(place, offset))
        if any(offset < ends.get(place, 0) for place, offset in starts.items()):
            async for records in self._read(topic, starts):
                yield records

    async def _commands_of(self, noted: Mapping[int, Partition], ends: Mapping[Position, int]) -> Last:
        last: Last = {}
        async for records in self._since(self._commands, noted, ends):
            for account_id, record_id, sent in _commands_in(records, self._app_id):
                number = partition_of(account_id.encode(), self._count)
                if number in noted:
                    last.setdefault(number, {})[account_id, record_id] = sent
        return last

    async def _handed_over_by(self, noted: Mapping[int, Partition], ends: Mapping[Position, int]) -> Handed:
        last: Handed = {}
        async for records in self._since(self._handed, noted, ends):
            for record in records:
                try:
                    word, account_id = decode(HandedOver, record.value), key_text(record)
                except UnreadableError:
                    continue  # it goes to the dead letters when the stream meets it
                number = partition_of(word.from_account_id.encode(), self._count)
                if number in noted and word.fetched_at is not None:
                    last.setdefault(number, {})[word.from_account_id, word.record_id] = account_id, word.fetched_at
        return last

    async def _take_up_in(
        self,
        partition: Partition,
        sent: Mapping[tuple[str, str], Sent],
        handed: Mapping[tuple[str, str], tuple[str, datetime]],
    ) -> None:
        """Write what a partition does not know."""
        states = [(record, take_up_handed_over(partition.state(*record), *word)) for record, word in handed.items()]
        for record, command in sent.items():
            known = partition.state(*record) or RecordState.blank(record[0])
            if not known.received_at:
                known = await self._begun(partition, known, command)
            states.append((record, take_up_sent(known, command)))
        taken = [(record_id, state) for (_, record_id), state in states if state is not None]
        for record_id, state in taken:
            partition.take_up(record_id, state)
        if taken:  # of a release some hundreds
            log.info("said before a crash, and taken up from the log", records=len(taken), first=taken[0][0])

    async def _begun(self, partition: Partition, known: RecordState, sent: Sent) -> RecordState:
        """Return the state of a record whose very first document led to a command."""
        try:
            captured, _ = await self._logged.captured(partition.number, sent.document_offset)
        except UnreadableError:
            captured = None
        return begun(known, captured, utc_now())


def _commands_in(records: Iterable[LogRecord], app_id: str) -> Iterable[tuple[str, str, Sent]]:
    """Return account, record and what was sent; without reading the rows, of which there may be thousands."""
    for record in records:
        try:
            told: dict[str, Any] = orjson.loads(record.value or b"")
            if told["appId"] != app_id:
                continue
            sent = Sent(
                command_id=told["commandId"],
                reference=told["reference"],
                fingerprint=told["fingerprint"],
                company=told["company"],
                reverses=told.get("reversesReference"),
                document_offset=told["documentOffset"],
            )
            yield told["accountId"], told["recordId"], sent
        except (ValueError, KeyError, TypeError):
            continue  # no command of ours; the poster parks it

"""Reading topics without a consumer group: nothing is committed, so a reader disturbs nobody and keeps its own offsets.

`read_to_end` is for commands, `follow` for the console, `read_one` for a single record that something points at.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schemas.errors import LogUnavailableError, TopicsError
from streams.log.connection import bootstrap_servers, connection_options
from streams.log.denied import denial
from streams.log.header_names import read_any_header_names
from streams.log.leaderless import rest_without_leader
from streams.log.topics import admin_client, require_sight
from streams.settings import KafkaSettings

read_any_header_names()

Position = tuple[str, int]
"""A topic (its full name) and a partition."""

CONNECT_SECONDS = 15.0
"""How long a broker may take to answer the first questions."""
CLOSE_SECONDS = 2.0
"""How long a connection that is being made may take to be there, so that it can be closed."""
STALL_SECONDS = 30.0
"""How long a read that is not at its end may go without an answer from a broker."""
BATCH_RECORDS = 5_000
POLL_MILLISECONDS = 500
READ_OVER_RECORDS = 500
"""A gap between wanted offsets that is read over: a seek throws away what was fetched and asks the broker again."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FETCH_BYTES = 24 * 1024 * 1024
"""Bytes of one answer of a broker: room for one largest message of 16 MiB, and a bound for memory."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One Kafka record as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    timestamp: datetime

    @property
    def event_id(self) -> str | None:
        """The CloudEvents id, by which repeats are known."""
        value = self.headers.get("ce_id")
        return value.decode(errors="replace") if value else None


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in the order of each partition, and how many are still to be read as far as is known."""

    records: list[LogRecord]
    behind: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which cluster it is, and the first and the next offset of every partition."""

    cluster_id: str
    first: dict[Position, int]
    end: dict[Position, int]

    def only(self, partitions: Collection[int] | None) -> "Bounds":
        """Return the bounds of these partitions alone; of all for None."""
        if partitions is None:
            return self
        first = {place: offset for place, offset in self.first.items() if place[1] in partitions}
        return Bounds(self.cluster_id, first, {place: self.end[place] for place in first})


async def log_bounds(kafka: KafkaSettings, topics: Collection[str]) -> Bounds:
    """Return the cluster's id and the present bounds of all partitions of `topics`.

    Raises:
        LogUnavailableError: Kafka does not answer in time.
        TopicsError: a topic does not exist.

    """
    async with _errors_in_our_words(kafka):
        cluster_id, partitions = await _partitions(kafka, topics)
        async with _consumer(kafka) as consumer:
            consumer.assign(partitions)
            async with asyncio.timeout(CONNECT_SECONDS):
                first = await consumer.beginning_offsets(partitions)
                end = await consumer.end_offsets(partitions)
    return Bounds(cluster_id, _by_position(first), _by_position(end))


async def read_to_end(
    kafka: KafkaSettings, topics: Collection[str], from_offsets: Mapping[Position, int], bounds: Bounds | None = None
) -> AsyncGenerator[Batch, None]:
    """Read `topics` up to the ends seen at the start (or given in `bounds`); partitions not named begin at their first.

    Raises:
        LogUnavailableError: Kafka does not answer in time.
        TopicsError: a topic does not exist, or was cut off or made anew while it was read.

    """
    bounds = bounds or await log_bounds(kafka, topics)
    starts = _starts(bounds, topics, from_offsets)
    open_ends = {tp: bounds.end[tp.topic, tp.partition] for tp, start in starts.items() if start < bounds.end[tp]}
    if not open_ends:
        return
    async with _errors_in_our_words(kafka), _consumer(kafka) as consumer:
        _assign(consumer, {tp: starts[tp] for tp in open_ends})
        least, alive = float("inf"), time.monotonic()
        while True:
            records = await _poll(consumer)
            behind = sum([max(0, end - await consumer.position(tp)) for tp, end in open_ends.items()])
            if records or not behind:
                yield Batch(records, behind)
            if not behind:
                return
            # What is written behind the ends all the time must not hide a partition that never answers.
            if behind < least:
                least, alive = behind, time.monotonic()
            elif time.monotonic() - alive > STALL_SECONDS:
                raise LogUnavailableError(f"Kafka at {kafka.bootstrap_servers} stopped answering while it was read")


async def follow(
    kafka: KafkaSettings, topics: Collection[str], from_offsets: Mapping[Position, int], bounds: Bounds | None = None
) -> AsyncGenerator[Batch, None]:
    """Read `topics` without end; a batch comes at least every half second, with no records when there is nothing new.

    Raises:
        LogUnavailableError: Kafka does not answer any more.
        TopicsError: a topic does not exist, or was cut off or made anew while it was read.

    """
    bounds = bounds or await log_bounds(kafka, topics)
    starts = _starts(bounds, topics, from_offsets)
    async with _errors_in_our_words(kafka), _consumer(kafka) as consumer:
        _assign(consumer, starts)
        started = time.time()
        while True:
            records = await _poll(consumer)
            _check_answering(consumer, starts, started, kafka)
            yield Batch(records, await _behind(consumer, bounds))


async def read_one(kafka: KafkaSettings, topic: str, partition: int, offset: int) -> LogRecord:
    """Read the record at one offset.

    Raises:
        LogUnavailableError: Kafka does not answer in time.
        TopicsError: there is nothing at that offset.

    """
    return (await read_many(kafka, [(topic, partition, offset)]))[0]


async def read_many(kafka: KafkaSettings, places: Collection[tuple[str, int, int]]) -> list[LogRecord]:
    """Read the records at `places` (topic, partition, offset), in that order, over one connection.

    Raises:
        LogUnavailableError: Kafka does not answer in time.
        TopicsError: there is nothing at one of the offsets.

    """
    wanted: dict[Any, set[int]] = {}
    for topic, partition, offset in places:
        wanted.setdefault(TopicPartition(topic, partition), set()).add(offset)
    found: dict[tuple[str, int, int], LogRecord] = {}
    if wanted:
        async with _errors_in_our_words(kafka), _consumer(kafka) as consumer:
            for partition, offsets in wanted.items():
                found |= {
                    (partition.topic, partition.partition, record.offset): record
                    for record in await _read_offsets(consumer, partition, sorted(offsets))
                }
    return [found[place] for place in places]


async def _read_offsets(consumer: Any, partition: Any, offsets: list[int]) -> list[LogRecord]:
    """Read these offsets in one pass; what lies between them is read over where that is quicker than to seek."""
    consumer.assign([partition])
    consumer.seek(partition, offsets[0])
    found: list[LogRecord] = []
    while len(found) < len(offsets):
        expected = offsets[len(found)]
        if expected - await consumer.position(partition) > READ_OVER_RECORDS:
            consumer.seek(partition, expected)
        async with asyncio.timeout(CONNECT_SECONDS):
            polled = await consumer.getmany(
                partition, timeout_ms=int(CONNECT_SECONDS * 1000), max_records=BATCH_RECORDS
            )
        for record in polled.get(partition, ()):
            if len(found) < len(offsets) and record.offset == offsets[len(found)]:
                found.append(_record(record))
        if len(found) < len(offsets) and await consumer.position(partition) > offsets[len(found)]:
            place = f"{partition.topic}/{partition.partition}/{offsets[len(found)]}"
            raise TopicsError(f"the log has no record {place} any more")
    return found


async def _partitions(kafka: KafkaSettings, topics: Collection[str]) -> tuple[str, list[Any]]:
    async with admin_client(kafka) as admin:
        cluster = await admin.describe_cluster()
        # All topics: asking for one by name makes it on clusters that create topics by themselves.
        described = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
        missing = sorted(topic for topic in topics if not described.get(topic))
        await require_sight(admin, kafka, missing)
    if missing:
        raise TopicsError(f"topics missing in Kafka: {', '.join(missing)}: create them with `zuora-ifs topics apply`")
    found = [TopicPartition(topic, one["partition"]) for topic in topics for one in described[topic]]
    return str(cluster["cluster_id"]), sorted(found)


@asynccontextmanager
async def _consumer(kafka: KafkaSettings) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(
        **connection_options(kafka),
        enable_auto_commit=False,
        # A position that the log does not have is for the caller to know, not to be passed over.
        auto_offset_reset="none",
        fetch_max_bytes=FETCH_BYTES,
    )
    starting = asyncio.ensure_future(consumer.start())
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            # Shielded: cancelled while it connects, aiokafka leaves the connection open.
            await asyncio.shield(starting)
        rest_without_leader(consumer._client)  # noqa: SLF001
        yield consumer
    finally:
        done, _ = await asyncio.wait({starting}, timeout=CLOSE_SECONDS)
        if not done:
            starting.cancel()
        elif not starting.cancelled():
            starting.exception()  # told already, or overtaken by a cancellation
        await consumer.stop()


@asynccontextmanager
async def _errors_in_our_words(kafka: KafkaSettings) -> AsyncIterator[None]:
    servers = bootstrap_servers(kafka)
    try:
        yield
    except OffsetOutOfRangeError as error:
        raise TopicsError("a topic was cut off or made anew while it was read; read it again") from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise denial(error) or LogUnavailableError(
            f"Kafka at {servers} does not answer: {type(error).__name__}"
        ) from error


def _starts(bounds: Bounds, topics: Collection[str], from_offsets: Mapping[Position, int]) -> dict[Any, int]:
    return {
        TopicPartition(*position): max(from_offsets.get(position, 0), first)
        for position, first in bounds.first.items()
        if position[0] in topics
    }


def _assign(consumer: Any, starts: Mapping[Any, int]) -> None:
    consumer.assign(list(starts))
    for partition, offset in starts.items():
        consumer.seek(partition, offset)


async def _poll(consumer: Any) -> list[LogRecord]:
    polled = await consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=BATCH_RECORDS)
    return [_record(record) for records in polled.values() for record in records]


async def _behind(consumer: Any, bounds: Bounds) -> int:
    behind = 0
    for partition in consumer.assignment():
        end = consumer.highwater(partition)
        end = bounds.end[partition.topic, partition.partition] if end is None else end
        behind += max(0, end - await consumer.position(partition))
    return behind


def _check_answering(consumer: Any, partitions: Collection[Any], started: float, kafka: KafkaSettings) -> None:
    newest = max([(consumer.last_poll_timestamp(tp) or 0) / 1000 for tp in partitions], default=0)
    if time.time() - max(newest, started) > STALL_SECONDS:
        raise LogUnavailableError(f"Kafka at {kafka.bootstrap_servers} stopped answering")


def _by_position(offsets: Mapping[Any, int]) -> dict[Position, int]:
    return {(partition.topic, partition.partition): offset for partition, offset in offsets.items()}


def _record(record: Any) -> LogRecord:
    return LogRecord(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        {name: value or b"" for name, value in record.headers},  # Java's clients may leave a value out
        _moment(record.timestamp),
    )


def _moment(milliseconds: int) -> datetime:
    """Return the time of a record; its producer may have written any number, and 1970 is as good as another then."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return EPOCH

"""Gapless or explained: every source offset follows the one before it, or the log is asked why not."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from agents.runtime.failure import ExitCode, end_process
from streams.log.connection import connection_options
from streams.settings import KafkaSettings

log = structlog.get_logger(__name__)

REREAD_SECONDS = 30.0
"""How long the log may take to answer; the partition waits meanwhile."""

FirstRecordFrom = Callable[[TopicPartition, int], Awaitable[int]]


class SourceSequence:
    """Knows the next offset of every source partition and what to make of a jump."""

    def __init__(self, first_record_from: FirstRecordFrom) -> None:
        self._first_record_from = first_record_from
        self._next: dict[TopicPartition, int] = {}
        self.passed: Counter[str] = Counter()
        """Offsets without a record, by topic: transaction markers, deleted records."""

    def start(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Begin anew: these are the offsets that were sought."""
        self._next = dict(offsets)

    def follows(self, tp: TopicPartition, offset: int) -> bool:
        """Advance and return True if this is the next offset; else return False and stay."""
        if self._next.get(tp) != offset:
            return False
        self._next[tp] = offset + 1
        return True

    async def explain(self, tp: TopicPartition, offset: int) -> None:
        """Find out why `offset` came instead of the next one; passes if the log has nothing between, else ends.

        A record that the framework dropped must never be taken for one that was deleted: the commit would go over it.
        """
        expected = self._next.get(tp)
        if expected is None or offset < expected:
            end_process(
                f"{tp.topic}[{tp.partition}] went on at offset {offset}, but {expected} was next: "
                "was the topic made anew? then reset the offsets of this consumer group",
                ExitCode.SOURCE_JUMPED,
            )
        try:
            first = await self._first_record_from(tp, expected)
        except (KafkaError, TimeoutError) as error:
            end_process(
                f"{tp.topic}[{tp.partition}] jumped from {expected} to {offset} and could not be read again",
                ExitCode.SOURCE_JUMPED,
                error,
            )
        if self._next.get(tp) != expected:
            return  # a rebalance came between: this event is out of date anyway
        if first < offset:
            end_process(
                f"{tp.topic}[{tp.partition}] jumped from {expected} to {offset}, but there is a record at {first}",
                ExitCode.SOURCE_JUMPED,
            )
        log.warning("no records", topic=tp.topic, partition=tp.partition, first_offset=expected, next_offset=offset)
        self.passed[tp.topic] += offset - expected
        self._next[tp] = offset


async def first_record_from(kafka: KafkaSettings, tp: TopicPartition, offset: int) -> int:
    """Return the offset of the first record at or after `offset`, read with a consumer of its own.

    Raises:
        KafkaError: Kafka does not answer.
        TimeoutError: nothing came in 30 s.

    """
    consumer = AIOKafkaConsumer(**connection_options(kafka), auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([tp])
        consumer.seek(tp, offset)
        records = await consumer.getmany(tp, timeout_ms=int(REREAD_SECONDS * 1000), max_records=1)
        if not records.get(tp):
            raise TimeoutError
        return int(records[tp][0].offset)
    finally:
        await consumer.stop()

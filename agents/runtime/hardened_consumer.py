"""Faust's consumer, hardened: what it reads reaches the agents whole, and it commits only what is confirmed."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator, Mapping
from typing import Any

from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import Consumer

from agents.runtime.hardened_thread import HardenedThread, Records

BUFFERED_BYTES_MAX = 64 * 1024 * 1024
"""Values read and not yet taken by an agent; above this reading rests. Documents may have several MB each."""

READ_SECONDS = 0.25
"""How long one read may wait for records; a rebalance waits for the read that is out."""

RECORDS_BETWEEN_YIELDS = 100
"""After so many records the event loop gets a turn, whatever the agents do."""


class HardenedConsumer(Consumer):  # type: ignore[misc]
    """Reads, delivers, seeks and commits for one app."""

    _reading = False
    _running_since: int = -1
    buffered_bytes = 0

    def _new_consumer_thread(self) -> HardenedThread:
        return HardenedThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def is_running(self) -> bool:
        """True between the end of a recovery and the start of the next rebalance.

        Faust's own flag `rebalancing` is set in the consumer's thread and cleared in the main one, so the end of one
        rebalance may wipe out the start of the next. The count of rebalances only grows.
        """
        return bool(self._running_since == self.app.rebalancing_count)

    def run_from_now(self, rebalance: int) -> None:
        """Deliver records again: the recovery after rebalance number `rebalance` is complete."""
        self.buffered_bytes = 0
        self._running_since = rebalance

    async def _drain_messages(self, fetcher: Any) -> None:
        """Read and deliver until stopped.

        Faults closed: a read begun before a rebalance comes back after it with records of the new position; Faust drops
        them and they are gone, so such a batch is thrown away whole, before anything seeks. A jump in offsets is
        recorded as "acked" by Faust's loop; here it does not judge offsets at all, the agents' windows do. And
        Faust spends four tasks on handing over each event (4,200 events/s), where almost always none is needed
        (10,400). A stop in the middle of a rebalance cancels this loop, which Faust takes for a crash and tells with
        two tracebacks.
        """
        try:
            while not (self.should_stop or fetcher.should_stop):
                delivered = 0
                async for message in self._next_batch():
                    await self._deliver(message)
                    delivered += 1
                    if delivered % RECORDS_BETWEEN_YIELDS == 0:
                        await asyncio.sleep(0)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not (self.should_stop or fetcher.should_stop):
                raise
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise

    async def _next_batch(self) -> AsyncIterator[Any]:
        rebalance = self.app.rebalancing_count
        active = frozenset(self._get_active_partitions())
        if not self.is_running or not self.flow_active or not active or self.buffered_bytes > BUFFERED_BYTES_MAX:
            await asyncio.sleep(0.02)
            return
        records = await self._read(active)
        for tp, record in self.scheduler.iterate(records):
            if self.should_stop or not self.flow_active or self.app.rebalancing_count != rebalance:
                return
            self.buffered_bytes += len(record.value or b"")
            yield self._to_message(tp, record)

    async def _read(self, partitions: frozenset[TopicPartition]) -> Records:
        self._reading = True
        try:
            return await self._thread.read(partitions, READ_SECONDS, 500)  # type: ignore[no-any-return]
        finally:
            self._reading = False

    async def read_for_recovery(
        self, partitions: frozenset[TopicPartition], timeout_seconds: float, max_records: int
    ) -> Records:
        """Read changelogs; the drain loop rests meanwhile."""
        return await self._thread.read_changelogs(partitions, timeout_seconds, max_records)  # type: ignore[no-any-return]

    async def read_returned(self) -> None:
        """Wait until no read is out: only then is it safe to seek."""
        while self._reading:  # noqa: ASYNC110 - a read is out for 0.25 s at most, and none is the usual case
            await asyncio.sleep(0.005)

    async def _deliver(self, message: Any) -> None:
        handing_over = self.callback(message)
        try:
            waits_for = handing_over.send(None)
        except StopIteration:
            return
        await self.wait_first(_finish(handing_over, waits_for), self.suspend_flow.wait())

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Create nothing: topics are made beforehand, and Faust would warn at every start that it may not."""

    async def perform_seek(self) -> None:
        """Seek every source partition to where its work goes on, and tell the windows what to expect.

        Fault closed: aiokafka does not seek a partition that has no committed offset yet, so what was read of it and
        dropped before the rebalance would be skipped, with nothing to notice it by.
        """
        sources = [tp for tp in self.assignment() if not self._is_changelog_tp(tp)]
        if not sources:
            return
        committed = await self._thread.committed(sources)
        fresh = [tp for tp, offset in committed.items() if offset is None]
        first = await self.earliest_offsets(*fresh) if fresh else {}
        starts = {tp: first[tp] if offset is None else offset for tp, offset in committed.items()}
        await self.seek_wait(starts)
        self._committed_offset.update(starts)
        self.app.stage.start_from(starts)

    def on_buffer_drop(self, tp: TopicPartition) -> None:
        """Fetch a partition again whose buffer has room.

        Fault closed: Faust does so for a partition that a rebalance has paused meanwhile, and what is then fetched is
        dropped.
        """
        if tp in self._paused_partitions:
            self._buffered_partitions.discard(tp)
        else:
            super().on_buffer_drop(tp)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let go of partitions.

        Fault closed: Faust forgets what was acked before it commits, so every rebalance repeats a commit interval, and
        waits for running events for ever; a record of ours could land behind the next owner's.
        """
        await self.app.stage.let_go()
        self._buffered_partitions.clear()  # the buffers are cleared too; Faust would leave them out for ever
        await super().on_partitions_revoked(revoked)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 - Faust's signature
        """Commit how far the windows have got.

        Faults closed: Faust's bookkeeping commits over unacked events (a hole of one, or any hole before the first
        commit), takes a failed commit for done, and lets the commit overtake sends that are not confirmed. The windows
        count an event only after its effects are confirmed and all before it are done.
        """
        assigned = self.assignment()
        offsets = {
            tp: offset
            for tp, offset in self.app.stage.positions.items()
            if tp in assigned and offset > (self._committed_offset[tp] or 0)
        }
        if not offsets or not await self._commit(offsets):
            return False
        self._committed_offset.update(offsets)
        return True

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        return bool(await self._thread.commit(offsets))


class _Continuation:
    """The rest of a coroutine that has taken its first step by hand and waits for `waits_for`."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._waits_for
        thrown: BaseException | None = None
        while True:
            try:
                answer = yield waits_for
            except BaseException as error:  # noqa: BLE001 - passed on into the coroutine, as `yield from` does
                thrown = error
            try:
                if thrown is None:
                    waits_for = self._coroutine.send(answer)
                else:
                    throwing, thrown = thrown, None
                    waits_for = self._coroutine.throw(throwing)
            except StopIteration as stop:
                return stop.value


async def _finish(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Any:
    return await _Continuation(coroutine, waits_for)

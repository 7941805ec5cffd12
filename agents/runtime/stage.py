"""What belongs to one app alone: its windows, how far they have got, and how its partitions are let go of."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog
from aiokafka.structs import TopicPartition

from agents.runtime.failure import ExitCode, code_of, end_process
from agents.runtime.outbox import Outbox
from agents.runtime.sequence import SourceSequence
from agents.runtime.table import StateTable
from agents.runtime.timing import Timing
from agents.runtime.window import Window
from agents.runtime.work import Abandoned, Event, Work, current_work

log = structlog.get_logger(__name__)

OpenWork = Callable[[int], AbstractAsyncContextManager[Work]]
BeforeEvents = Callable[[frozenset[int], OpenWork], Awaitable[None]]

COMMIT_SECONDS = 1.0
"""How long the last commit may take when partitions are taken away; what it misses is done again elsewhere."""

BUFFERED_EVENTS_PER_WINDOW = 4096


class Stage:
    """The side of an app that is ours; the hardened parts of Faust call it, and it calls `app` back."""

    def __init__(self, *, outbox: Outbox, sequence: SourceSequence, timing: Timing) -> None:
        self.app: Any = None
        self.outbox = outbox
        self.sequence = sequence
        self.timing = timing
        self.windows: list[Window] = []
        self.tables: dict[str, StateTable] = {}
        self.sources: set[str] = set()
        self.before_events: BeforeEvents | None = None
        self.positions: dict[TopicPartition, int] = {}
        self._letting_go = asyncio.Lock()
        self._running_since = -1
        self._generation = -1
        self._prepared: set[int] = set()
        self._preparing: asyncio.Task[None] | None = None
        self._open_works: set[Work] = set()

    @property
    def buffered_events_max(self) -> int:
        """Events that a window's buffer takes before it holds up the reading of the whole app.

        Fault closed: one hung agent stops all agents of its app, since the loop that hands out events waits for room in
        the fullest buffer. Pressure shows in a fifth of the buffer and one poll of 500 records later, so a fifth must
        hold a poll for every window's partitions; with one window there is nobody to hold up.
        """
        if len(self.windows) < 2:
            return BUFFERED_EVENTS_PER_WINDOW
        partitions = max((table.partitions for table in self.tables.values()), default=12) * len(self.sources)
        return max(BUFFERED_EVENTS_PER_WINDOW, 5 * 500 * (partitions + 1))

    @property
    def is_ready(self) -> bool:
        """True while events are let in."""
        return self.app is not None and self._running_since == self.app.rebalancing_count

    # --- asked by windows -------------------------------------------------------------------------------------------

    def is_current(self, message: Any) -> bool:
        """Tell whether a message was read under the present assignment."""
        return self.is_ready and bool(message.generation_id == self.app.consumer_generation_id)

    def taken(self, message: Any) -> None:
        """Count a message out of the buffer."""
        consumer = self.app.consumer
        consumer.buffered_bytes = max(0, consumer.buffered_bytes - len(message.value or b""))

    def open_event_work(self, event: Event, on_settled: Callable[[Work], None]) -> Work:
        """Make the work of an event."""
        return Work(self.outbox, event.partition, f"{event.topic}[{event.partition}]@{event.offset}", on_settled)

    # --- called during a rebalance, in this order ---------------------------------------------------------------------

    async def let_go(self) -> None:
        """Bring what runs to an end, or cut it off; then confirm, commit and forget. Takes about 3 s at most.

        Nothing of ours may be written behind the next owner, and nothing confirmed be done twice.
        """
        async with self._letting_go:
            self._running_since = -1
            if self._preparing is not None:
                self._preparing.cancel()
            deadline = asyncio.get_running_loop().time() + self.timing.revoke_grace_seconds
            for window in self.windows:
                window.close()
            await asyncio.gather(*(window.drained(deadline) for window in self.windows))
            await asyncio.gather(*(window.cut_off() for window in self.windows))
            for work in self._open_works:
                work.cut_off()
            if not await self.outbox.settled(self.timing.flush_seconds):
                end_process("Kafka does not confirm what was sent, and partitions are taken away", ExitCode.LOG)
            await self._commit()
            self._forget()

    async def _commit(self) -> None:
        if not self.positions:
            return
        committing = asyncio.ensure_future(self.app.consumer.force_commit())
        done, _ = await asyncio.wait({committing}, timeout=COMMIT_SECONDS)
        if not done or committing.exception() is not None:
            log.warning("last commit missed, its events come again", app=self.app.conf.id)

    def _forget(self) -> None:
        for window in self.windows:
            window.forget()
        self.positions.clear()
        for table in self.tables.values():
            for partition, state in table.states.items():
                if state.drop_unconfirmed():
                    self._prepared.discard(partition)  # what was derived from the dropped writes is wrong

    async def prepare(self, generation: int) -> None:
        """Mend doubtful entries and let the app build what it needs for partitions that are new here."""
        self._preparing = asyncio.current_task()
        try:
            if generation != self._generation + 1:  # another owner may have been in between
                self._prepared.clear()
            self._generation = generation
            assigned = self._assigned()
            self._prepared &= assigned
            await self._mend()
            fresh = frozenset(assigned - self._prepared)
            if fresh and self.before_events is not None:
                await self.before_events(fresh, self._opener())
            self._prepared |= fresh
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the framework
            end_process(f"{self.app.conf.id} cannot prepare its partitions", code_of(error), error)
        finally:
            self._preparing = None

    def start_from(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Expect these offsets next."""
        self.positions.clear()
        self.sequence.start(offsets)

    def run(self, rebalance: int) -> None:
        """Let events in: rebalance number `rebalance` is through."""
        self._running_since = rebalance
        for window in self.windows:
            window.reopen()
        log.info("partitions ready", app=self.app.conf.id, partitions=sorted(self._assigned()))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _assigned(self) -> set[int]:
        topics = {table.changelog_topic for table in self.tables.values()} or self.sources
        return {tp.partition for tp in self.app.consumer.assignment() if tp.topic in topics}

    async def _mend(self) -> None:
        """Write good values again whose records have a stale one behind them: compaction would keep the stale one."""
        opener = self._opener()
        for table in self.tables.values():
            for partition, state in table.states.items():
                doubtful, state.doubtful = state.doubtful, set()
                if not doubtful:
                    continue
                async with opener(partition) as work:
                    for key in doubtful:
                        work.add_change(state.write(key, state.get(key)))
                log.warning("entries written again", table=table.name, partition=partition, entries=len(doubtful))

    def _opener(self) -> OpenWork:
        rebalance = self.app.rebalancing_count

        @asynccontextmanager
        async def open_work(partition: int) -> AsyncIterator[Work]:
            if self.app.rebalancing_count != rebalance:
                raise Abandoned(f"partition {partition}")
            work = Work(self.outbox, partition, f"partition {partition} before its events", None)
            self._open_works.add(work)
            token = current_work.set(work)
            try:
                yield work
                await work.confirmed()
                await work.finish()
            finally:
                current_work.reset(token)
                self._open_works.discard(work)
                if not work.is_handled:
                    work.cut_off()

        return open_work

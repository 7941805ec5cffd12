"""Faust's recovery of tables, replaced: changelogs go straight into the tables, sources are resumed last."""

import asyncio
from typing import Any

from aiokafka.errors import IllegalStateError
from aiokafka.structs import TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from mode import Service

from agents.runtime.failure import ExitCode, end_process
from agents.runtime.hardened_consumer import READ_SECONDS
from agents.runtime.state import PartitionState

RECORDS_PER_READ = 5000
SHORTER_SECONDS = 10.0
"""For so long nothing may come of a changelog that is shorter than it was; a new leader says so for a moment too."""


class HardenedRecovery(Recovery):  # type: ignore[misc]
    """Brings the tables of the assigned partitions up to date, then lets the events in."""

    _rebalance = -1
    """The last one whose assignment has come."""
    _recovering = -1
    """The one that the recovery which is under way belongs to: it began with that assignment, and ends with it."""

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """Note which rebalance this is; another one makes the recovery start over."""
        self._rebalance = self.app.rebalancing_count
        await super().on_rebalance(*args, **kwargs)

    @Service.task  # type: ignore[untyped-decorator]
    async def _slurp_changelogs(self) -> None:
        """Do nothing.

        Fault closed: Faust reads changelogs record by record through a queue (4,200 records/s), swallows errors on the
        way, and may apply a record to the wrong table.
        """

    @Service.task  # type: ignore[untyped-decorator]
    async def _restart_recovery(self) -> None:
        while not await self.wait_for_stopped(self.signal_recovery_start):
            self.signal_recovery_start.clear()
            self._recovering = self._rebalance
            try:
                await self._recover(self._generation_id)
            except (RebalanceAgain, IllegalStateError):
                continue  # another rebalance has begun; its assignment starts the recovery anew
            except ServiceStopped:
                return

    async def _recover(self, generation: int) -> None:
        self._set_recovery_started()
        await self._wait(self.app.consumer.read_returned())
        self._check_current()
        await self._restore(generation)
        self._check_current()
        await self._prepare(generation)
        self._check_current()
        await self._let_events_in()

    def _check_current(self) -> None:
        if self.should_stop or self.app.should_stop:
            raise ServiceStopped
        if self.app.rebalancing_count != self._recovering:
            raise RebalanceAgain

    async def _restore(self, generation: int) -> None:
        """Read every changelog from where the local entries end to where it ends now."""
        consumer = self.app.consumer
        tps = sorted(self.active_tps)
        states: dict[TopicPartition, PartitionState] = {
            tp: self.tp_to_table[tp].open_partition(tp.partition) for tp in tps
        }
        if not states:
            return
        ends = await consumer.highwaters(*tps)
        begins = await consumer.earliest_offsets(*tps)
        self._check_current()
        starts = {}
        for tp, state in states.items():
            if state.entries.offset >= ends[tp]:
                state.entries.clear()  # the changelog was made anew: nothing local is worth anything
            starts[tp] = max(state.entries.offset + 1, begins[tp])
        unread = {tp for tp in tps if starts[tp] < ends[tp]}
        if unread:
            await self._wait(consumer.seek_wait({tp: starts[tp] for tp in unread}))
            await self._read_until({tp: ends[tp] for tp in unread}, states)
        for tp, state in states.items():
            state.own(generation, ends[tp])

    async def _read_until(self, ends: dict[TopicPartition, int], states: dict[TopicPartition, PartitionState]) -> None:
        """Read until every partition has reached its end.

        Fault closed: when the last records of a changelog were compacted away Faust waits for them for ever; the
        position tells that there is nothing more.
        """
        consumer = self.app.consumer
        clock = asyncio.get_running_loop()
        came_at = clock.time()
        unread = dict(ends)
        while unread:
            records = await consumer.read_for_recovery(frozenset(unread), READ_SECONDS, RECORDS_PER_READ)
            self._check_current()
            for tp, batch in records.items():
                states[tp].restore([record for record in batch if record.offset > states[tp].entries.offset])
            if not records:
                positions = {tp: await consumer.position(tp) for tp in unread}
                self._check_current()
                unread = {tp: end for tp, end in unread.items() if (positions[tp] or 0) < end}
                if clock.time() - came_at > SHORTER_SECONDS:
                    self._check_not_shorter(unread)
            else:
                came_at = clock.time()
                unread = {tp: end for tp, end in unread.items() if states[tp].entries.offset + 1 < end}

    def _check_not_shorter(self, ends: dict[TopicPartition, int]) -> None:
        """End the process where a changelog ends before the end that is waited for, which would then never come."""
        for tp, end in ends.items():
            end_now = self.app.consumer.highwater(tp)  # as of the last fetch; None before the first
            if end_now is not None and end_now < end:
                end_process(
                    f"changelog {tp.topic}[{tp.partition}] ended at {end} when this worker began to read it, and "
                    f"ends at {end_now} now: was it deleted and made anew? The next start reads what is there",
                    ExitCode.CHANGELOG,
                )

    async def _prepare(self, generation: int) -> None:
        """Let the app write what must be there before its first event; a rebalance cuts it off."""

        async def prepare() -> None:
            self._check_current()  # a rebalance may have begun before this task did
            await self.app.stage.prepare(generation)

        preparing = asyncio.ensure_future(prepare())
        try:
            await self._wait(asyncio.wait({preparing}))
        finally:
            if not preparing.done():
                preparing.cancel()
        if preparing.cancelled():
            raise RebalanceAgain
        preparing.result()

    async def _let_events_in(self) -> None:
        """Seek while everything is paused, clear the buffers, and resume the sources last.

        Fault closed: Faust resumes the sources first, then seeks, then clears the buffers, while its fetcher runs: 11
        of 17 restarts with a backlog lost or repeated events. It does so in apps without tables as well.
        """
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        await self._wait(consumer.read_returned())
        await self._wait(consumer.perform_seek())
        self._check_current()
        self._set_recovery_ended()
        self.completed.set()
        app.flow_control.resume()  # clears every buffer
        consumer.resume_flow()
        await app._fetcher.maybe_start()  # noqa: SLF001 - Faust's own way
        self._check_current()
        consumer.run_from_now(self._recovering)
        consumer.resume_partitions({tp for tp in consumer.assignment() if not consumer._is_changelog_tp(tp)})  # noqa: SLF001
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.stage.run(self._recovering)
        app.on_rebalance_end()


class HardenedTableManager(TableManager):  # type: ignore[misc]
    """Makes the hardened recovery, and begins at once."""

    _recovery: HardenedRecovery | None

    async def on_start(self) -> None:
        """Begin without Faust's pause of a second, in which tables might still be declared: all of ours are."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    @property
    def recovery(self) -> HardenedRecovery:
        """Return the recovery service."""
        if self._recovery is None:
            self._recovery = HardenedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

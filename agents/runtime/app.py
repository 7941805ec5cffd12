"""A stream app: a consumer group with its handlers and tables."""

import asyncio
import fcntl
import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import structlog
from aiokafka.structs import TopicPartition

from agents.runtime.failure import ExitCode, end_process
from agents.runtime.gathering import Gatherer, GatheringWindow
from agents.runtime.hardened_app import HardenedApp, declare_table
from agents.runtime.outbox import Outbox
from agents.runtime.sequence import SourceSequence, first_record_from
from agents.runtime.stage import BeforeEvents, Stage
from agents.runtime.table import DEFAULT_LARGEST_RECORD_BYTES, StateTable
from agents.runtime.timing import Timing
from agents.runtime.window import Handler, KeyOf, Window
from schemas.errors import SettingsError, TopicsError
from streams.clocks import steady_seconds
from streams.log.producer import LogProducer
from streams.settings import KafkaSettings

log = structlog.get_logger(__name__)

UNCONFIRMED_SECONDS = 5.0
"""For so long Kafka may confirm nothing of what was sent before that is said to be trouble; usual are milliseconds."""


class StreamApp:
    """Feeds events of the log to handlers and keeps their tables; one consumer group, named `app_id`.

    Declare tables and handlers first, then start. Several apps may run in one process and event loop; a crash of one
    ends the process. An app cannot be started twice.
    """

    def __init__(
        self,
        app_id: str,
        *,
        kafka: KafkaSettings,
        producer: LogProducer,
        data_dir: Path | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.app_id = app_id
        self._kafka = kafka
        self._producer = producer
        self._data_dir = None if data_dir is None else data_dir / app_id
        self._timing = timing or Timing()
        self._agents: list[tuple[tuple[str, ...], Window]] = []
        self._stage = Stage(
            outbox=Outbox(producer),
            sequence=SourceSequence(partial(first_record_from, kafka)),
            timing=self._timing,
        )
        self._faust: HardenedApp | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._folder_lock: TextIO | None = None

    def table(
        self,
        name: str,
        *,
        partitions: int,
        changelog_topic: str,
        largest_record_bytes: int = DEFAULT_LARGEST_RECORD_BYTES,
    ) -> StateTable:
        """Declare a table; its changelog exists already and has as many partitions as the topics that write it.

        `largest_record_bytes` is what the changelog's `max.message.bytes` takes.
        """
        table = StateTable(
            name, partitions=partitions, changelog_topic=changelog_topic, largest_record_bytes=largest_record_bytes
        )
        self._stage.tables[name] = table
        return table

    def serial(self, *, topics: Iterable[str], handler: Handler, span: int = 1000) -> None:
        """Handle events one at a time; only the confirmations of up to `span` events overlap."""
        self._add(topics, Window(self._stage, handler, size=1, span=span))

    def windowed(
        self,
        *,
        topics: Iterable[str],
        handler: Handler,
        size: int = 32,
        span: int = 256,
        key: KeyOf | None = lambda event: event.key,
    ) -> None:
        """Handle up to `size` events at once, those of the same key in order; a restart does `span` again at most.

        `key` None (or returning None) means that order does not matter.
        """
        self._add(topics, Window(self._stage, handler, size=size, span=span, key=key))

    def gathered(
        self, *, topics: Iterable[str], handler: Gatherer, ahead: int, ahead_bytes: int, span: int = 1000
    ) -> None:
        """Hand one handler what is there, several events at once: it finishes their works as it is through with them.

        At most `ahead` events, or about `ahead_bytes` of them, are left unfinished; see GatheringWindow.
        """
        self._add(topics, GatheringWindow(self._stage, handler, ahead=ahead, ahead_bytes=ahead_bytes, span=span))

    def before_events(self, callback: BeforeEvents) -> None:
        """Call `callback(partitions, open_work)` when partitions are new here, before any of their events.

        Tables are recovered by then. Inside `async with open_work(partition) as work:` tables may be written and
        records sent for that partition; all of it is confirmed on exit. Another rebalance cancels the callback, and
        what it still tries to write raises Abandoned. A partition is new again after another worker may have had it, or
        when writes of cut-off events were dropped.
        """
        self._stage.before_events = callback

    @property
    def is_ready(self) -> bool:
        """True while events are handled; False before the start, while rebalancing and while recovering."""
        return self._stage.is_ready

    def why_not_ready(self) -> list[str]:
        """Return a sentence for everything that keeps events from being handled here."""
        if not self.is_ready:
            return [f"{self.app_id} waits for its partitions"]
        reasons = []
        if (silent := self.seconds_since_heartbeat) > self._timing.session_seconds / 2:
            reasons.append(f"Kafka has not confirmed for {silent:.0f} s that {self.app_id} is in its group")
        if (waiting := self._stage.outbox.seconds_unconfirmed) > UNCONFIRMED_SECONDS:
            reasons.append(f"Kafka has confirmed no record of {self.app_id} for {waiting:.0f} s")
        return reasons

    @property
    def unacked(self) -> int:
        """Events taken and not yet acknowledged."""
        return sum(window.unacked for _, window in self._agents)

    @property
    def offsets_passed(self) -> dict[str, int]:
        """How many source offsets had no record (transaction markers, deleted records), by topic."""
        return dict(self._stage.sequence.passed)

    @property
    def seconds_since_heartbeat(self) -> float:
        """How long ago the group coordinator last confirmed that this process is a member; infinite before that."""
        if self._faust is None:
            return float("inf")
        heartbeat_at = self._faust.consumer._thread.heartbeat_at  # noqa: SLF001 - a service inside Faust's consumer
        return steady_seconds() - heartbeat_at if heartbeat_at else float("inf")

    def assigned_partitions(self, topic: str) -> frozenset[int]:
        """Return the partitions of a topic that are handled here."""
        if self._faust is None or not self._stage.is_ready:
            return frozenset()
        return frozenset(tp.partition for tp in self._faust.consumer.assignment() if tp.topic == topic)

    def lag(self, topic: str) -> dict[int, int]:
        """Return for each partition handled here how many events are not acknowledged, as far as is known."""
        if self._faust is None:
            return {}
        lags = {}
        for partition in self.assigned_partitions(topic):
            tp = TopicPartition(topic, partition)
            end = self._faust.consumer.highwater(tp)
            position = self._stage.positions.get(tp, self._faust.consumer._committed_offset[tp])  # noqa: SLF001
            if end is not None and position is not None:
                lags[partition] = max(0, end - position)
        return lags

    async def start(self) -> None:
        """Join the group; returns when the tables of the first assignment are recovered and events are let in.

        Raises:
            TopicsError: a topic is missing, or its number of partitions does not fit.
            SettingsError: the data folder is in use.
            LogUnavailableError: Kafka does not answer.

        """
        if self._faust is not None:
            raise TopicsError(f"{self.app_id} was started before: make a new app instead")
        _quiet_framework_logs()
        await self._check_topics()
        self._lock_folder()
        self._faust = faust_app = HardenedApp(self.app_id, kafka=self._kafka, timing=self._timing, stage=self._stage)
        self._stage.app = faust_app
        for table in self._stage.tables.values():
            declare_table(faust_app, table, self._data_dir)
        for number, (topics, window) in enumerate(self._agents):
            self._declare_agent(faust_app, f"{self.app_id}-{number}", topics, window)
        self._watcher = asyncio.create_task(self._end_on_crash(faust_app))
        try:
            await faust_app.start()
        except Exception as error:  # noqa: BLE001 - half a framework is running: nothing can be mended here
            end_process(f"{self.app_id} cannot start", ExitCode.FRAMEWORK, error)

    async def stop(self) -> bool:
        """Let go of all partitions, commit and leave the group; takes 5 s at most.

        False if leaving took too long: nothing is lost, but threads of the framework are still running, and the group
        waits for this member until its session ends.
        """
        faust_app = self._faust
        if faust_app is None:
            return True
        if self._watcher is not None:
            self._watcher.cancel()
        await self._stage.let_go()
        stopping = asyncio.ensure_future(faust_app.stop())
        # Not wait_for(): Faust's services swallow the cancellation, and it would wait for ever.
        done, _ = await asyncio.wait({stopping}, timeout=2.0)
        if not done:
            log.warning("leaving the group takes too long; all is committed", app=self.app_id)
        if self._folder_lock is not None:
            self._folder_lock.close()
        return bool(done)

    def _add(self, topics: Iterable[str], window: Window) -> None:
        names = tuple(topics)
        self._agents.append((names, window))
        self._stage.windows.append(window)
        self._stage.sources.update(names)

    def _declare_agent(self, faust_app: HardenedApp, name: str, topics: tuple[str, ...], window: Window) -> None:
        source = faust_app.topic(*topics, key_type=bytes, value_type=bytes, allow_empty=True)

        async def agent(stream: Any) -> None:
            # noack: Faust acks in the generator's `finally`, also when the handler failed.
            await window.run(stream.noack().events())

        faust_app.agent(source, name=name)(agent)

    async def _end_on_crash(self, faust_app: HardenedApp) -> None:
        """End the process when anything inside Faust crashes: it would go on with half of its services."""
        await faust_app._crashed.wait()  # noqa: SLF001 - nothing else tells
        end_process(f"{self.app_id} crashed", ExitCode.FRAMEWORK, faust_app.crash_reason)

    async def _check_topics(self) -> None:
        """Check that topics exist and that tables have as many partitions as what writes them.

        Fault closed: with a topic that was only just created Faust takes its number of partitions for 0.
        """
        if not self._agents:
            raise TopicsError(f"{self.app_id} has no handler")
        for topic in sorted(self._stage.sources):
            if not await self._producer.partitions(topic):
                raise TopicsError(f"topic {topic} does not exist: create the topics first")
        for table in self._stage.tables.values():
            found = await self._producer.partitions(table.changelog_topic)
            if found != table.partitions:
                raise TopicsError(
                    f"changelog {table.changelog_topic} of table {table.name} has {found} partitions, "
                    f"{table.partitions} are needed"
                )

    def _lock_folder(self) -> None:
        if self._data_dir is None:
            return
        self._data_dir.mkdir(parents=True, exist_ok=True)
        lock = (self._data_dir / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise SettingsError(
                f"{self._data_dir} is in use by another worker: give each its own ZIFS_DATA_DIR"
            ) from None
        self._folder_lock = lock


def _quiet_framework_logs() -> None:
    """Keep the framework's own story out of our log: what matters is logged here, or ends the process in one line."""
    for name, level in (("faust", logging.ERROR), ("mode", logging.ERROR), ("aiokafka", logging.ERROR)):
        logging.getLogger(name).setLevel(level)

"""Faust's app, hardened, with its settings; everything of Faust is reached through here."""

from pathlib import Path
from typing import Any

import faust
from aiokafka.structs import TopicPartition
from faust.app.base import BootStrategy
from faust.stores.base import Store
from faust.transport.drivers.aiokafka import Transport
from mode.supervisors import CrashingSupervisor

from agents.runtime.entries import Entries, MemoryEntries, RocksEntries
from agents.runtime.hardened_assignor import HardenedAssignor
from agents.runtime.hardened_consumer import HardenedConsumer
from agents.runtime.hardened_recovery import HardenedTableManager
from agents.runtime.state import PartitionState
from agents.runtime.table import StateTable
from agents.runtime.timing import Timing
from streams.settings import KafkaSettings


class HardenedTransport(Transport):  # type: ignore[misc]
    """Makes the hardened consumer."""

    Consumer = HardenedConsumer


class WithoutProducer(BootStrategy):  # type: ignore[misc]
    """Starts no producer and no web server of Faust's.

    Faults closed: Faust's producer is not idempotent, logs a failed send and commits on, and its flush gives up after
    0.1 s; its web server answers anyone with the contents of the tables.
    """

    enable_kafka_producer = False
    enable_web = False


class HardenedApp(faust.App):  # type: ignore[misc]
    """One consumer group."""

    BootStrategy = WithoutProducer

    def __init__(self, app_id: str, *, kafka: KafkaSettings, timing: Timing, stage: Any) -> None:
        self.kafka = kafka
        self.timing = timing
        self.stage = stage
        super().__init__(
            app_id,
            broker="kafka://" + (kafka.bootstrap_servers or "").split(",")[0],
            autodiscover=False,
            TableManager=HardenedTableManager,
            PartitionAssignor=HardenedAssignor,
            agent_supervisor=CrashingSupervisor,  # the default restarts the agent after the failed event: it is lost
            key_serializer="raw",  # what cannot be decoded Faust acks and drops; so it decodes nothing
            value_serializer="raw",
            topic_allow_declare=False,  # topics are created with their settings beforehand, never by a worker
            topic_disable_leader=True,  # would need a topic of its own for timers that we do not use
            table_standby_replicas=0,  # standbys read every changelog twice and bring races of their own
            web_enabled=False,
            # True waits for running events for ever: a hung far side would block rebalances and stops.
            stream_wait_empty=False,
            stream_buffer_maxsize=stage.buffered_events_max,
            stream_recovery_delay=0.0,
            broker_commit_interval=timing.commit_seconds,  # what a killed worker does twice
            broker_session_timeout=timing.session_seconds,
            broker_request_timeout=max(40.0, timing.session_seconds + 5),
            broker_heartbeat_interval=timing.heartbeat_seconds,
            broker_rebalance_timeout=timing.rebalance_seconds,
        )

    def _create_directories(self) -> None:
        """Create none.

        Fault closed: Faust makes `{app id}-data` in the working folder for stores that we do not use; in an image with
        a read-only root the worker would not start.
        """

    def _new_transport(self) -> HardenedTransport:
        return HardenedTransport(self.conf.broker_consumer, self)

    async def _on_agent_error(self, agent: Any, exc: BaseException) -> None:
        """Do nothing: the supervisor crashes the app.

        Fault closed: Faust commits here, with the failed event among the acked.
        """


class PartitionStore(Store):  # type: ignore[misc]
    """What Faust takes for a table's store; the entries are in the table's partition states.

    Faults closed: Faust's memory store takes an empty value written after a deletion for the deletion, and keeps
    entries of partitions that moved away; its RocksDB store is written before the changelog, reads whichever partition
    has the key when no event is current, and leaves closing to the garbage collector.
    """

    def persisted_offset(self, tp: TopicPartition) -> int | None:  # noqa: ARG002 - Faust's signature
        """Return None: the recovery asks the partition state itself."""
        return None

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Take nothing by this road; Faust calls it with empty batches only."""

    def reset_state(self) -> None:
        """Do nothing: entries that are not worth anything are cleared by the recovery."""

    async def backup_partition(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: the changelog is the backup."""
        raise NotImplementedError

    def restore_backup(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: the changelog is the backup."""
        raise NotImplementedError

    async def on_rebalance(self, assigned: set[Any], *_: Any) -> None:
        """Close the partitions that are not assigned any more."""
        self.table.keep_partitions({tp.partition for tp in assigned if tp.topic == self.table.changelog_name})

    async def stop(self) -> None:
        """Close all partitions, so that their locks are free."""
        self.table.keep_partitions(set())
        await super().stop()


class HardenedTable(faust.Table):  # type: ignore[misc]
    """Registers a changelog with Faust, which assigns its partitions along with the sources'."""

    def __init__(self, app: HardenedApp, *, table: StateTable, data_dir: Path | None, **kwargs: Any) -> None:
        self.state_table = table
        self.changelog_name = table.changelog_topic
        self._data_dir = data_dir
        super().__init__(app, **kwargs)

    def _new_store(self) -> PartitionStore:
        return PartitionStore("memory://", self.app, self, table_name=self.name, loop=self.loop)

    def open_partition(self, partition: int) -> PartitionState:
        """Return the state of a partition, opened if it is not open yet."""
        states = self.state_table.states
        if partition not in states:
            states[partition] = PartitionState(self.changelog_name, partition, self._entries(partition))
        return states[partition]

    def keep_partitions(self, kept: set[int]) -> None:
        """Close all partitions but these."""
        for partition in set(self.state_table.states) - kept:
            self.state_table.states.pop(partition).close()

    def _entries(self, partition: int) -> Entries:
        if self._data_dir is None:
            return MemoryEntries()
        return RocksEntries(self._data_dir / self.state_table.name / str(partition))


def declare_table(app: HardenedApp, table: StateTable, data_dir: Path | None) -> None:
    """Register a table with Faust."""
    changelog = app.topic(table.changelog_topic, key_type=bytes, value_type=bytes, partitions=table.partitions)
    app.tables.add(
        HardenedTable(
            app,
            table=table,
            data_dir=data_dir,
            name=table.name,
            partitions=table.partitions,
            changelog_topic=changelog,
            key_type=bytes,
            value_type=bytes,
            beacon=app.tables.beacon,
        )
    )

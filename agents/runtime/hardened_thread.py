"""Faust's consumer thread, hardened: it owns the aiokafka consumer and reads only what it is asked for."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiokafka
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, ConsumerStoppedError

from agents.runtime.failure import ExitCode, end_process
from streams.clocks import steady_seconds
from streams.log.connection import connection_options
from streams.log.groups import heeding_errors_of_offsets
from streams.log.leaderless import rest_without_leader

Records = Mapping[TopicPartition, list[Any]]
UNKNOWN_TOPICS_SECONDS = 1.0
"""After an assignment that lacked a topic, until the next."""


class HardenedThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Runs the consumer in a thread of its own, so that heartbeats go out while the main loop works."""

    heartbeat_at: float = 0.0
    """When the group coordinator last confirmed this member, by `steady_seconds`."""

    async def on_start(self) -> None:
        """Start the consumer, note every confirmed heartbeat, and end with the first error that no rejoin can mend."""
        try:
            await super().on_start()
        except (KafkaError, OSError) as error:
            # Faust would tell it in three tracebacks: Kafka went between our first questions and this one.
            end_process(f"{self.app.conf.id} cannot reach Kafka to join its group", ExitCode.LOG, error)
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - aiokafka tells nobody of heartbeats
        beat = coordinator._do_heartbeat  # noqa: SLF001

        async def noted_heartbeat() -> bool:
            sent_at = steady_seconds()
            confirmed: bool = await beat()
            if confirmed:
                self.heartbeat_at = sent_at
            return confirmed

        coordinator._do_heartbeat = noted_heartbeat  # noqa: SLF001
        self._end_when_refused(coordinator)
        self._know_topics_before_dividing_them(coordinator)
        self._never_take_an_error_for_nothing_committed(coordinator)
        self._end_with_what_works_beside(self._ensure_consumer())
        rest_without_leader(self._ensure_consumer()._client)  # noqa: SLF001

    def _end_when_refused(self, coordinator: Any) -> None:
        """End the process when the group refuses this member, for lack of a right say.

        Fault closed: aiokafka keeps such an error for the next getmany(), and rests until then. Nobody calls that here,
        and the worker would wait for its partitions for ever without a word.
        """
        push = coordinator._push_error_to_user  # noqa: SLF001

        def pushed(error: Exception) -> Any:
            ending = self.should_stop or coordinator._closing.done()  # noqa: SLF001
            if not ending and not getattr(error, "retriable", False):
                end_process(f"{self.app.conf.id} cannot work in its group", ExitCode.FRAMEWORK, error)
            return push(error)

        coordinator._push_error_to_user = pushed  # noqa: SLF001

    def _know_topics_before_dividing_them(self, coordinator: Any) -> None:
        """Ask for the topics as they are now whenever this member divides them, and again soon where one is missing.

        Fault closed: aiokafka asks for topics once, and where Kafka does not answer just then, not again for five
        minutes. Until then nobody in the group has any partitions.
        """
        divide = coordinator._perform_assignment  # noqa: SLF001

        async def informed(response: Any) -> Any:
            await coordinator._client.force_metadata_update()  # noqa: SLF001
            assignments = await divide(response)
            if self._assignor.unknown_topics:
                asyncio.get_running_loop().call_later(UNKNOWN_TOPICS_SECONDS, coordinator.request_rejoin)
            return assignments

        coordinator._perform_assignment = informed  # noqa: SLF001

    def _never_take_an_error_for_nothing_committed(self, coordinator: Any) -> None:
        """Ask again for what was committed when the coordinator has moved or is loading.

        Fault closed: aiokafka would say that nothing was committed, and every event that there is would come again.
        """
        send = heeding_errors_of_offsets(coordinator._send_req)  # noqa: SLF001

        async def sent(request: Any) -> Any:
            try:
                return await send(request)
            except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):
                coordinator.coordinator_dead()  # or the same broker is asked until a heartbeat finds it out
                raise

        coordinator._send_req = sent  # noqa: SLF001

    def _end_with_what_works_beside(self, consumer: Any) -> None:
        """End the process when a task of aiokafka's ends that everything else waits for.

        Fault closed: aiokafka logs what ended its fetching, its part in the group, or its asking for metadata, and does
        not tell whoever reads. Heartbeats go on, so the worker would keep its partitions and handle nothing for ever.
        """

        def ended(task: "asyncio.Task[Any]") -> None:
            if not (self.should_stop or consumer._closed):  # noqa: SLF001
                error = None if task.cancelled() else task.exception()
                end_process(f"{self.app.conf.id} lost a part of its Kafka client", ExitCode.FRAMEWORK, error)

        coordinator, fetcher, client = consumer._coordinator, consumer._fetcher, consumer._client  # noqa: SLF001
        for task in (coordinator._coordination_task, fetcher._fetch_task, client._sync_task):  # noqa: SLF001
            task.add_done_callback(ended)

    async def on_thread_stop(self) -> None:
        """Stop the consumer.

        Fault closed: while no broker answers, aiokafka awaits a fetch that it has itself cancelled, which ends the
        thread with a traceback and leaves the stop waiting for it.
        """
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            await self._ensure_consumer()._client.close()  # noqa: SLF001 - all that was left to close

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Take the assignment, which the coordinator has just confirmed this member with."""
        self.heartbeat_at = steady_seconds()
        await super().on_partitions_assigned(assigned, generation_id)

    def verify_event_path(self, now: float, tp: TopicPartition) -> None:
        """Report a partition that aiokafka does not fetch, and nothing else.

        Fault closed: Faust also compares what a partition holds with what was read of it, and takes a changelog for
        stuck: an error of ten lines every 2.5 s for each, from the fifth minute on, since a changelog is written and
        not read once its table is built. Nor is a long event a fault: the poster waits for IFS for as long as it takes.
        """
        self._verify_aiokafka_event_path(now, tp)

    def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ARG002 - Faust's signature
        """Make the consumer with every setting in sight.

        Fault closed: Faust knows no SCRAM over TLS with a private CA from the same settings as our other clients, sets
        no limit to the records of one poll, and takes an assignor that ignores partition numbers when there are no
        tables.
        """
        timing = self.app.timing
        self._assignor = self.app.assignor  # the same partition number of all topics comes to the same worker
        return aiokafka.AIOKafkaConsumer(
            **connection_options(self.app.kafka),
            client_id=self.app.conf.broker_client_id,
            group_id=self.app.conf.id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,  # an event is committed when its effects are confirmed, never by the clock
            auto_offset_reset="earliest",  # a new group starts with the first event, and deleted ones are passed
            isolation_level="read_uncommitted",  # markers of other people's transactions are passed and counted
            max_poll_records=500,  # bounds what one read hands on; unlimited would fill the buffers in one go
            max_partition_fetch_bytes=1024 * 1024,  # prefetched per partition; a larger record still comes, alone
            fetch_max_wait_ms=500,  # how long the broker holds an empty fetch; a record ends it at once
            session_timeout_ms=int(timing.session_seconds * 1000),  # a killed worker's work waits this long
            heartbeat_interval_ms=int(timing.heartbeat_seconds * 1000),  # also how soon a rebalance is noticed
            rebalance_timeout_ms=int(timing.rebalance_seconds * 1000),  # grace + flush + commit must fit well within
            request_timeout_ms=int(max(40.0, timing.session_seconds + 5) * 1000),  # must be above the session's
            # A far side that is down for days holds the reading back on purpose; that is no reason to be thrown out.
            max_poll_interval_ms=7 * 24 * 3600 * 1000,
        )

    async def read(self, partitions: frozenset[TopicPartition], timeout_seconds: float, max_records: int) -> Records:
        """Read what has been fetched for these partitions, for `timeout_seconds` at most.

        Fault closed: Faust hands aiokafka its live, mutable set of active partitions; a rebalance empties it in
        mid-read, aiokafka takes an empty set for "all partitions", and records that nobody asked for are dropped while
        the position moves on. Here it is a snapshot, and never empty.
        """
        if not partitions:
            await asyncio.sleep(min(timeout_seconds, 0.02))
            return {}
        records: Records = await self.call_thread(self._read, partitions, timeout_seconds, max_records)
        return records

    async def _read(self, partitions: frozenset[TopicPartition], timeout_seconds: float, max_records: int) -> Records:
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher  # noqa: SLF001 - getmany() would wait for a whole batch timeout after a seek
        if consumer._closed or fetcher._closed:  # noqa: SLF001
            raise ConsumerStoppedError
        with fetcher._subscriptions.fetch_context():  # noqa: SLF001
            try:
                records: Records = await fetcher.fetched_records(
                    partitions, timeout=timeout_seconds, max_records=max_records
                )
            except TopicAuthorizationFailedError as error:
                # Faust would end the process too, after a traceback for each of its services.
                end_process(f"{self.app.conf.id} cannot read", ExitCode.FRAMEWORK, error)
            return records

    async def read_changelogs(
        self, partitions: frozenset[TopicPartition], timeout_seconds: float, max_records: int
    ) -> Records:
        """Read as `read` does, records as a batch holds them: offset, key, value and headers, and no partition.

        aiokafka's own are frozen dataclasses of eleven fields, which take longer to make than all else on their way
        into a table.
        """
        records: Records = await self.call_thread(self._read_changelogs, partitions, timeout_seconds, max_records)
        return records

    async def _read_changelogs(
        self, partitions: frozenset[TopicPartition], timeout_seconds: float, max_records: int
    ) -> Records:
        # The first record is aiokafka's own: with it come its waiting, its errors, and what it does about a rebalance.
        records = dict(await self._read(partitions, timeout_seconds, 1))
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001
        left = max_records - len(records)
        for tp, result in list(fetcher._records.items()):  # noqa: SLF001
            if not records or left <= 0:
                break
            if tp not in partitions or not isinstance(result, FetchResult) or not result.has_more():
                continue
            result._partition_records._consumer_record = _as_it_is  # noqa: SLF001
            taken = result.getall(left)
            if not result.has_more():
                del fetcher._records[tp]  # noqa: SLF001
                fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001 - the next fetch may go out
            if taken:
                records[tp] = [*records.get(tp, ()), *taken]
                left -= len(taken)
        return records

    async def committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Return the committed offset of each partition, None where nothing was committed."""
        found: dict[TopicPartition, int | None] = await self.call_thread(self._committed, partitions)
        return found

    async def _committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        consumer = self._ensure_consumer()
        offsets = await asyncio.gather(*(consumer.committed(tp) for tp in partitions))
        return dict(zip(partitions, offsets, strict=True))


def _as_it_is(_: TopicPartition, record: Any) -> Any:
    return record

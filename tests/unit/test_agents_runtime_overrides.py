"""Each override of Faust, by the fault that it closes; every test fails when its override is taken out."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.protocol.metadata import MetadataResponse_v1
from faust.types import TP
from mode.supervisors import CrashingSupervisor
from mode.threads import QueueServiceThread

from agents.runtime import Event, StreamApp, Work, hardened_thread
from agents.runtime.failure import ExitCode
from agents.runtime.hardened_app import HardenedApp
from agents.runtime.hardened_consumer import BUFFERED_BYTES_MAX
from streams.settings import KafkaSettings
from tests.support.runtime_app import (
    IN_0,
    IN_1,
    ProcessEndedError,
    Producer,
    batch,
    record,
    record_ends,
    recorded_app,
)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return record_ends(monkeypatch)


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> HardenedApp:
    return await recorded_app(monkeypatch)


# --- settings ---


async def test_the_settings_that_faults_of_faust_need_are_set(app: HardenedApp) -> None:
    conf = app.conf

    assert not conf.stream_wait_empty  # True: a hung event blocks every rebalance and stop
    assert conf.agent_supervisor is CrashingSupervisor  # the default loses the event that failed
    assert not conf.topic_allow_declare
    assert conf.topic_disable_leader
    assert conf.table_standby_replicas == 0
    assert not conf.web_enabled
    assert not app.boot_strategy._should_enable_kafka_producer()
    assert not app.boot_strategy._should_enable_web()
    assert conf.key_serializer == conf.value_serializer == "raw"


@pytest.mark.parametrize("known", [["in"], ["changelog"], ["in", "changelog"]])
async def test_partitions_are_divided_when_all_topics_are_known(app: HardenedApp, known: list[str]) -> None:
    """Faust leaves out what it does not know of: a partition would come without its changelog, or the reverse."""
    partitions = [(0, number, 1, [1], [1]) for number in (0, 1)]
    cluster = ClusterMetadata()
    cluster.update_metadata(
        MetadataResponse_v1([(1, "b", 9092, None)], 1, [(0, name, False, partitions) for name in known])
    )
    member = app.assignor.metadata({"in", "changelog"})

    assigned = app.assignor.assign(cluster, {"member": member})["member"].partitions()

    all_known = {(name, number) for name in known for number in (0, 1)} if len(known) == 2 else set()
    assert set(assigned) == all_known
    assert app.assignor.unknown_topics == tuple(sorted({"in", "changelog"} - set(known)))


async def test_faust_makes_no_folder_of_its_own(
    app: HardenedApp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its stores are not used, and in an image with a read-only root the worker would not start."""
    monkeypatch.chdir(tmp_path)

    await app.on_first_start()

    assert entries_of(tmp_path) == []


def entries_of(folder: Path) -> list[Path]:
    """What lies in a folder."""
    return list(folder.iterdir())


async def test_windows_of_one_app_have_room_for_a_poll_of_all_partitions_in_a_fifth_of_their_buffer() -> None:
    producer: Any = Producer()
    app = StreamApp("app", kafka=KafkaSettings(bootstrap_servers="127.0.0.1:9"), producer=producer)

    async def handle(_event: Event, _work: Work) -> None:
        pass

    app.table("t", partitions=24, changelog_topic="c")
    app.serial(topics=["a", "b"], handler=handle)
    app.windowed(topics=["c"], handler=handle)

    assert app._stage.buffered_events_max / 5 > 24 * 3 * 500


async def test_tls_and_sasl_of_the_settings_reach_fausts_consumer(
    app: HardenedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(hardened_thread.aiokafka, "AIOKafkaConsumer", lambda **options: given.update(options))
    app.kafka = KafkaSettings.model_validate(
        {
            "bootstrap_servers": "a:1,b:2",
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": "me",
            "sasl_password": "secret",
        }
    )

    hardened_thread.HardenedThread._create_worker_consumer(SimpleNamespace(app=app), None)

    assert given["bootstrap_servers"] == ["a:1", "b:2"]
    assert given["security_protocol"] == "SASL_SSL"
    assert given["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (given["sasl_plain_username"], given["sasl_plain_password"]) == ("me", "secret")
    assert isinstance(given["ssl_context"], ssl.SSLContext)
    assert not given["enable_auto_commit"]
    assert given["partition_assignment_strategy"] == [app.assignor]


# --- reading ---


class Fetcher:
    _closed = False

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self._subscriptions = SimpleNamespace(fetch_context=self._context)

    @contextmanager
    def _context(self) -> Iterator[None]:
        yield

    async def fetched_records(self, partitions: frozenset[TP], **_: object) -> dict[TP, list[Any]]:
        self.asked.append(partitions)
        return {}


async def test_an_empty_set_of_partitions_is_never_read_since_aiokafka_takes_it_for_all() -> None:
    fetcher = Fetcher()
    consumer = SimpleNamespace(_fetcher=fetcher, _closed=False)
    thread = object.__new__(hardened_thread.HardenedThread)

    async def call_thread(function: Any, *args: Any) -> Any:
        return await function(*args)

    thread.call_thread = call_thread
    thread._ensure_consumer = lambda: consumer

    assert await thread.read(frozenset(), 0.01, 10) == {}
    assert fetcher.asked == []
    await thread.read(frozenset({IN_0}), 0.01, 10)
    assert fetcher.asked == [frozenset({IN_0})]


async def test_a_fetch_that_aiokafka_cancels_does_not_end_the_thread_in_its_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []

    async def queue_stopped(_: object) -> None: ...

    async def stop() -> None:
        raise asyncio.CancelledError

    async def close() -> None:
        closed.append("client")

    monkeypatch.setattr(QueueServiceThread, "on_thread_stop", queue_stopped)
    thread = object.__new__(hardened_thread.HardenedThread)
    thread._consumer = SimpleNamespace(stop=stop, _client=SimpleNamespace(close=close))

    await thread.on_thread_stop()

    assert closed == ["client"]


async def test_what_is_read_is_a_snapshot_of_the_active_partitions_which_a_rebalance_cannot_empty(
    app: HardenedApp,
) -> None:
    app.consumer._active_partitions = {IN_0}

    await batch(app.consumer)
    app.consumer.pause_partitions({IN_0})

    assert app.thread.calls == [("read", frozenset({IN_0}))]


async def test_a_batch_whose_read_was_out_during_a_rebalance_is_thrown_away_whole(app: HardenedApp) -> None:
    app.consumer._active_partitions = {IN_0}

    async def read(*_: object) -> dict[TP, list[Any]]:
        app.rebalancing_count += 1
        return {IN_0: [record(7)]}

    app.consumer._thread.read = read

    assert await batch(app.consumer) == []


async def test_a_stop_in_the_middle_of_a_rebalance_is_no_crash_of_the_fetcher(app: HardenedApp) -> None:
    app.rebalancing = True
    app.consumer._active_partitions = set()
    fetcher = app._fetcher
    await fetcher.start()
    await asyncio.sleep(0)

    await fetcher.stop()

    assert fetcher.crash_reason is None


async def test_a_rebalance_in_the_middle_of_a_batch_drops_the_rest(app: HardenedApp) -> None:
    app.consumer._active_partitions = {IN_0}
    app.thread.records = [{IN_0: [record(7), record(8)]}]
    seen = []

    async for message in app.consumer._next_batch():
        seen.append(message.offset)
        app.rebalancing_count += 1

    assert seen == [7]


async def test_nothing_is_read_between_the_start_of_a_rebalance_and_the_end_of_its_recovery(app: HardenedApp) -> None:
    app.consumer._active_partitions = {IN_0}
    app.thread.records = [{IN_0: [record(7)]}]
    app.rebalancing_count += 1
    app.rebalancing = False  # the end of the rebalance before has wiped out Faust's own flag

    assert await batch(app.consumer) == []
    assert app.thread.calls == []

    app.consumer.run_from_now(app.rebalancing_count)
    assert await batch(app.consumer) == [7]


async def test_a_seek_waits_until_the_read_that_is_out_has_returned(app: HardenedApp) -> None:
    gate = asyncio.Event()

    async def read(*_: object) -> dict[TP, list[Any]]:
        await gate.wait()
        return {}

    app.consumer._thread.read = read
    app.consumer._active_partitions = {IN_0}
    reading = asyncio.create_task(batch(app.consumer))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(app.consumer.read_returned())
    await asyncio.sleep(0.02)
    assert not waiting.done()

    gate.set()
    await asyncio.wait_for(waiting, 1)
    await reading


async def test_reading_rests_while_too_many_bytes_wait_for_the_agents(app: HardenedApp) -> None:
    app.consumer._active_partitions = {IN_0}
    app.thread.records = [{IN_0: [record(7, b"x" * (BUFFERED_BYTES_MAX + 1))]}, {IN_0: [record(8)]}]

    assert await batch(app.consumer) == [7]
    assert await batch(app.consumer) == []
    app.stage.taken(SimpleNamespace(value=b"x" * (BUFFERED_BYTES_MAX + 1)))
    assert await batch(app.consumer) == [8]


async def test_a_partition_paused_by_a_rebalance_is_not_fetched_again_when_its_buffer_has_room(
    app: HardenedApp,
) -> None:
    app.consumer._active_partitions = {IN_0}
    app.consumer.on_buffer_full(IN_0)
    app.consumer.pause_partitions({IN_0})

    app.consumer.on_buffer_drop(IN_0)

    assert app.consumer._active_partitions == set()


async def test_handing_over_an_event_takes_no_task_when_nothing_has_to_wait(app: HardenedApp) -> None:
    handed_over = []

    async def callback(message: Any) -> None:
        handed_over.append(message)

    app.consumer.callback = callback
    tasks = len(asyncio.all_tasks())

    delivering = app.consumer._deliver("message")
    with pytest.raises(StopIteration):
        delivering.send(None)

    assert handed_over == ["message"]
    assert len(asyncio.all_tasks()) == tasks


async def test_handing_over_an_event_waits_for_room_until_a_rebalance_suspends_it(app: HardenedApp) -> None:
    handed_over, room = [], asyncio.Event()

    async def callback(message: Any) -> None:
        await room.wait()
        handed_over.append(message)

    app.consumer.callback = callback
    first = asyncio.create_task(app.consumer._deliver("first"))
    await asyncio.sleep(0.01)
    room.set()
    await asyncio.wait_for(first, 1)

    room.clear()
    second = asyncio.create_task(app.consumer._deliver("second"))
    await asyncio.sleep(0.01)
    app.consumer.suspend_flow.set()
    await asyncio.wait_for(second, 1)

    assert handed_over == ["first"]


# --- seeking and committing ---


async def test_a_partition_without_a_commit_is_sought_to_its_first_offset(app: HardenedApp) -> None:
    await app.consumer.perform_seek()

    assert app.thread.calls == [("seek", {IN_0: 5, IN_1: 3})]
    assert app.stage.sequence.follows(IN_0, 5)
    assert app.stage.sequence.follows(IN_1, 3)


async def test_a_commit_is_how_far_the_windows_have_got_whatever_faust_takes_for_acked(app: HardenedApp) -> None:
    app.consumer._acked[IN_0] = [5, 6, 7, 9]
    app.consumer._committed_offset[IN_0] = 5
    app.stage.positions[IN_0] = 7

    assert await app.consumer.commit()

    assert app.thread.calls == [("commit", {IN_0: 7})]
    assert not await app.consumer.commit()  # nothing new


async def test_a_commit_that_failed_is_tried_again(app: HardenedApp) -> None:
    app.stage.positions[IN_0] = 7
    app.thread.commits_well = False
    assert not await app.consumer.commit()

    app.thread.commits_well = True
    assert await app.consumer.commit()

    assert app.thread.calls == [("commit", {IN_0: 7})] * 2


async def test_partitions_that_are_not_ours_any_more_are_not_committed(app: HardenedApp) -> None:
    app.stage.positions[TP("in", 5)] = 7

    assert not await app.consumer.commit()


async def test_an_agents_error_commits_nothing(app: HardenedApp) -> None:
    app.stage.positions[IN_0] = 7

    await app._on_agent_error(None, ValueError())

    assert app.thread.calls == []


# --- letting go ---


async def test_revoked_partitions_are_committed_before_faust_forgets_them(
    app: HardenedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def revoked(_: set[TP]) -> None:
        app.thread.calls.append(("faust", None))

    monkeypatch.setattr(app.consumer, "_on_partitions_revoked", revoked)
    app.stage.positions[IN_0] = 7

    await app.consumer.on_partitions_revoked({IN_0, IN_1})

    assert app.thread.calls == [("commit", {IN_0: 7}), ("faust", None)]
    assert app.stage.positions == {}
    assert not app.stage.is_ready


async def test_partitions_are_not_let_go_while_a_record_of_ours_may_still_land(
    app: HardenedApp, ended: list[int]
) -> None:
    work = Work(app.stage.outbox, 0, "in[0]@1", None)
    work.send("out", key=b"a")
    await work.transmit()

    with pytest.raises(ProcessEndedError):
        await app.stage.let_go()

    assert ended == [ExitCode.LOG]


async def test_a_commit_that_hangs_does_not_hold_up_a_rebalance(app: HardenedApp) -> None:
    async def hang(_: Any) -> bool:
        await asyncio.sleep(60)
        return True

    app.consumer._thread.commit = hang
    app.stage.positions[IN_0] = 7
    began = asyncio.get_running_loop().time()

    await app.stage.let_go()

    assert asyncio.get_running_loop().time() - began < 2


def test_a_changelog_that_is_written_and_not_read_is_no_stuck_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = object.__new__(hardened_thread.HardenedThread)  # without a consumer, whose positions nobody must ask for
    asked: list[TP] = []
    monkeypatch.setattr(thread, "_verify_aiokafka_event_path", lambda _now, tp: asked.append(tp))
    changelog = TP("zuora-ifs-poster-commands-changelog", 0)

    thread.verify_event_path(301.0, changelog)

    assert asked == [changelog]

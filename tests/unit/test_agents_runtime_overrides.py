"""Each override of Faust, by the fault that it closes; every test fails when its override is taken out."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import TopicPartition
from faust.tables.recovery import RebalanceAgain
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from agents.runtime import Event, StreamApp, Timing, Work, failure, hardened_thread
from agents.runtime.failure import ExitCode
from agents.runtime.hardened_app import HardenedApp, declare_table
from agents.runtime.hardened_consumer import BUFFERED_BYTES_MAX, HardenedConsumer
from agents.runtime.hardened_recovery import HardenedRecovery
from agents.runtime.outbox import Outbox
from agents.runtime.sequence import SourceSequence
from agents.runtime.stage import Stage
from agents.runtime.state import PartitionState
from agents.runtime.table import StateTable
from streams.settings import KafkaSettings

IN_0, IN_1 = TP("in", 0), TP("in", 1)
CHANGELOG_0 = TP("changelog", 0)


class ProcessEndedError(BaseException):
    """Stands for os._exit()."""


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        raise ProcessEndedError

    monkeypatch.setattr(failure.os, "_exit", end)
    return codes


class Producer:
    """Takes records and never confirms."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[Any]] = []

    async def send(self, _topic: str, **_: object) -> asyncio.Future[Any]:
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


class Thread:
    """Stands for the consumer's thread; records what is asked of it."""

    def __init__(self) -> None:
        self.assigned = {IN_0, IN_1}
        self.calls: list[tuple[str, Any]] = []
        self.commits_well = True
        self.offsets: dict[TopicPartition, int | None] = {IN_0: 5, IN_1: None}
        self.records: list[dict[TopicPartition, list[Any]]] = []
        self.begin: dict[TopicPartition, int] = {}
        self.positions: dict[TopicPartition, int] = {}

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    async def committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        return {tp: self.offsets[tp] for tp in partitions}

    async def commit(self, offsets: dict[TopicPartition, int]) -> bool:
        self.calls.append(("commit", dict(offsets)))
        return self.commits_well

    async def seek_wait(self, offsets: dict[TopicPartition, int]) -> None:
        self.calls.append(("seek", dict(offsets)))

    async def earliest_offsets(self, *partitions: TopicPartition) -> dict[TopicPartition, int]:
        return {tp: self.begin.get(tp, 3) for tp in partitions}

    async def position(self, tp: TopicPartition) -> int:
        return self.positions[tp]

    async def read(self, partitions: frozenset[TopicPartition], *_: object) -> dict[TopicPartition, list[Any]]:
        self.calls.append(("read", partitions))
        return self.records.pop(0) if self.records else {}


def new_stage() -> Stage:
    async def nothing_there(_tp: TopicPartition, offset: int) -> int:
        return offset + 1

    timing = Timing(revoke_grace_seconds=0.05, flush_seconds=0.05)
    return Stage(outbox=Outbox(Producer()), sequence=SourceSequence(nothing_there), timing=timing)  # type: ignore[arg-type]


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> HardenedApp:
    stage = new_stage()
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    app = HardenedApp("app", kafka=kafka, timing=stage.timing, stage=stage)
    stage.app = app
    table = StateTable("records", partitions=2, changelog_topic="changelog")
    stage.tables["records"] = table
    declare_table(app, table, None)
    thread = Thread()
    monkeypatch.setattr(HardenedConsumer, "_new_consumer_thread", lambda _: _ThreadService(thread))
    app.thread = thread
    app.rebalancing_count = 4
    app.consumer_generation_id = 9
    app.consumer.run_from_now(4)
    return app


class _ThreadService(SimpleNamespace):
    """The thread as a dependency that Faust's consumer keeps."""

    def __init__(self, thread: Thread) -> None:
        methods = ("assignment", "committed", "commit", "seek_wait", "earliest_offsets", "read", "position")
        super().__init__(beacon=SimpleNamespace(reattach=lambda _: None), **{n: getattr(thread, n) for n in methods})

    def __hash__(self) -> int:
        return id(self)


def record(offset: int, value: bytes = b"v", tp: TP = IN_0) -> SimpleNamespace:
    return SimpleNamespace(
        topic=tp.topic, partition=tp.partition, offset=offset, timestamp=0, timestamp_type=0, headers=[], key=b"k",
        value=value, checksum=0, serialized_key_size=1, serialized_value_size=len(value),
    )  # fmt: skip


async def batch(consumer: HardenedConsumer) -> list[int]:
    return [message.offset async for message in consumer._next_batch()]


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


# --- recovery ---


async def test_sources_are_sought_while_paused_then_buffers_cleared_and_only_then_resumed(
    app: HardenedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    recovery, consumer = app.tables.recovery, app.consumer
    recovery._rebalance = app.rebalancing_count
    consumer.pause_partitions({IN_0, IN_1})
    steps: list[str] = []

    def step(name: str) -> Any:
        async def seek(*_: object) -> None:
            assert not consumer._active_partitions
            steps.append(name)

        return seek

    monkeypatch.setattr(consumer._thread, "seek_wait", step("seek"))
    monkeypatch.setattr(app.flow_control, "clear", lambda: steps.append("clear"))
    monkeypatch.setattr(consumer, "resume_partitions", lambda tps: steps.append(f"resume {len(tps)}"))
    monkeypatch.setattr(app._fetcher, "maybe_start", step("fetcher"))

    await recovery._let_events_in()

    assert steps == ["seek", "clear", "fetcher", "resume 2"]
    assert app.stage.is_ready


async def test_a_rebalance_during_the_seek_lets_no_event_in(app: HardenedApp) -> None:
    recovery, consumer = app.tables.recovery, app.consumer
    recovery._rebalance = app.rebalancing_count
    consumer.pause_partitions({IN_0, IN_1})

    async def seek(*_: object) -> None:
        app.rebalancing_count += 1

    consumer._thread.seek_wait = seek

    with pytest.raises(RebalanceAgain):
        await recovery._let_events_in()

    assert consumer._active_partitions == set()
    assert not app.stage.is_ready


async def recover_changelog(app: HardenedApp, end: int) -> PartitionState:
    recovery = app.tables.recovery
    recovery._rebalance = app.rebalancing_count
    recovery.add_active(app.tables["records"], CHANGELOG_0)
    app.thread.begin = {CHANGELOG_0: 0}

    async def highwaters(*_: TP) -> dict[TP, int]:
        return {CHANGELOG_0: end}

    app.consumer.highwaters = highwaters
    async with asyncio.timeout(5):
        await recovery._restore(9)
    return app.stage.tables["records"].states[0]


async def test_a_changelog_whose_last_records_were_compacted_away_is_read_to_its_end(app: HardenedApp) -> None:
    app.thread.records = [{CHANGELOG_0: [record(0, tp=CHANGELOG_0), record(1, tp=CHANGELOG_0)]}]
    app.thread.positions = {CHANGELOG_0: 10}

    state = await recover_changelog(app, end=10)

    assert state.entries.offset == 9
    assert state.get(b"k") == b"v"


async def test_a_changelog_that_was_made_anew_leaves_nothing_of_the_old_entries(app: HardenedApp) -> None:
    old = app.tables["records"].open_partition(0)
    old.entries.apply([(b"old", b"1")], 50, 1)
    app.thread.records = [{CHANGELOG_0: [record(0, tp=CHANGELOG_0)]}]

    state = await recover_changelog(app, end=1)

    assert dict(state.items()) == {b"k": b"v"}


async def test_changelog_records_read_for_an_older_assignment_do_not_reach_a_table(app: HardenedApp) -> None:
    async def read(*_: object) -> dict[TP, list[Any]]:
        app.rebalancing_count += 1
        return {CHANGELOG_0: [record(0, tp=CHANGELOG_0)]}

    app.consumer._thread.read = read

    with pytest.raises(RebalanceAgain):
        await recover_changelog(app, end=1)

    assert app.stage.tables["records"].states[0].get(b"k") is None


async def test_a_recovery_takes_up_where_the_local_entries_end(app: HardenedApp) -> None:
    app.tables["records"].open_partition(0).entries.apply([(b"local", b"1")], 6, 0)
    app.thread.records = [{CHANGELOG_0: [record(7, tp=CHANGELOG_0)]}]

    state = await recover_changelog(app, end=8)

    assert app.thread.calls[0] == ("seek", {CHANGELOG_0: 7})
    assert dict(state.items()) == {b"local": b"1", b"k": b"v"}


async def test_partitions_that_moved_away_leave_nothing_in_memory(app: HardenedApp) -> None:
    app.tables["records"].open_partition(0)
    app.tables["records"].open_partition(1)

    await app.tables["records"].data.on_rebalance({TP("changelog", 1), IN_1}, set(), set(), 3)

    assert set(app.stage.tables["records"].states) == {1}


async def test_apps_without_tables_recover_the_same_way() -> None:
    stage = new_stage()
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9")

    app = HardenedApp("app", kafka=kafka, timing=stage.timing, stage=stage)

    assert isinstance(app.tables.recovery, HardenedRecovery)
    tasks = {task.fun.__qualname__ for task in app.tables.recovery._get_tasks()}
    assert "HardenedRecovery._restart_recovery" in tasks
    assert "HardenedRecovery._slurp_changelogs" in tasks
    assert not {name for name in tasks if name in {"Recovery._restart_recovery", "Recovery._slurp_changelogs"}}


# --- before events ---


async def prepared(app: HardenedApp, generation: int) -> list[frozenset[int]]:
    calls: list[frozenset[int]] = []

    async def before(partitions: frozenset[int], _: Any) -> None:
        calls.append(partitions)

    app.stage.before_events = before
    await app.stage.prepare(generation)
    return calls


async def test_partitions_are_prepared_when_they_are_new_and_again_when_another_owner_may_have_been_there(
    app: HardenedApp,
) -> None:
    app.thread.assigned = {CHANGELOG_0, IN_0}
    assert await prepared(app, 5) == [{0}]
    assert await prepared(app, 6) == []
    app.thread.assigned = {CHANGELOG_0, TP("changelog", 1)}
    assert await prepared(app, 7) == [{1}]
    assert await prepared(app, 9) == [{0, 1}]


async def test_partitions_are_prepared_again_when_writes_of_cut_off_events_were_dropped(app: HardenedApp) -> None:
    app.thread.assigned = {CHANGELOG_0, IN_0}
    await prepared(app, 5)
    app.tables["records"].open_partition(0).write(b"a", b"unconfirmed")

    await app.stage.let_go()

    assert await prepared(app, 6) == [{0}]


async def test_work_opened_for_an_older_assignment_is_refused(app: HardenedApp) -> None:
    open_work = app.stage._opener()
    app.rebalancing_count += 1

    with pytest.raises(asyncio.CancelledError):
        async with open_work(0):
            pass


async def test_good_values_are_written_again_when_a_stale_one_lies_behind_them(app: HardenedApp) -> None:
    app.thread.assigned = {CHANGELOG_0}
    state = app.tables["records"].open_partition(0)
    state.entries.apply([(b"a", b"good")], 4, 8)
    state.doubtful = {b"a", b"deleted"}
    state.own(9, 5)

    preparing = asyncio.create_task(app.stage.prepare(9))
    producer = app.stage.outbox._producer
    async with asyncio.timeout(5):
        while len(producer.futures) < 2:  # noqa: ASYNC110 - polls for what has no event
            await asyncio.sleep(0)
    for number, future in enumerate(producer.futures):
        future.set_result(SimpleNamespace(offset=5 + number))
    await preparing

    assert dict(state.items()) == {b"a": b"good"}
    assert state.doubtful == set()
    assert state.entries.offset == 6


async def test_a_rebalance_cuts_off_the_preparation(app: HardenedApp) -> None:
    recovery = app.tables.recovery
    recovery._rebalance = app.rebalancing_count
    began = asyncio.Event()

    async def before(*_: object) -> None:
        began.set()
        await asyncio.sleep(60)

    app.thread.assigned = {CHANGELOG_0}
    app.stage.before_events = before
    preparing = asyncio.create_task(recovery._prepare(5))
    await asyncio.wait_for(began.wait(), 5)

    await app.stage.let_go()

    with pytest.raises(RebalanceAgain):
        await asyncio.wait_for(preparing, 5)

"""Recovery of tables as it is done instead of Faust's; every test fails when its part is taken out."""

import asyncio
import struct
from collections import OrderedDict
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from agents.runtime import hardened_recovery
from agents.runtime.hardened_app import HardenedApp
from agents.runtime.hardened_recovery import HardenedRecovery
from agents.runtime.hardened_thread import HardenedThread
from agents.runtime.state import PartitionState
from streams.settings import KafkaSettings
from tests.support.runtime_app import (
    CHANGELOG_0,
    IN_0,
    IN_1,
    ProcessEndedError,
    new_stage,
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


# --- recovery ---


async def test_sources_are_sought_while_paused_then_buffers_cleared_and_only_then_resumed(
    app: HardenedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    recovery, consumer = app.tables.recovery, app.consumer
    recovery._recovering = app.rebalancing_count
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
    recovery._recovering = app.rebalancing_count
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
    recovery._recovering = app.rebalancing_count
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


async def test_a_changelog_that_was_made_anew_shorter_while_it_is_read_ends_the_process(
    app: HardenedApp, ended: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hardened_recovery, "SHORTER_SECONDS", 0.05)
    # Read anew from offset 0 (the position was out of range), where only two records are left of five.
    app.thread.records = [{CHANGELOG_0: [record(0, tp=CHANGELOG_0), record(1, tp=CHANGELOG_0)]}]
    app.thread.positions = {CHANGELOG_0: 2}
    app.thread.ends = {CHANGELOG_0: 2}

    with pytest.raises(ProcessEndedError):
        await recover_changelog(app, end=5)

    assert ended == [75]
    assert "changelog changelog[0] ended at 5" in capsys.readouterr().err


async def test_a_changelog_whose_broker_is_away_is_waited_for(
    app: HardenedApp, ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardened_recovery, "SHORTER_SECONDS", 0.0)
    app.thread.positions = {CHANGELOG_0: 0}
    app.thread.ends = {CHANGELOG_0: 2}
    app.thread.records = [*[{}] * 5, {CHANGELOG_0: [record(0, tp=CHANGELOG_0), record(1, tp=CHANGELOG_0)]}]

    state = await recover_changelog(app, end=2)

    assert state.entries.offset == 1
    assert not ended


async def test_changelog_records_read_for_an_older_assignment_do_not_reach_a_table(app: HardenedApp) -> None:
    async def read(*_: object) -> dict[TP, list[Any]]:
        app.rebalancing_count += 1
        return {CHANGELOG_0: [record(0, tp=CHANGELOG_0)]}

    app.consumer._thread.read_changelogs = read

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


async def test_a_recovery_begins_without_fausts_pause_of_a_second(
    app: HardenedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def step(name: str) -> Any:
        async def take(*_: object) -> None:
            steps.append(name)

        return take

    monkeypatch.setattr(app.tables, "sleep", step("pause"))
    monkeypatch.setattr(app.tables, "_update_channels", step("channels"))
    monkeypatch.setattr(app.tables.recovery, "start", step("recovery"))

    await app.tables.on_start()

    assert steps == ["channels", "recovery"]


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


async def test_a_recovery_ends_when_the_next_assignment_comes_before_it_looks_again(
    app: HardenedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    recovery, ended = app.tables.recovery, list[str]()
    recovery._rebalance = app.rebalancing_count

    async def recover(_: int) -> None:
        app.rebalancing_count += 1
        recovery._rebalance = app.rebalancing_count  # as the next assignment notes it
        try:
            recovery._check_current()
        except RebalanceAgain:
            ended.append("the first")
            raise
        finally:
            recovery._stopped.set()

    monkeypatch.setattr(recovery, "_recover", recover)
    recovery.signal_recovery_start.set()

    await asyncio.wait_for(HardenedRecovery._restart_recovery.fun(recovery), 5)

    assert ended == ["the first"]


async def test_no_partition_is_prepared_once_a_rebalance_has_begun(app: HardenedApp) -> None:
    recovery, prepared = app.tables.recovery, list[object]()
    recovery._recovering = app.rebalancing_count

    async def before(partitions: object, _: object) -> None:
        prepared.append(partitions)

    app.thread.assigned = {CHANGELOG_0}
    app.stage.before_events = before
    preparing = asyncio.create_task(recovery._prepare(5))
    await asyncio.sleep(0)
    app.rebalancing_count += 1

    with pytest.raises(RebalanceAgain):
        await asyncio.wait_for(preparing, 5)
    assert prepared == []


async def test_a_rebalance_cuts_off_the_preparation(app: HardenedApp) -> None:
    recovery = app.tables.recovery
    recovery._recovering = app.rebalancing_count
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


# --- reading changelogs ---


CHANGELOG_1 = TP("changelog", 1)


def fetched(tp: TP, offsets: range, damaged_at: int | None = None) -> FetchResult:
    """Return what aiokafka holds of an answer of a broker: a batch with three records, and so on."""
    data = b""
    for first in offsets[::3]:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)  # type: ignore[no-untyped-call]
        for index in range(min(3, offsets.stop - first)):
            builder.append(index, 1, b"k%d" % (first + index), b"v%d" % (first + index), [("epoch", b"7")])
        batch = bytearray(builder.build())
        batch[:8] = struct.pack(">q", first)  # as the broker does; the checksum begins behind it
        if first == damaged_at:
            batch[-3] ^= 1
        data += bytes(batch)
    position = SimpleNamespace(paused=False, position=offsets.start)
    position.consumed_to = lambda offset: setattr(position, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _: position)
    records = PartitionRecords(
        tp, MemoryRecords(data), None, offsets.start, None, None, check_crcs=True, isolation_level=0
    )
    return FetchResult(tp, assignment=assignment, partition_records=records, backoff=0)


def reading_thread(*results: FetchResult) -> HardenedThread:
    fetcher = object.__new__(Fetcher)
    fetcher._closed = False
    fetcher._records = OrderedDict((result._topic_partition, result) for result in results)
    fetcher._wait_consume_future = asyncio.get_running_loop().create_future()
    fetcher._subscriptions = SimpleNamespace(
        fetch_context=nullcontext, reassignment_in_progress=False, is_assigned=lambda _: True
    )
    fetcher._fetch_waiters = set()
    fetcher._loop = asyncio.get_running_loop()
    thread = object.__new__(HardenedThread)
    thread._ensure_consumer = lambda: SimpleNamespace(_fetcher=fetcher, _closed=False)

    async def call_thread(function: Any, *args: Any) -> Any:
        return await function(*args)

    thread.call_thread = call_thread
    return thread


async def read_all(thread: HardenedThread, partitions: set[TP], at_most: int) -> dict[TP, list[list[Any]]]:
    """Return what each read gave, by partition."""
    reads: dict[TP, list[list[Any]]] = {}
    while records := await thread.read_changelogs(frozenset(partitions), 0.01, at_most):
        for tp, batch in records.items():
            reads.setdefault(tp, []).append([(one.offset, one.key, one.value, list(one.headers)) for one in batch])
    return reads


@pytest.mark.parametrize("at_most", [1, 2, 4, 100])
async def test_changelogs_are_read_whole_and_in_order_in_pieces_of_any_size(at_most: int) -> None:
    thread = reading_thread(fetched(CHANGELOG_0, range(5, 15)), fetched(CHANGELOG_1, range(8)))

    reads = await read_all(thread, {CHANGELOG_0, CHANGELOG_1}, at_most)

    expected = {CHANGELOG_0: range(5, 15), CHANGELOG_1: range(8)}
    for tp, offsets in expected.items():
        records = [record for read in reads[tp] for record in read]
        assert records == [(n, b"k%d" % n, b"v%d" % n, [("epoch", b"7")]) for n in offsets]
        assert max(len(read) for read in reads[tp]) <= at_most


async def test_partitions_that_are_not_asked_for_stay_where_they_are() -> None:
    source = fetched(IN_0, range(4))
    thread = reading_thread(fetched(CHANGELOG_0, range(3)), source)

    reads = await read_all(thread, {CHANGELOG_0}, 100)

    assert reads.keys() == {CHANGELOG_0}
    assert [record.offset for record in source.getall()] == [0, 1, 2, 3]


async def test_a_damaged_batch_of_a_changelog_is_told_and_not_taken() -> None:
    thread = reading_thread(fetched(CHANGELOG_0, range(9), damaged_at=6))

    with pytest.raises(CorruptRecordException, match="changelog"):
        await read_all(thread, {CHANGELOG_0}, 100)

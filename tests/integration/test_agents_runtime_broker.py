"""The runtime on a real broker: restarts, rebalances, recoveries, jumps in offsets, and how a process ends."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.structs import TopicPartition

from agents.runtime import Event, OpenWork, StateTable, StreamApp, Timing, Work
from schemas.errors import LogUnavailableError, TopicsError
from streams.log.producer import LogProducer, RecordTooLargeError
from streams.settings import KafkaSettings

PARTITIONS = 2
QUICK = Timing(session_seconds=6, heartbeat_seconds=0.3, rebalance_seconds=15, commit_seconds=0.3)


class Log:
    """Topics of one test, its producer, and apps on them."""

    def __init__(self, prefix: str, bootstrap: str) -> None:
        self.prefix = prefix
        self.kafka = KafkaSettings(bootstrap_servers=bootstrap)
        self.producer = LogProducer(self.kafka, client_id=prefix)
        self.source, self.changelog = f"{prefix}-in", f"{prefix}-changelog"
        self.apps: list[StreamApp] = []

    def app(self, data_dir: Path | None = None) -> tuple[StreamApp, StateTable]:
        app = StreamApp(self.prefix, kafka=self.kafka, producer=self.producer, data_dir=data_dir, timing=QUICK)
        self.apps.append(app)
        return app, app.table("table", partitions=PARTITIONS, changelog_topic=self.changelog)

    async def put(self, *numbers: int) -> None:
        for number in numbers:
            value = b"%d" % number
            await self.producer.send(self.source, key=value, value=value, partition=number % PARTITIONS)
        assert await self.producer.flush(10)

    async def records(self, topic: str, partition: int = 0) -> list[Any]:
        """Read a partition to its present end."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap_servers, auto_offset_reset="earliest")
        await consumer.start()
        tp = TopicPartition(topic, partition)
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        found: list[Any] = []
        while await consumer.position(tp) < end:
            found += (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
        await consumer.stop()
        return found

    async def stop(self, app: StreamApp) -> None:
        self.apps.remove(app)
        await app.stop()


@asynccontextmanager
async def admin(log: Log) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=log.kafka.bootstrap_servers)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
async def log(kafka_bootstrap: str, unique: str) -> AsyncIterator[Log]:
    log = Log(unique, kafka_bootstrap)
    async with admin(log) as client:
        await client.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in (log.source, log.changelog)])
    await log.producer.start()
    yield log
    for app in log.apps:
        await app.stop()
    await log.producer.stop()


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - polls for what has no event
            await asyncio.sleep(0.01)


async def test_restarts_with_a_backlog_neither_lose_nor_repeat_what_was_committed(log: Log) -> None:
    seen: list[int] = []

    def counting(app: StreamApp, table: StateTable, stop_after: int) -> asyncio.Event:
        enough = asyncio.Event()

        async def handle(event: Event, _work: Work) -> None:
            seen.append(int(event.value or b""))
            table[str(event.offset)] = b""
            if len(seen) >= stop_after:
                enough.set()

        app.serial(topics=[log.source], handler=handle)
        return enough

    await log.put(*range(2000))
    for round_number in range(3):
        app, table = log.app()
        enough = counting(app, table, stop_after=600 * (round_number + 1))
        await app.start()
        await asyncio.wait_for(enough.wait(), 30)
        await log.stop(app)
    app, table = log.app()
    done = counting(app, table, stop_after=2000)
    await app.start()
    await asyncio.wait_for(done.wait(), 30)

    assert [number for number in seen if number % 2 == 0] == list(range(0, 2000, 2))
    assert [number for number in seen if number % 2 == 1] == list(range(1, 2000, 2))


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "rocksdb"])
async def test_a_table_is_back_after_a_restart_before_the_first_event(log: Log, on_disk: bool, tmp_path: Path) -> None:  # noqa: FBT001
    folder = tmp_path if on_disk else None
    app, table = log.app(folder)
    handled = 0

    async def write(event: Event, _work: Work) -> None:
        nonlocal handled
        table[str(int(event.value or b"") % 50)] = event.value or b""
        handled += 1

    app.serial(topics=[log.source], handler=write)
    await log.put(*range(500))
    await app.start()
    await until(lambda: handled == 500)
    await log.stop(app)

    app, again = log.app(folder)
    found: dict[str, bytes] = {}
    order: list[str] = []

    async def before(partitions: frozenset[int], open_work: OpenWork) -> None:
        order.append("before")
        for partition in partitions:
            async with open_work(partition):
                found.update(again.items())
                again[f"prepared-{partition}"] = b"1"

    async def read(_event: Event, _work: Work) -> None:
        order.append("event")

    app.before_events(before)
    app.serial(topics=[log.source], handler=read)
    await log.put(500)
    await app.start()
    await until(lambda: "event" in order)

    assert found == {str(number % 50): b"%d" % number for number in range(450, 500)}
    assert order == ["before", "event"]
    assert any(record.key == b"prepared-0" for record in await log.records(log.changelog, 0))


async def test_markers_of_transactions_are_passed_and_counted(log: Log) -> None:
    app, _ = log.app()
    seen: list[int] = []

    async def handle(event: Event, _work: Work) -> None:
        seen.append(int(event.value or b""))

    app.serial(topics=[log.source], handler=handle)
    transactional = AIOKafkaProducer(
        bootstrap_servers=log.kafka.bootstrap_servers, transactional_id=f"{log.prefix}-someone"
    )
    await transactional.start()
    for number in range(3):
        async with transactional.transaction():
            await transactional.send(log.source, value=b"%d" % number, partition=0)
    await transactional.stop()
    await log.put(4)
    await app.start()

    await until(lambda: seen == [0, 1, 2, 4])
    assert app.offsets_passed == {log.source: 3}
    await until(lambda: app.lag(log.source).get(0) == 0)


async def test_events_deleted_before_they_were_read_are_passed_and_counted(log: Log) -> None:
    await log.put(0, 2, 4)
    app, _ = log.app()
    seen: list[int] = []

    async def handle(event: Event, _work: Work) -> None:
        seen.append(int(event.value or b""))

    app.serial(topics=[log.source], handler=handle)
    await app.start()
    await until(lambda: seen == [0, 2, 4])
    await log.stop(app)
    await log.put(6, 8, 10)
    async with admin(log) as client:
        await client.delete_records({TopicPartition(log.source, 0): RecordsToDelete(5)})
    app, _ = log.app()
    app.serial(topics=[log.source], handler=handle)
    await app.start()

    await until(lambda: seen == [0, 2, 4, 10])
    assert app.offsets_passed == {log.source: 2}


async def test_a_hung_far_side_holds_up_a_rebalance_for_seconds_only_and_loses_nothing(log: Log) -> None:
    healed = asyncio.Event()
    done: dict[str, list[int]] = {"first": [], "second": []}

    def windowed(app: StreamApp, name: str) -> None:
        async def handle(event: Event, _work: Work) -> None:
            await healed.wait()
            done[name].append(int(event.value or b""))

        app.windowed(topics=[log.source], handler=handle, size=8, span=32)

    first, _ = log.app()
    second, _ = log.app()
    windowed(first, "first")
    windowed(second, "second")
    await log.put(*range(40))
    await first.start()
    await until(lambda: first.unacked >= 8)

    began = time.monotonic()
    await second.start()
    await until(lambda: first.is_ready and first.assigned_partitions(log.source))
    held_up = time.monotonic() - began
    assert len(first.assigned_partitions(log.source)) == len(second.assigned_partitions(log.source)) == 1
    assert held_up < 8  # 2 s of grace, the start of an app, and a busy machine

    healed.set()
    await until(lambda: len(done["first"]) + len(done["second"]) == 40)
    assert sorted(done["first"] + done["second"]) == list(range(40))


async def test_an_app_with_a_hung_handler_stops_within_five_seconds(log: Log) -> None:
    app, _ = log.app()

    async def hang(_event: Event, _work: Work) -> None:
        await asyncio.sleep(3600)

    app.serial(topics=[log.source], handler=hang)
    await log.put(1)
    await app.start()
    await until(lambda: app.unacked == 1)

    began = time.monotonic()
    await log.stop(app)

    assert time.monotonic() - began < 5


async def test_a_write_of_an_owner_thought_dead_is_passed_over_and_the_good_value_written_again(log: Log) -> None:
    app, table = log.app()
    handled = asyncio.Event()

    async def write(_event: Event, _work: Work) -> None:
        table["account"] = b"good"
        handled.set()

    app.serial(topics=[log.source], handler=write)
    await app.start()
    await log.put(0)
    await asyncio.wait_for(handled.wait(), 30)
    await log.stop(app)
    await log.producer.send_and_confirm(
        log.changelog, key=b"account", value=b"stale", headers=[("epoch", b"0")], partition=0
    )

    app, again = log.app()
    seen: list[bytes | None] = []

    async def read(_event: Event, _work: Work) -> None:
        seen.append(again.get("account"))

    app.serial(topics=[log.source], handler=read)
    await app.start()
    await log.put(2)

    await until(lambda: seen == [b"good"])
    assert [record.value for record in await log.records(log.changelog, 0)] == [b"good", b"stale", b"good"]


async def test_an_app_whose_table_does_not_fit_its_changelog_does_not_start(log: Log) -> None:
    async def handle(_event: Event, _work: Work) -> None:
        pass

    app = StreamApp(log.prefix, kafka=log.kafka, producer=log.producer)
    app.table("table", partitions=12, changelog_topic=log.changelog)
    app.serial(topics=[log.source], handler=handle)
    with pytest.raises(TopicsError, match="has 2 partitions, 12 are needed"):
        await app.start()

    app = StreamApp(log.prefix, kafka=log.kafka, producer=log.producer)
    app.serial(topics=[f"{log.prefix}-none"], handler=handle)
    with pytest.raises(TopicsError, match="does not exist"):
        await app.start()


async def test_a_heartbeat_is_never_older_than_a_few_of_its_intervals(log: Log) -> None:
    async def handle(_event: Event, _work: Work) -> None:
        pass

    app, _ = log.app()
    app.serial(topics=[log.source], handler=handle)
    assert app.seconds_since_heartbeat == float("inf")
    await app.start()

    began = time.monotonic()
    while time.monotonic() - began < 3 * QUICK.heartbeat_seconds:
        assert app.seconds_since_heartbeat < QUICK.session_seconds / 2
        await asyncio.sleep(0.05)


async def test_a_record_that_its_topic_does_not_take_is_told_apart_from_a_log_that_is_away(log: Log) -> None:
    with pytest.raises(RecordTooLargeError):
        await log.producer.send_and_confirm(log.source, key=b"a", value=os.urandom(17 * 1024 * 1024))
    confirmed = await log.producer.send_and_confirm(log.source, key=b"a", value=b"1")
    assert confirmed.offset == 0


async def test_a_producer_without_a_broker_says_so() -> None:
    producer = LogProducer(KafkaSettings(bootstrap_servers="127.0.0.1:1"), client_id="test")

    with pytest.raises(LogUnavailableError, match=r"Kafka cannot be reached at 127\.0\.0\.1:1 "):
        await producer.start()


PROGRAM = """
import asyncio, sys
from agents.runtime import StreamApp, Timing, run_process
from streams.log.producer import LogProducer
from streams.settings import KafkaSettings

bootstrap, prefix, mode = sys.argv[1:]
kafka = KafkaSettings(bootstrap_servers=bootstrap)

async def handle(event, work):
    if event.value == b"2" and mode == "fails":
        raise ValueError("secret " + event.value.decode())
    work.send(prefix + "-changelog", key=event.key, value=event.value, partition=0)

async def main():
    producer = LogProducer(kafka, client_id=prefix)
    app = StreamApp(prefix, kafka=kafka, producer=producer, timing=Timing(session_seconds=6, heartbeat_seconds=0.3))
    app.serial(topics=[prefix + ("-none" if mode == "no topic" else "-in")], handler=handle)
    return await run_process([app], producer, on_ready=lambda: print("ready", flush=True))

sys.exit(asyncio.run(main()))
"""


async def run_program(log: Log, mode: str, bootstrap: str | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, bootstrap or str(log.kafka.bootstrap_servers), log.prefix, mode,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_a_handler_that_raises_ends_the_process_with_70_and_its_event_comes_again(log: Log) -> None:
    await log.put(0, 2, 4)

    failing = await run_program(log, "fails")
    _, errors = await asyncio.wait_for(failing.communicate(), 60)

    assert failing.returncode == 70
    last_line = errors.decode().splitlines()[-1]
    assert last_line == f"zuora-ifs: the handler of {log.source}[0]@1 failed: ValueError at <string>:12"
    assert "Traceback" not in errors.decode()
    healed = await run_program(log, "works")
    async with asyncio.timeout(60):
        while not {b"2", b"4"} <= {record.value for record in await log.records(log.changelog)}:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    healed.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(healed.communicate(), 60)
    assert (healed.returncode, errors) == (0, b"")


@pytest.mark.parametrize(
    ("mode", "bootstrap", "code", "words"),
    [("no topic", None, 2, "does not exist"), ("works", "127.0.0.1:1", 69, "cannot be reached")],
    ids=["a topic is missing", "no broker"],
)
async def test_a_process_that_cannot_start_says_why_in_one_line(
    log: Log, mode: str, bootstrap: str | None, code: int, words: str
) -> None:
    process = await run_program(log, mode, bootstrap)
    _, errors = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == code
    assert words in errors.decode().splitlines()[-1]
    assert "Traceback" not in errors.decode()


@pytest.mark.parametrize("unanswered", [1, 4])
async def test_partitions_come_at_once_when_kafka_was_away_as_a_worker_asked_for_its_topics(
    log: Log, monkeypatch: pytest.MonkeyPatch, unanswered: int
) -> None:
    """Aiokafka asks once and then not for five minutes; meanwhile its group divides nothing among its members."""
    ask, asked = AIOKafkaClient._metadata_update, 0

    async def away_at_first(client: AIOKafkaClient, cluster: ClusterMetadata, topics: set[str]) -> bool:
        nonlocal asked
        if log.source in topics and client._client_id.startswith("faust"):
            asked += 1
            if asked <= unanswered:
                return False
        answered: bool = await ask(client, cluster, topics)
        return answered

    monkeypatch.setattr(AIOKafkaClient, "_metadata_update", away_at_first)
    seen: list[int] = []

    async def handle(event: Event, _work: Work) -> None:
        seen.append(event.partition)

    app, table = log.app()
    app.serial(topics=[log.source], handler=handle)
    await log.put(0, 1)

    await app.start()
    await until(lambda: sorted(seen) == [0, 1], 20)

    assert asked > unanswered
    assert set(table.states) == {0, 1}

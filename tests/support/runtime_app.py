"""An app on a thread that only records what is asked of it, for tests of what is changed about Faust."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import TopicPartition
from faust.types import TP

from agents.runtime import Timing, failure
from agents.runtime.hardened_app import HardenedApp, declare_table
from agents.runtime.hardened_consumer import HardenedConsumer
from agents.runtime.outbox import Outbox
from agents.runtime.sequence import SourceSequence
from agents.runtime.stage import Stage
from agents.runtime.table import StateTable
from streams.settings import KafkaSettings

IN_0, IN_1 = TP("in", 0), TP("in", 1)
CHANGELOG_0 = TP("changelog", 0)


class ProcessEndedError(BaseException):
    """Stands for os._exit()."""


def record_ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
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
        self.ends: dict[TopicPartition, int] = {}

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

    def highwater(self, tp: TopicPartition) -> int | None:
        return self.ends.get(tp)

    async def read(self, partitions: frozenset[TopicPartition], *_: object) -> dict[TopicPartition, list[Any]]:
        self.calls.append(("read", partitions))
        return self.records.pop(0) if self.records else {}

    async def read_changelogs(
        self, partitions: frozenset[TopicPartition], *limits: object
    ) -> dict[TopicPartition, list[Any]]:
        return await self.read(partitions, *limits)


def new_stage() -> Stage:
    async def nothing_there(_tp: TopicPartition, offset: int) -> int:
        return offset + 1

    timing = Timing(revoke_grace_seconds=0.05, flush_seconds=0.05)
    return Stage(outbox=Outbox(Producer()), sequence=SourceSequence(nothing_there), timing=timing)  # type: ignore[arg-type]


async def recorded_app(monkeypatch: pytest.MonkeyPatch) -> HardenedApp:
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
        methods = ("assignment", "committed", "commit", "seek_wait", "earliest_offsets", "position", "highwater")
        reading = ("read", "read_changelogs")
        named = {name: getattr(thread, name) for name in (*methods, *reading)}
        super().__init__(beacon=SimpleNamespace(reattach=lambda _: None), **named)

    def __hash__(self) -> int:
        return id(self)


def record(offset: int, value: bytes = b"v", tp: TP = IN_0) -> SimpleNamespace:
    return SimpleNamespace(
        topic=tp.topic, partition=tp.partition, offset=offset, timestamp=0, timestamp_type=0, headers=[], key=b"k",
        value=value, checksum=0, serialized_key_size=1, serialized_value_size=len(value),
    )  # fmt: skip


async def batch(consumer: HardenedConsumer) -> list[int]:
    return [message.offset async for message in consumer._next_batch()]

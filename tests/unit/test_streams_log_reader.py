"""A read up to the ends of topics of which one partition never answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.errors import LogUnavailableError
from streams.log import reader
from streams.log.reader import Bounds, read_to_end
from streams.settings import KafkaSettings

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:9")
BUSY, SILENT = TopicPartition("t", 0), TopicPartition("t", 1)


class Consumer:
    """A partition that is written to without end, and one that gives what it has after so many polls, if ever."""

    def __init__(self, silent_polls: float) -> None:
        self._silent_polls = silent_polls
        self._positions = {BUSY: 0, SILENT: 0}

    def assign(self, _: object) -> None: ...

    def seek(self, *_: object) -> None: ...

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    async def getmany(self, **_: object) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0.002)
        self._silent_polls -= 1
        return {tp: [self._next(tp)] for tp in (BUSY, SILENT) if tp == BUSY or self._silent_polls < 0}

    def _next(self, tp: TopicPartition) -> SimpleNamespace:
        offset = self._positions[tp]
        self._positions[tp] += 1
        return SimpleNamespace(
            topic=tp.topic, partition=tp.partition, offset=offset, key=b"k", value=b"v", headers=(), timestamp=0
        )


def read_with(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> Any:
    @asynccontextmanager
    async def made(_: KafkaSettings) -> AsyncIterator[Any]:
        yield consumer

    monkeypatch.setattr(reader, "_consumer", made)
    bounds = Bounds("cluster", {BUSY: 0, SILENT: 0}, {BUSY: 3, SILENT: 2})
    return read_to_end(KAFKA, ["t"], {}, bounds)


async def test_a_partition_that_never_answers_is_not_hidden_by_one_that_is_written_to_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "STALL_SECONDS", 0.05)

    async with asyncio.timeout(5):
        with pytest.raises(LogUnavailableError, match="stopped answering"):
            async for _ in read_with(Consumer(silent_polls=float("inf")), monkeypatch):
                pass


async def test_time_that_a_reader_takes_for_its_records_is_not_taken_for_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "STALL_SECONDS", 0.2)
    behind: list[int] = []

    async with asyncio.timeout(5):
        async for batch in read_with(Consumer(silent_polls=5), monkeypatch):
            if not behind:
                await asyncio.sleep(0.4)
            behind.append(batch.behind)

    assert behind[-1] == 0

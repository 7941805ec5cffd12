"""A connection that comes up by itself, waits within its time, and is replaced when nothing is confirmed any more."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agents.ingress import connection
from agents.ingress.connection import LogConnection
from schemas.errors import LogUnavailableError
from streams.log.producer import RecordRefusedError
from streams.settings import KafkaSettings

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")


class Producers:
    """Stands for Kafka: how often it refuses a connection, whether it confirms, and what it was sent."""

    def __init__(self) -> None:
        self.refusals = 0
        self.confirms = True
        self.poisoned = False
        self.made = 0
        self.stopped = 0
        self.sent: list[tuple[str, float]] = []

    def __call__(self, _kafka: KafkaSettings, *, client_id: str) -> "Producers":
        assert client_id
        self.made += 1
        self.poisoned = False
        return self

    async def start(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise LogUnavailableError("refused")

    async def stop(self) -> None:
        self.stopped += 1

    async def send_and_confirm(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Any],
        timeout_seconds: float,
    ) -> None:
        assert (key, value, headers) == (None, None, ())
        if not self.confirms:
            raise LogUnavailableError("not confirmed")
        if self.poisoned or topic == "refusing":
            self.poisoned = True
            raise RecordRefusedError("not taken")
        self.sent.append((topic, timeout_seconds))

    async def partitions(self, topic: str) -> int:
        return len(topic)


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> Producers:
    made = Producers()
    monkeypatch.setattr(connection, "LogProducer", made)
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(connection, "LONGEST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(connection, "YOUNGEST_SECONDS", 0.01)
    return made


async def test_a_record_waits_for_the_connection_within_its_time(producers: Producers) -> None:
    producers.refusals = 5
    async with LogConnection(KAFKA, client_id="test") as log:
        await log.send_and_confirm("topic", timeout_seconds=10)
    [(topic, left)] = producers.sent
    assert (topic, producers.refusals) == ("topic", 0)
    assert 0 < left < 10
    assert producers.stopped == 1


async def test_without_a_connection_in_time_it_is_unavailable(producers: Producers) -> None:
    producers.refusals = 1_000_000
    async with LogConnection(KAFKA, client_id="test") as log:
        with pytest.raises(LogUnavailableError, match="not connected yet"):
            await log.send_and_confirm("topic", timeout_seconds=0.05)
        with pytest.raises(LogUnavailableError, match="not connected yet"):
            await log.partitions("topic")


async def test_a_producer_that_confirms_nothing_for_long_is_replaced(
    producers: Producers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "RENEW_AFTER_SECONDS", 0.0)
    producers.confirms = False
    async with LogConnection(KAFKA, client_id="test") as log:
        async with asyncio.timeout(10):
            while producers.made < 2:
                with pytest.raises(LogUnavailableError):
                    await log.send_and_confirm("topic", timeout_seconds=1)
        producers.confirms = True
        await log.send_and_confirm("topic")
    assert producers.made == producers.stopped == 2


async def test_after_a_refused_record_the_next_goes_by_a_new_producer(producers: Producers) -> None:
    async with LogConnection(KAFKA, client_id="test") as log:
        with pytest.raises(RecordRefusedError):
            await log.send_and_confirm("refusing")
        async with asyncio.timeout(10):
            while producers.made < 2:  # noqa: ASYNC110 - another task makes it
                await asyncio.sleep(0.01)
        await log.send_and_confirm("topic")
    assert producers.made == producers.stopped == 2


async def test_trouble_shows_in_the_question_for_topics_until_a_record_is_confirmed_or_long_ago(
    producers: Producers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LogConnection(KAFKA, client_id="test") as log:
        producers.confirms = False
        with pytest.raises(LogUnavailableError):
            await log.send_and_confirm("topic")
        with pytest.raises(LogUnavailableError, match="Kafka has confirmed no callout for 0 s"):
            await log.partitions("topic")
        monkeypatch.setattr(connection, "TROUBLE_SECONDS", 0.0)
        assert await log.partitions("topic") == 5

        monkeypatch.setattr(connection, "TROUBLE_SECONDS", 30.0)
        producers.confirms = True
        await log.send_and_confirm("topic")
        assert await log.partitions("topic") == 5


async def test_a_confirmation_in_between_keeps_the_producer(producers: Producers) -> None:
    async with LogConnection(KAFKA, client_id="test") as log:
        for confirms in (False, True, False, True):
            producers.confirms = confirms
            try:
                await log.send_and_confirm("topic")
            except LogUnavailableError:
                assert not confirms
    assert producers.made == 1


async def test_a_fault_in_keeping_the_connection_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_kafka: KafkaSettings, *, client_id: str) -> None:
        raise ValueError(f"nothing to be made for {client_id}")

    monkeypatch.setattr(connection, "LogProducer", broken)
    with pytest.raises(ValueError, match="nothing to be made for test"):
        async with LogConnection(KAFKA, client_id="test") as log:
            await asyncio.wait({log.keeper}, timeout=10)

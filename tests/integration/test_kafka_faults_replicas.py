"""Too few replicas in step: nothing is confirmed, nothing is committed, both are told, and all goes on by itself."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic
from aiokafka.structs import TopicPartition

from agents.ingress.connection import LogConnection
from agents.runtime import Event, StreamApp, Timing, Work
from agents.runtime import app as runtime_app
from schemas.errors import LogUnavailableError
from streams.log.producer import LogProducer
from streams.log.reader import log_bounds
from streams.log.topics import admin_client
from streams.settings import KafkaSettings
from tests.support.brokers import KafkaProcess
from tests.support.faulty_brokers import SecondBroker
from tests.support.waiting import eventually, eventually_now

EVENTS = 20
QUICK = Timing(session_seconds=6, heartbeat_seconds=0.3, commit_seconds=0.2)


@pytest.fixture
def brokers(kafka_process: Callable[[], KafkaProcess], tmp_path: Path) -> Iterator[tuple[KafkaProcess, SecondBroker]]:
    first = kafka_process()
    second = SecondBroker(first, tmp_path / "second")
    yield first, second
    second.stop()


@pytest.mark.timeout(300)
async def test_without_enough_replicas_nothing_is_confirmed_or_committed_until_they_are_back(
    brokers: tuple[KafkaProcess, SecondBroker], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = brokers
    kafka = KafkaSettings(bootstrap_servers=first.bootstrap_servers)
    source, output, calls = f"{unique}-in", f"{unique}-out", f"{unique}-calls"
    careful = {"min.insync.replicas": "2"}
    async with admin_client(kafka) as admin:
        await admin.create_topics([NewTopic(source, 1, 1)])
    monkeypatch.setattr(runtime_app, "UNCONFIRMED_SECONDS", 0.5)
    producer = LogProducer(kafka, client_id=unique)
    await producer.start()
    app = StreamApp(unique, kafka=kafka, producer=producer, timing=QUICK)

    async def repeat(event: Event, work: Work) -> None:
        work.send(output, key=event.key, value=event.value)

    app.serial(topics=[source], handler=repeat)
    await app.start()  # so that its group's offsets lie with the first broker
    await asyncio.to_thread(second.start)
    async with admin_client(kafka) as admin:
        await admin.create_topics([NewTopic(name, 1, 2, topic_configs=careful) for name in (output, calls)])
    async with LogConnection(kafka, client_id=unique) as ingress:
        await ingress.send_and_confirm(calls, value=b"before")
        await asyncio.to_thread(second.stop)
        with pytest.raises(LogUnavailableError):
            await ingress.send_and_confirm(calls, value=b"told to come again", timeout_seconds=2)
        with pytest.raises(LogUnavailableError, match="Kafka has confirmed no callout for"):
            await ingress.partitions(calls)
        for number in range(EVENTS):
            await producer.send_and_confirm(source, key=b"k", value=b"%d" % number, partition=0)
        [told] = await asyncio.to_thread(eventually_now, app.why_not_ready)
        assert told.startswith(f"Kafka has confirmed no record of {unique} for ")
        assert await _committed(kafka, unique, source) <= 0
        assert (await log_bounds(kafka, [output])).end == {(output, 0): 0}

        await asyncio.to_thread(second.start)
        await eventually(lambda: _committed(kafka, unique, source), lambda offset: offset == EVENTS, seconds=60)
        await ingress.send_and_confirm(calls, value=b"again")
    assert (await log_bounds(kafka, [output])).end == {(output, 0): EVENTS}
    assert app.why_not_ready() == []
    await app.stop()
    await producer.stop()


async def _committed(kafka: KafkaSettings, group: str, topic: str) -> int:
    async with admin_client(kafka) as admin:
        offsets = await admin.list_consumer_group_offsets(group)
    place = offsets.get(TopicPartition(topic, 0))
    return -1 if place is None else int(place.offset)

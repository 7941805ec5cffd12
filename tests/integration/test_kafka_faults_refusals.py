"""What becomes of ingress's connection when Kafka refuses records: nothing that comes after is lost for it."""

from datetime import UTC, datetime

import pytest
from aiokafka.admin import NewTopic

from agents.ingress.connection import LogConnection
from schemas.errors import LogUnavailableError, TopicsError
from schemas.topics import AUDIT, DOCUMENT, TopicNames
from streams.log.messages import dead_letter
from streams.log.producer import LogProducer, RecordRefusedError, RecordTooLargeError
from streams.log.reader import LogRecord, read_one
from streams.log.topics import admin_client, apply_topics, largest_records, remove_topics
from streams.settings import KafkaSettings
from streams.views.dead_letters import DeadLetter, read_letter
from tests.support.brokers import set_largest
from tests.support.waiting import eventually


async def test_a_record_that_its_topic_refuses_costs_those_after_it_nothing(kafka_bootstrap: str, unique: str) -> None:
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap)
    async with admin_client(kafka) as admin:
        await admin.create_topics([NewTopic(unique, 1, 1, topic_configs={"max.message.bytes": "2000"})])

    async with LogConnection(kafka, client_id=unique) as log:
        await log.send_and_confirm(unique, value=b"before")
        refused = await _error(log, unique, b"x" * 5_000)
        assert isinstance(refused, RecordRefusedError)

        async def taken() -> bool:
            return await _error(log, unique, b"after") is None

        await eventually(taken, seconds=30)  # a producer that was refused a record is refused all that follow
        await set_largest(kafka, unique, 10_000)

        async def taken_large() -> bool:
            return await _error(log, unique, b"x" * 5_000) is None

        await eventually(taken_large, seconds=30)


async def test_a_producer_that_knows_what_a_topic_takes_asks_kafka_for_nothing_in_vain(
    kafka_bootstrap: str, unique: str
) -> None:
    placed_at = datetime(2026, 3, 1, tzinfo=UTC)
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap)
    async with admin_client(kafka) as admin:
        await admin.create_topics([NewTopic(unique, 1, 1, topic_configs={"max.message.bytes": "3000"})])
    producer = LogProducer(kafka, client_id=unique, largest_records={unique: 3_000})
    await producer.start()
    try:
        with pytest.raises(RecordTooLargeError, match=r"a record of 6024 bytes .* is over 3000 bytes"):
            await producer.send_and_confirm(unique, value=b"x" * 5_000)
        placed = await producer.send_and_confirm(unique, value=b"x" * 1_900)
        origin = LogRecord("elsewhere", 1, 7, b"A1", b"x" * 5_000, {"ce_id": b"e1"}, placed_at)
        letter = dead_letter(unique, origin, "not JSON")
        parked = await producer.send_and_confirm(unique, key=letter.key, value=letter.value, headers=letter.headers)
    finally:
        await producer.stop()
    assert placed.offset == 0
    found = read_letter(await read_one(kafka, unique, 0, parked.offset), placed_at)
    assert isinstance(found, DeadLetter)
    assert (found.id, found.key, found.reason, found.is_left_out) == ("elsewhere/1/7", "A1", "not JSON", True)


async def test_what_topics_take_is_read_from_their_settings_and_too_little_is_refused(
    kafka_bootstrap: str, unique: str
) -> None:
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, replication_factor=1, partitions=1)
    names = TopicNames(prefix=f"{unique}-", app_id=unique)
    await apply_topics(kafka, names)
    try:
        assert (await largest_records(kafka, names))[names.public(DOCUMENT)] == 16 * 1024 * 1024
        await set_largest(kafka, names.public(DOCUMENT), 2_000_000)
        assert (await largest_records(kafka, names))[names.public(DOCUMENT)] == 2_000_000
        await set_largest(kafka, names.public(AUDIT), 999_999)
        with pytest.raises(TopicsError, match=f"{names.public(AUDIT)}: max.message.bytes is 999999, at least 1000000"):
            await largest_records(kafka, names)
    finally:
        await remove_topics(kafka, names)


async def _error(log: LogConnection, topic: str, value: bytes) -> LogUnavailableError | None:
    try:
        await log.send_and_confirm(topic, key=b"key", value=value, timeout_seconds=5)
    except LogUnavailableError as error:
        return error
    return None

"""Topics on a real broker: created once, compared in plain words, required by workers."""

import asyncio
import socket
import time

import pytest
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.errors import LogUnavailableError, SettingsError, TopicsError
from schemas.topics import TopicNames
from streams.log.topics import admin_client, apply_topics, check_topics, declared_topics, require_topics
from streams.settings import KafkaSettings
from tests.support.waiting import eventually


@pytest.fixture
def kafka(kafka_bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_bootstrap, partitions=2, replication_factor=1)


@pytest.fixture
def names(unique: str) -> TopicNames:
    return TopicNames(prefix=f"{unique}.", app_id=unique)


async def test_applying_twice_creates_all_topics_once(kafka: KafkaSettings, names: TopicNames) -> None:
    declared = [topic.name for topic in declared_topics(kafka, names)]

    assert sorted(await apply_topics(kafka, names)) == sorted(declared)
    assert await apply_topics(kafka, names) == []
    assert await check_topics(kafka, names) == []
    await require_topics(kafka, names)


async def test_two_that_apply_at_once_both_succeed(kafka: KafkaSettings, names: TopicNames) -> None:
    first, second = await asyncio.gather(apply_topics(kafka, names), apply_topics(kafka, names))

    assert sorted(first + second) == sorted(topic.name for topic in declared_topics(kafka, names))
    assert await check_topics(kafka, names) == []


async def test_missing_topics_are_named_and_only_they_are_created(kafka: KafkaSettings, names: TopicNames) -> None:
    await apply_topics(kafka, names)
    audit = names.public("connector.audit.v1")
    async with admin_client(kafka) as admin:
        await admin.delete_topics([audit])

    assert await eventually(lambda: check_topics(kafka, names)) == [f"{audit}: missing"]
    with pytest.raises(TopicsError, match=f"topics are missing: {audit}; create them with `zuora-ifs topics apply`"):
        await require_topics(kafka, names)
    assert await apply_topics(kafka, names) == [audit]


async def test_each_kind_of_difference_is_told(kafka: KafkaSettings, names: TopicNames) -> None:
    await apply_topics(kafka, names)
    document, audit, credential = (
        names.public(name) for name in ("zuora.document.v1", "connector.audit.v1", "connector.credential.v1")
    )
    async with admin_client(kafka) as admin:
        await admin.create_partitions({audit: NewPartitions(total_count=3)})
        await admin.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, document, {"max.message.bytes": "1000", "retention.ms": "5"}),
                ConfigResource(ConfigResourceType.TOPIC, credential, {"cleanup.policy": "delete"}),
            ]
        )

    differences = await eventually(lambda: check_topics(kafka, names), until=lambda found: len(found) == 5)

    assert f"{audit}: has 3 partitions, 2 declared" in differences
    assert f"{document}: retention.ms is 5, -1 declared" in differences
    assert f"{document}: max.message.bytes is 1000, at least 16777216 declared" in differences
    assert f"{credential}: cleanup.policy is delete, compact declared" in differences
    with pytest.raises(TopicsError, match=r"has 3 partitions, 2 declared; set ZIFS_KAFKA__PARTITIONS"):
        await require_topics(kafka, names)


async def test_fewer_replicas_than_declared_are_told(kafka: KafkaSettings, names: TopicNames) -> None:
    await apply_topics(kafka, names)
    wanted = kafka.model_copy(update={"replication_factor": 3})

    differences = await check_topics(wanted, names)

    audit = names.public("connector.audit.v1")
    assert f"{audit}: replication factor is 1, at least 3 declared" in differences
    assert f"{audit}: min.insync.replicas is 1, at least 2 declared" in differences


async def test_more_replicas_than_brokers_is_one_clear_line(kafka: KafkaSettings, names: TopicNames) -> None:
    with pytest.raises(TopicsError, match=r"refuses to create .* topics, the first is .*[Rr]eplication"):
        await apply_topics(kafka.model_copy(update={"replication_factor": 3}), names)


async def test_a_topic_made_beforehand_keeps_its_settings(kafka: KafkaSettings, names: TopicNames) -> None:
    audit = names.public("connector.audit.v1")
    async with admin_client(kafka) as admin:
        await admin.create_topics([NewTopic(audit, 2, 1)])

    assert audit not in await apply_topics(kafka, names)
    assert f"{audit}: retention.ms is 604800000, -1 declared" in await check_topics(kafka, names)


async def test_an_unreachable_kafka_is_named_in_one_line(names: TopicNames) -> None:
    nobody = KafkaSettings(bootstrap_servers="127.0.0.1:1")

    with pytest.raises(LogUnavailableError, match=r"Kafka cannot be reached at 127\.0\.0\.1:1 "):
        await check_topics(nobody, names)


async def test_a_kafka_that_says_nothing_is_given_up_within_bounded_time(names: TopicNames) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(LogUnavailableError, match=servers):
            await check_topics(KafkaSettings(bootstrap_servers=servers), names)

    assert time.monotonic() - began < 25  # 10 for the answer, 5 to find out why none comes, and a busy machine


@pytest.mark.parametrize("servers", ["host:port", "a:b:c"])
async def test_servers_that_cannot_be_read_name_the_setting(names: TopicNames, servers: str) -> None:
    with pytest.raises(SettingsError, match="ZIFS_KAFKA__BOOTSTRAP_SERVERS"):
        await check_topics(KafkaSettings(bootstrap_servers=servers), names)


async def test_servers_that_are_not_set_name_the_setting(names: TopicNames) -> None:
    with pytest.raises(SettingsError, match="ZIFS_KAFKA__BOOTSTRAP_SERVERS"):
        await check_topics(KafkaSettings(), names)

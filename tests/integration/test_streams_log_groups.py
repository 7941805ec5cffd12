"""Other apps' consumer groups on the same cluster: no harm unless they work on the same topic."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import NewTopic

from schemas.errors import UsageError
from streams.log.groups import refuse_second_app
from streams.log.topics import admin_client
from streams.settings import KafkaSettings
from tests.support.waiting import eventually_now

Join = Callable[[str, str], Coroutine[None, None, None]]


@pytest.fixture
def kafka(kafka_bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_bootstrap, partitions=2, replication_factor=1)


@pytest.fixture
async def join(kafka: KafkaSettings) -> AsyncIterator[Join]:
    """Have a member join a group that reads a topic, until the test ends."""
    async with AsyncExitStack() as members:

        async def joined(group: str, topic: str) -> None:
            async with admin_client(kafka) as admin:
                await admin.create_topics([NewTopic(topic, 1, 1)])
            member = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap_servers, group_id=group)
            await member.start()
            members.push_async_callback(member.stop)
            eventually_now(member.assignment)

        yield joined


async def test_several_apps_that_work_elsewhere_are_no_reason_not_to_start(
    kafka: KafkaSettings, unique: str, join: Join
) -> None:
    for app in ("one", "two", "three"):
        await join(f"{unique}-{app}-poster", f"{unique}-{app}-commands")

    await refuse_second_app(kafka, agent="poster", group=f"{unique}-poster", topic=f"{unique}-commands")


async def test_among_several_apps_the_one_that_works_here_is_named(
    kafka: KafkaSettings, unique: str, join: Join
) -> None:
    for app in ("one", "two", "three"):
        await join(f"{unique}-{app}-poster", f"{unique}-{app}-commands")

    with pytest.raises(UsageError, match=f"another poster is at work on {unique}-two-commands"):
        await refuse_second_app(kafka, agent="poster", group=f"{unique}-poster", topic=f"{unique}-two-commands")

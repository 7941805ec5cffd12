"""Topics on the cluster: created as they are declared, and compared with what is there."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from schemas.errors import SettingsError, TopicsError
from schemas.topics import LARGEST_MESSAGE_BYTES, PUBLIC_TOPICS, TABLES, WORKING_TOPICS, Kept, TopicNames, TopicSpec
from streams.log.connection import connection_options
from streams.log.denied import ACLS, denial, hidden, require_brokers, why_unreachable
from streams.settings import KafkaSettings

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 10.0
POLL_SECONDS = 0.05
USUAL_MESSAGE_BYTES = 1_048_588
"""What a topic takes by Kafka's default."""
LEAST_MESSAGE_BYTES = 1_000_000
"""Of any topic: entries of tables and steps of records may have that much, and what is sent together more than each."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

_KEPT_FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_COMPACTED = {
    "cleanup.policy": "compact",
    # Only closed segments are compacted, by default after a week or 1 GiB: a table's recovery would read all of that.
    "segment.ms": str(HOUR_MS),
    "segment.bytes": str(64 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": str(6 * HOUR_MS),
    # A worker with a table on disk reads on from where it stopped. When it was away for longer than removals are kept,
    # what was removed meanwhile would be in its table again; the default is one day, less than a long weekend.
    "delete.retention.ms": str(30 * DAY_MS),
}
# A cluster may be more generous than declared in these, but must be equal in the others.
_AT_LEAST = ("max.message.bytes", "min.insync.replicas", "delete.retention.ms")
_LARGEST = "max.message.bytes"
_EQUAL = ("cleanup.policy", "retention.ms", "retention.bytes", "unclean.leader.election.enable")


class DeclaredTopic(NamedTuple):
    """A topic as it should be on this cluster."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


def declared_topics(kafka: KafkaSettings, names: TopicNames) -> list[DeclaredTopic]:
    """Return every topic that the connector uses: the public ones, those of its own working, its tables' changelogs."""
    named = [(names.public(spec.name), spec) for spec in PUBLIC_TOPICS]
    named += [(names.working(spec.name), spec) for spec in WORKING_TOPICS]
    named += [(names.changelog(agent, spec.name), spec) for agent, specs in TABLES.items() for spec in specs]
    return [
        DeclaredTopic(name, spec.partitions or kafka.partitions, kafka.replication_factor, _config(spec, kafka))
        for name, spec in named
    ]


async def apply_topics(kafka: KafkaSettings, names: TopicNames) -> list[str]:
    """Create the topics that are missing, return their names once each partition has a leader.

    What is there already is left as it is, also where it differs: `check_topics` tells.

    Raises:
        LogUnavailableError: Kafka does not answer within 10 seconds.
        TopicsError: Kafka refuses a topic; the message says which and why.

    """
    declared = declared_topics(kafka, names)
    async with admin_client(kafka) as admin:
        present = await _partitions_by_topic(admin)
        missing = [topic for topic in declared if topic.name not in present]
        if not missing:
            return []
        created = await _create(admin, missing)
        await _await_leaders(admin, {topic.name for topic in missing})
        return created


async def remove_topics(kafka: KafkaSettings, names: TopicNames) -> None:
    """Delete every topic that the connector uses, with all that is in them: the end of a demonstration, never more.

    Raises:
        LogUnavailableError: Kafka does not answer within 10 seconds.
        TopicsError: Kafka refuses to delete a topic; the message says which and why.

    """
    async with admin_client(kafka) as admin:
        answer = await admin.delete_topics([topic.name for topic in declared_topics(kafka, names)])
    errors = {name: for_code(code) for name, code in answer.topic_error_codes}
    refused = [name for name, error in errors.items() if error not in (NoError, UnknownTopicOrPartitionError)]
    if refused:
        first = errors[refused[0]]
        raise TopicsError(f"Kafka refuses to delete {len(refused)} topics, the first is {refused[0]}: {first.__name__}")


async def check_topics(kafka: KafkaSettings, names: TopicNames) -> list[str]:
    """Return what differs from the declaration, a line each, in plain words; nothing when all is as declared.

    Raises:
        LogUnavailableError: Kafka does not answer within 10 seconds.

    """
    declared = declared_topics(kafka, names)
    async with admin_client(kafka) as admin:
        present = await _partitions_by_topic(admin)
        configs = await _configs(admin, [topic.name for topic in declared if topic.name in present])
    return [
        difference
        for topic in declared
        for difference in _differences(topic, present.get(topic.name), configs.get(topic.name))
    ]


async def largest_records(kafka: KafkaSettings, names: TopicNames) -> dict[str, int]:
    """Return in bytes what each topic takes, by its own settings; by its declaration where those may not be read.

    Raises:
        LogUnavailableError: Kafka does not answer within 10 seconds.
        TopicsError: one takes less than everything needs; the message says which and what to do.

    """
    declared = {
        topic.name: int(topic.config.get(_LARGEST, USUAL_MESSAGE_BYTES)) for topic in declared_topics(kafka, names)
    }
    async with admin_client(kafka) as admin:
        try:
            configs = await _configs(admin, list(declared))
        except TopicsError as error:  # rights to describe the settings are good to have, not needed
            log.warning("what topics take is taken from their declaration", reason=str(error))
            return declared
    found = {name: int(configs.get(name, {}).get(_LARGEST, size)) for name, size in declared.items()}
    if small := [name for name, size in found.items() if size < LEAST_MESSAGE_BYTES]:
        raise TopicsError(
            f"{', '.join(small)}: max.message.bytes is {found[small[0]]}, at least {LEAST_MESSAGE_BYTES} are needed: "
            "raise it (`zuora-ifs topics check` tells more)"
        )
    return found


async def require_topics(kafka: KafkaSettings, names: TopicNames) -> None:
    """Refuse to work where topics are missing or have another number of partitions.

    Raises:
        LogUnavailableError: Kafka does not answer within 10 seconds.
        TopicsError: one line that names the topics and what to do.

    """
    declared = declared_topics(kafka, names)
    async with admin_client(kafka) as admin:
        present = await _partitions_by_topic(admin)
        await require_sight(admin, kafka, [topic.name for topic in declared if topic.name not in present])
    missing = [topic.name for topic in declared if topic.name not in present]
    if missing:
        raise TopicsError(f"topics are missing: {', '.join(missing)}; create them with `zuora-ifs topics apply`")
    wrong = [line for topic in declared for line in _partition_differences(topic, present[topic.name])]
    if wrong:
        raise TopicsError(f"{'; '.join(wrong)}; set ZIFS_KAFKA__PARTITIONS to what the topics have, it never changes")


@asynccontextmanager
async def admin_client(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client for one short piece of work.

    Raises:
        SettingsError: the servers are not set or cannot be read.
        LogUnavailableError: Kafka does not answer, or the work takes longer than 10 seconds.
        LogDeniedError: Kafka refuses the credentials, or a right is missing.

    """
    admin = AIOKafkaAdminClient(**connection_options(kafka), request_timeout_ms=int(ANSWER_SECONDS * 1000))
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                await admin.start()
                require_brokers(admin._client)  # noqa: SLF001 - it tells of brokers only in answer to a request
            except ValueError as error:
                raise SettingsError("ZIFS_KAFKA__BOOTSTRAP_SERVERS: host:port, comma-separated, expected") from error
            yield admin
    except (KafkaError, OSError, TimeoutError) as error:
        raise denial(error) or await why_unreachable(kafka, error) from error
    finally:
        await admin.close()


def _config(spec: TopicSpec, kafka: KafkaSettings) -> dict[str, str]:
    config = dict(_COMPACTED if spec.kept is Kept.COMPACTED else _KEPT_FOREVER)
    # Named also where it is 1: a cluster's default of 2 would refuse every record of an unreplicated topic.
    config["min.insync.replicas"] = "2" if kafka.replication_factor >= 3 else "1"
    config["unclean.leader.election.enable"] = "false"
    if spec.large_messages:
        config["max.message.bytes"] = str(LARGEST_MESSAGE_BYTES)
    return config


async def require_sight(admin: AIOKafkaAdminClient, kafka: KafkaSettings, topics: Collection[str]) -> None:
    """Refuse to take topics for missing that this principal may not see: Kafka leaves those out of its list.

    Raises:
        LogDeniedError: one line that names them.

    """
    if not topics:
        return
    # By name, and without making them on clusters that create topics by themselves.
    asked = MetadataRequest(list(topics), allow_auto_topic_creation=False)
    answer = (await admin._send_request(asked)).to_object()  # noqa: SLF001 - describe_topics() would create them
    unseen = [one["topic"] for one in answer["topics"] if for_code(one["error_code"]) is TopicAuthorizationFailedError]
    if unseen:
        raise hidden(kafka, unseen)


Partitions = list[Mapping[str, Any]]


async def _partitions_by_topic(admin: AIOKafkaAdminClient) -> dict[str, Partitions]:
    """Ask for all topics: asking for one by name makes it on clusters that create topics by themselves."""
    return {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}


async def _create(admin: AIOKafkaAdminClient, missing: list[DeclaredTopic]) -> list[str]:
    new = [NewTopic(t.name, t.partitions, t.replication, topic_configs=t.config) for t in missing]
    answer = await admin.create_topics(new)
    created: list[str] = []
    refused: list[str] = []
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:  # made by another at this moment: as wanted
            reason = message[0] if message and message[0] else error.description or error.__name__
            refused.append(f"{name}: {reason}{f' ({ACLS})' if error is TopicAuthorizationFailedError else ''}")
    if refused:
        raise TopicsError(f"Kafka refuses to create {len(refused)} of {len(new)} topics, the first is {refused[0]}")
    return created


async def _await_leaders(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    """Wait until the brokers know the new topics, so that the first record of a caller is not refused."""
    while True:
        present = await _partitions_by_topic(admin)
        if all(present.get(name) and all(part["leader"] >= 0 for part in present[name]) for name in names):
            return
        await asyncio.sleep(POLL_SECONDS)


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """Return the settings of those topics that are still there."""
    if not names:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    configs: dict[str, dict[str, str]] = {}
    for answer in answers:
        for code, message, _type, name, entries in answer.resources:
            if for_code(code) is UnknownTopicOrPartitionError:
                continue
            if code:
                raise TopicsError(f"{name}: its settings cannot be read: {message or for_code(code).__name__}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


def _differences(
    topic: DeclaredTopic, partitions: Partitions | None, config: Mapping[str, str] | None
) -> Iterator[str]:
    if partitions is None or config is None:
        yield f"{topic.name}: missing"
        return
    yield from _partition_differences(topic, partitions)
    replication = min((len(part["replicas"]) for part in partitions), default=0)
    if replication < topic.replication:
        yield f"{topic.name}: replication factor is {replication}, at least {topic.replication} declared"
    for setting in _EQUAL:
        if setting in topic.config and config.get(setting) != topic.config[setting]:
            yield f"{topic.name}: {setting} is {config.get(setting)}, {topic.config[setting]} declared"
    for setting in _AT_LEAST:
        if setting in topic.config and int(config.get(setting, 0)) < int(topic.config[setting]):
            yield f"{topic.name}: {setting} is {config.get(setting)}, at least {topic.config[setting]} declared"


def _partition_differences(topic: DeclaredTopic, partitions: Partitions) -> Iterator[str]:
    if len(partitions) != topic.partitions:
        yield f"{topic.name}: has {len(partitions)} partitions, {topic.partitions} declared"

"""Which rights each process needs at the brokers, and no more: made from the topics that are declared.

Kafka lets who may read or write a topic also describe it, and who may write one also use an idempotent producer
(KIP-679, brokers from 3.0). No right on the cluster is needed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from shlex import quote

from schemas import topics
from schemas.topics import PUBLIC_TOPICS, TABLES, WORKING_TOPICS, TopicNames
from streams.log.topics import declared_topics
from streams.settings import KafkaSettings

READ, WRITE, DESCRIBE, CREATE, DESCRIBE_CONFIGS = "Read", "Write", "Describe", "Create", "DescribeConfigs"
TOPIC, GROUP = "Topic", "Group"
ANY = "*"
LISTED = tuple(spec.name for spec in PUBLIC_TOPICS)
WORKING = tuple(spec.name for spec in WORKING_TOPICS)
_PEOPLES = tuple(name for name in LISTED if name != topics.CREDENTIAL)


@dataclass(frozen=True)
class Uses:
    """The topics that a process reads and writes, by their declared names."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


PROCESSES = {
    "ingress": Uses(writes=(topics.NOTIFICATION, topics.DEAD_LETTER)),
    "worker": Uses(
        reads=tuple({*LISTED, *WORKING} - {topics.AUDIT, topics.DEAD_LETTER, topics.PROPOSAL}),
        # A document that is to be fetched anew is told by a notification, as if Zuora had called.
        writes=(
            *WORKING,
            topics.NOTIFICATION,
            topics.DOCUMENT,
            topics.VOUCHER_COMMAND,
            topics.VOUCHER,
            topics.AUDIT,
            topics.DEAD_LETTER,
            topics.PERSONAL_KEY,
        ),
    ),
    # Whoever may send dead letters back writes to wherever they came from; credentials are the command line's alone.
    # No letter is parked of personal keys, and who may write them could shred any account's.
    "console": Uses(
        reads=(*_PEOPLES, topics.CHART_COPY),
        writes=(*(name for name in _PEOPLES if name != topics.PERSONAL_KEY), *WORKING),
    ),
    "cli": Uses(reads=(*LISTED, topics.CHART_COPY), writes=(*LISTED, *WORKING)),
    "setup": Uses(),
}
"""What each process does with topics; `setup` is `topics apply` and `topics check`."""


@dataclass(frozen=True, order=True)
class Acl:
    """One right, allowed from any host; names are literal, `*` stands for every group."""

    principal: str
    resource_type: str
    operation: str
    name: str

    def as_json(self) -> dict[str, str]:
        """Return it in the words of Kafka's own tools."""
        return {
            "principal": self.principal,
            "host": ANY,
            "operation": self.operation,
            "permissionType": "Allow",
            "resourceType": self.resource_type,
            "resourceName": self.name,
            "patternType": "Literal",
        }


def acls(
    kafka: KafkaSettings, names: TopicNames, principals: Mapping[str, str], *, four_eyes: bool = False
) -> list[Acl]:
    """Return the rights of each process in `principals`, which gives its principal, such as `User:ingress`.

    With `four_eyes` mappings are the console's alone to write, where it is proven who approves.
    """
    found = {
        Acl(principal, kind, operation, name)
        for process, principal in principals.items()
        for kind, operation, name in _rights(process, kafka, names)
        if not (four_eyes and process == "cli" and (operation, name) == (WRITE, names.public(topics.MAPPING)))
    }
    return sorted(found)


def commands(found: Iterable[Acl], bootstrap_servers: str, command_config: str | None = None) -> Iterator[str]:
    """Write rights as calls of Kafka's own `kafka-acls.sh`, one for each principal, kind of resource and operation."""
    start = ["kafka-acls.sh", "--bootstrap-server", bootstrap_servers]
    start += ["--command-config", command_config] if command_config else []
    for (principal, kind, operation), group in groupby(
        sorted(found), key=lambda acl: (acl.principal, acl.resource_type, acl.operation)
    ):
        words = [*start, "--add", "--allow-principal", principal, "--operation", operation]
        for acl in group:
            words += [f"--{kind.lower()}", acl.name]
        yield " ".join(map(quote, words))


def _rights(process: str, kafka: KafkaSettings, names: TopicNames) -> Iterator[tuple[str, str, str]]:
    uses = PROCESSES[process]
    yield from ((TOPIC, READ, _full(names, name)) for name in uses.reads)
    yield from ((TOPIC, WRITE, _full(names, name)) for name in uses.writes)
    declared = [topic.name for topic in declared_topics(kafka, names)]
    if process == "worker":
        changelogs = [names.changelog(agent, spec.name) for agent, specs in TABLES.items() for spec in specs]
        yield from ((TOPIC, operation, name) for name in changelogs for operation in (READ, WRITE))
        yield from ((GROUP, READ, names.agent(agent)) for agent in TABLES)
        # It refuses to start beside another app id's worker, which only its group tells of.
        yield GROUP, DESCRIBE, ANY
        # It refuses to start where topics are missing, also those of other processes, and asks how much each takes.
        yield from ((TOPIC, operation, name) for name in declared for operation in (DESCRIBE, DESCRIBE_CONFIGS))
    if process in ("console", "cli"):
        # What the backlog is, and whether a change was applied, their committed offsets tell; what stands beside the
        # road to IFS, the poster's table.
        yield TOPIC, READ, names.changelog("poster", "waiting")
        yield from ((GROUP, DESCRIBE, names.agent(agent)) for agent in TABLES)
    if process == "setup":
        yield from ((TOPIC, operation, name) for name in declared for operation in (CREATE, DESCRIBE, DESCRIBE_CONFIGS))


def _full(names: TopicNames, name: str) -> str:
    return names.public(name) if name in LISTED else names.working(name)

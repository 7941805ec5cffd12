"""The stage of the demonstration: Kafka, the two sandboxes, ingress, worker, console, all on this machine."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import SecretStr

from agents.demo.children import Children, free_port
from schemas.topics import TopicNames
from streams.log.topics import apply_topics, remove_topics
from streams.settings import KafkaSettings

IFS_REQUESTS_PER_MINUTE = 6_000
"""Of the IFS sandbox and of the poster: six times the usual tenant's, so that nobody waits for a demonstration."""
CONSOLE_PORT = 8081
MODEST = {"partitions": 4, "replication_factor": 1}
"""Where the settings name no others: topics that are deleted at the end, on one machine, gain nothing from more."""


@dataclass(frozen=True)
class Stage:
    """Where everything is, and the settings of all processes."""

    environment: dict[str, str]
    zuora_url: str
    ifs_url: str
    ingress_url: str
    worker_url: str
    console_url: str
    console_token: str


async def prepare(children: Children, folder: Path, given: KafkaSettings, accounts: int) -> Stage:
    """Start Kafka and the two sandboxes, create the topics, and return what our own processes need to know.

    All three start at once: together they take as long as Kafka alone.
    """
    name = f"demo-{secrets.token_hex(3)}"
    ports = {"ingress": free_port(), "worker": free_port(), "console": free_port(CONSOLE_PORT)}
    urls = {role: f"http://127.0.0.1:{port}" for role, port in ports.items()}
    password, signature, token = (secrets.token_urlsafe(18) for _ in range(3))
    broker = None if given.bootstrap_servers else await _start_broker(children, folder)
    zuora = await _start_zuora(children, urls["ingress"], password, signature, accounts)
    ifs = await _start_ifs(children)
    servers = (await children.facts("kafka", broker))["bootstrapServers"] if broker else given.bootstrap_servers
    kafka = _kafka(given, servers, f"{name}-")
    names = TopicNames(prefix=kafka.topic_prefix, app_id=name)
    if broker is None:
        children.afterwards(lambda: remove_topics(kafka, names))
    await apply_topics(kafka, names)
    environment = _kafka_environment(kafka) | {
        "ZIFS_APP_ID": name,
        "ZIFS_DATA_DIR": str(folder),
        "ZIFS_INGRESS__BASIC_USERNAME": "zuora",
        "ZIFS_INGRESS__BASIC_PASSWORD": password,
        "ZIFS_INGRESS__HMAC_SECRET": signature,
        "ZIFS_CONSOLE__TOKENS": f"demo:admin:{token}",
        "ZIFS_VAULT__KEYS": Fernet.generate_key().decode(),
    }
    for role, port in ports.items():
        environment |= {f"ZIFS_{role.upper()}__HOST": "127.0.0.1", f"ZIFS_{role.upper()}__PORT": str(port)}
    environment |= await zuora() | await ifs()
    zuora_url, ifs_url = environment["ZIFS_ZUORA__BASE_URL"], environment["ZIFS_IFS__BASE_URL"]
    return Stage(environment, zuora_url, ifs_url, urls["ingress"], urls["worker"], urls["console"], token)


async def start_processes(children: Children, stage: Stage) -> None:
    """Start ingress, worker and console, and return once all of them can do their work."""
    urls = {"ingress": stage.ingress_url, "worker": stage.worker_url, "console": stage.console_url}
    started = {role: await children.start(role, "agents", role, environment=stage.environment) for role in urls}
    for role, process in started.items():
        await children.ready(role, process, urls[role])


async def _start_broker(children: Children, folder: Path) -> asyncio.subprocess.Process:
    arguments = ("deploy.kafka", "--port", "0", "--data-dir", str(folder / "kafka"), "--stop-with-parent")
    return await children.start("kafka", *arguments, environment={}, carries=True)


def _kafka(given: KafkaSettings, servers: str | None, prefix: str) -> KafkaSettings:
    """Return how all processes reach Kafka: as the settings say, with topics of this demonstration's own."""
    own: dict[str, object] = {"bootstrap_servers": servers, "topic_prefix": prefix}
    modest = {name: value for name, value in MODEST.items() if name not in given.model_fields_set}
    return given.model_copy(update=own | modest)


def _kafka_environment(kafka: KafkaSettings) -> dict[str, str]:
    told = kafka.model_dump(exclude_defaults=True)
    plain = {key: value.get_secret_value() if isinstance(value, SecretStr) else value for key, value in told.items()}
    return {f"ZIFS_KAFKA__{key.upper()}": str(value) for key, value in plain.items()}


async def _start_zuora(
    children: Children, ingress_url: str, password: str, signature: str, accounts: int
) -> Callable[[], Awaitable[dict[str, str]]]:
    """Start it; what is returned waits for its answer and gives the settings that reach it."""
    environment = {
        "ZUORA_SANDBOX_CLIENT_SECRET": (secret := secrets.token_urlsafe(18)),
        "ZUORA_SANDBOX_ACCOUNTS": str(accounts),
        "ZUORA_SANDBOX_CALLOUT_URL": f"{ingress_url}/webhooks/zuora",
        "ZUORA_SANDBOX_CALLOUT_USERNAME": "zuora",
        "ZUORA_SANDBOX_CALLOUT_PASSWORD": password,
        "ZUORA_SANDBOX_CALLOUT_HMAC_SECRET": signature,
    }
    process = await children.start("Zuora sandbox", "deploy.sandbox", "zuora", environment=environment, carries=True)

    async def settings() -> dict[str, str]:
        facts = await children.facts("Zuora sandbox", process)
        return {
            "ZIFS_ZUORA__BASE_URL": facts["url"],
            "ZIFS_ZUORA__CLIENT_ID": facts["clientId"],
            "ZIFS_ZUORA__CLIENT_SECRET": secret,
        }

    return settings


async def _start_ifs(children: Children) -> Callable[[], Awaitable[dict[str, str]]]:
    """Start it; what is returned waits for its answer and gives the settings that reach it."""
    environment = {
        "IFS_SANDBOX_CLIENT_SECRET": (secret := secrets.token_urlsafe(18)),
        "IFS_SANDBOX_REQUESTS_PER_MINUTE": str(IFS_REQUESTS_PER_MINUTE),
    }
    process = await children.start("IFS sandbox", "deploy.sandbox", "ifs", environment=environment, carries=True)

    async def settings() -> dict[str, str]:
        facts = await children.facts("IFS sandbox", process)
        return {
            "ZIFS_IFS__BASE_URL": facts["url"],
            "ZIFS_IFS__REALM": facts["realm"],
            "ZIFS_IFS__CLIENT_ID": facts["clientId"],
            "ZIFS_IFS__CLIENT_SECRET": secret,
            "ZIFS_IFS__REQUESTS_PER_MINUTE": str(IFS_REQUESTS_PER_MINUTE),
        }

    return settings

"""The stage of the demonstration: Kafka, the two sandboxes, ingress, worker, console, all on this machine."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from agents.demo.children import Children, free_port
from streams.settings import KafkaSettings

IFS_REQUESTS_PER_MINUTE = 6_000
"""Of the IFS sandbox and of the poster: six times the usual tenant's, so that nobody waits for a demonstration."""
CONSOLE_PORT = 8081


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
    """Start Kafka and the two sandboxes, create the topics, and return what our own processes need to know."""
    name = f"demo-{secrets.token_hex(3)}"
    ports = {"ingress": free_port(0), "worker": free_port(0), "console": free_port(CONSOLE_PORT)}
    urls = {role: f"http://127.0.0.1:{port}" for role, port in ports.items()}
    password, signature, token = (secrets.token_urlsafe(18) for _ in range(3))
    environment = _kafka_environment(given, await _broker(children, folder, given), name) | {
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
    await children.run("agents", "topics", "apply", environment=environment)
    environment |= await _zuora(children, urls["ingress"], password, signature, accounts)
    environment |= await _ifs(children)
    zuora_url, ifs_url = environment["ZIFS_ZUORA__BASE_URL"], environment["ZIFS_IFS__BASE_URL"]
    return Stage(environment, zuora_url, ifs_url, urls["ingress"], urls["worker"], urls["console"], token)


async def start_processes(children: Children, stage: Stage) -> None:
    """Start ingress, worker and console, and return once all of them can do their work."""
    urls = {"ingress": stage.ingress_url, "worker": stage.worker_url, "console": stage.console_url}
    started = {role: await children.start(role, "agents", role, environment=stage.environment) for role in urls}
    for role, process in started.items():
        await children.ready(role, process, urls[role])


async def _broker(children: Children, folder: Path, given: KafkaSettings) -> str:
    if given.bootstrap_servers:
        return given.bootstrap_servers
    arguments = ("deploy.kafka", "--port", "0", "--data-dir", str(folder / "kafka"), "--stop-with-parent")
    process = await children.start("kafka", *arguments, environment={})
    facts = await children.facts("kafka", process)
    return str(facts["bootstrapServers"])


def _kafka_environment(given: KafkaSettings, servers: str, name: str) -> dict[str, str]:
    """Return how all processes reach Kafka: as the settings say, with topics of this demonstration's own."""
    told = given.model_dump(exclude_defaults=True, exclude={"bootstrap_servers", "sasl_password", "topic_prefix"})
    environment = {f"ZIFS_KAFKA__{key.upper()}": str(value) for key, value in told.items()}
    if given.sasl_password:
        environment["ZIFS_KAFKA__SASL_PASSWORD"] = given.sasl_password.get_secret_value()
    if not given.bootstrap_servers:
        environment["ZIFS_KAFKA__REPLICATION_FACTOR"] = "1"
    return environment | {"ZIFS_KAFKA__BOOTSTRAP_SERVERS": servers, "ZIFS_KAFKA__TOPIC_PREFIX": f"{name}-"}


async def _zuora(children: Children, ingress_url: str, password: str, signature: str, accounts: int) -> dict[str, str]:
    environment = {
        "ZUORA_SANDBOX_CLIENT_SECRET": (secret := secrets.token_urlsafe(18)),
        "ZUORA_SANDBOX_ACCOUNTS": str(accounts),
        "ZUORA_SANDBOX_CALLOUT_URL": f"{ingress_url}/webhooks/zuora",
        "ZUORA_SANDBOX_CALLOUT_USERNAME": "zuora",
        "ZUORA_SANDBOX_CALLOUT_PASSWORD": password,
        "ZUORA_SANDBOX_CALLOUT_HMAC_SECRET": signature,
    }
    process = await children.start("Zuora sandbox", "deploy.sandbox", "zuora", environment=environment)
    facts = await children.facts("Zuora sandbox", process)
    return {
        "ZIFS_ZUORA__BASE_URL": facts["url"],
        "ZIFS_ZUORA__CLIENT_ID": facts["clientId"],
        "ZIFS_ZUORA__CLIENT_SECRET": secret,
    }


async def _ifs(children: Children) -> dict[str, str]:
    environment = {
        "IFS_SANDBOX_CLIENT_SECRET": (secret := secrets.token_urlsafe(18)),
        "IFS_SANDBOX_REQUESTS_PER_MINUTE": str(IFS_REQUESTS_PER_MINUTE),
    }
    process = await children.start("IFS sandbox", "deploy.sandbox", "ifs", environment=environment)
    facts = await children.facts("IFS sandbox", process)
    return {
        "ZIFS_IFS__BASE_URL": facts["url"],
        "ZIFS_IFS__REALM": facts["realm"],
        "ZIFS_IFS__CLIENT_ID": facts["clientId"],
        "ZIFS_IFS__CLIENT_SECRET": secret,
        "ZIFS_IFS__REQUESTS_PER_MINUTE": str(IFS_REQUESTS_PER_MINUTE),
    }

"""Running processes take up what comes to the vault; what they cannot open they leave alone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from cryptography.fernet import Fernet
from pydantic import SecretStr
from structlog.testing import capture_logs

from agents.demo.children import Children
from deploy.sandbox.testing import Running, running_ifs, running_zuora
from deploy.sandbox.zuora.state import ZuoraSandbox
from schemas.base import DocumentType, utc_now
from schemas.credentials import System
from schemas.errors import UnauthorizedError
from schemas.notifications import NotificationReceived
from schemas.topics import CREDENTIAL, DOCUMENT, NOTIFICATION, PUBLIC_TOPICS
from streams.log.messages import Message, event_message
from streams.log.reader import LogRecord, log_bounds, read_to_end
from streams.log.topics import apply_topics
from streams.settings import Settings
from streams.systems.ifs.service import token_source
from streams.systems.tokens import TokenSource
from streams.vault.current import chosen
from streams.vault.keys import LocalKeys
from streams.vault.records import Vault
from streams.vault.sealing import Credential
from streams.vault.watcher import VaultWatcher
from tests.support.brokers import KafkaProcess
from tests.support.projecting import Cluster, cluster_of
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
KEY, NEW_KEY, FOREIGN_KEY = (Fernet.generate_key().decode() for _ in range(3))
FIRST, SECOND, WRONG = "planted-first", "planted-second", "planted-wrong"


def credential(secret: str, client_id: str = "ifs-client") -> Credential:
    return Credential(client_id=client_id, client_secret=SecretStr(secret), set_by="anna", set_at=utc_now())


def keys_of(*keys: str) -> LocalKeys:
    return LocalKeys([SecretStr(key) for key in keys])


def with_far_side(cluster: Cluster, url: str, **ifs: str) -> Settings:
    ifs = {"base_url": url, "realm": "sandbox", **ifs}
    vault = {"keys": KEY}
    return Settings.model_validate(cluster.settings.model_dump() | {"ifs": ifs, "vault": vault})


@asynccontextmanager
async def watched(settings: Settings) -> AsyncIterator[TokenSource]:
    """Yield IFS's tokens as a running process has them."""
    vault = Vault(settings)
    contents = await vault.contents()
    current = await chosen(settings, vault, contents)
    watcher = VaultWatcher(vault, contents, current, retry_seconds=0.2)
    tokens = watcher.serve(System.IFS, token_source(current.settings.ifs))
    async with watcher.running():
        yield tokens


async def is_refused(tokens: TokenSource) -> bool:
    """Ask for a new token."""
    tokens.reject(await tokens.token())
    try:
        await tokens.token()
    except UnauthorizedError:
        return True
    return False


async def gets_a_token(tokens: TokenSource) -> bool:
    try:
        return bool(await tokens.token())
    except UnauthorizedError:
        return False


async def test_a_changed_secret_is_taken_up_by_who_has_tokens_already(cluster: Cluster) -> None:
    async with running_ifs(client_secret=FIRST) as ifs:
        settings = with_far_side(cluster, ifs.url)
        await Vault(settings).put({System.IFS: credential(FIRST)})
        with capture_logs() as logs:
            async with watched(settings) as tokens:
                assert await tokens.token()
                ifs.sandbox.settings.client_secret = SECOND
                assert await is_refused(tokens)

                await Vault(settings).put({System.IFS: credential(SECOND)})

                assert await eventually(lambda: gets_a_token(tokens))
    assert [(one["event"], one["set_by"]) for one in logs] == [("taken up from the vault", "anna")]
    assert "planted" not in str(logs)


async def test_the_vault_wins_over_the_environment_from_the_moment_it_holds_credentials(cluster: Cluster) -> None:
    async with running_ifs(client_secret=FIRST) as ifs:
        settings = with_far_side(cluster, ifs.url, client_id="ifs-client", client_secret=FIRST)
        async with watched(settings) as tokens:
            first = await tokens.token()
            await Vault(settings).put({System.IFS: credential(WRONG)})

            async def refused() -> bool:
                return not await gets_a_token(tokens)

            assert await eventually(refused)
            assert first
        async with watched(settings) as tokens:
            assert not await gets_a_token(tokens)


async def test_sealing_anew_costs_no_token(cluster: Cluster) -> None:
    async with running_ifs(client_secret=FIRST) as ifs:
        settings = with_far_side(cluster, ifs.url)
        await Vault(settings).put({System.IFS: credential(FIRST)})
        with capture_logs() as logs:
            async with watched(settings) as tokens:
                token = await tokens.token()
                await Vault(settings, keys_of(KEY)).rotate("ben")
                # Seen for certain once what comes after it was seen.
                await cluster.send([Message(Vault(settings).topic, b"ifs", b"nonsense")])
                await eventually(lambda: as_seen(logs))

                assert await tokens.token() == token
    assert [one["event"] for one in logs] == ["not taken up from the vault; what is in use is kept"]


async def as_seen(logs: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
    return logs


@pytest.mark.parametrize("what", ["unknown key", "other system", "nonsense", "taken out"])
async def test_what_cannot_be_opened_is_one_line_and_the_process_keeps_what_it_has(cluster: Cluster, what: str) -> None:
    async with running_ifs(client_secret=FIRST) as ifs:
        settings = with_far_side(cluster, ifs.url)
        vault = Vault(settings)
        await vault.put({System.IFS: credential(FIRST)})
        with capture_logs() as logs:
            async with watched(settings) as tokens:
                await tokens.token()
                if what == "unknown key":
                    await Vault(settings, keys_of(FOREIGN_KEY)).put({System.IFS: credential(WRONG)})
                elif what == "other system":
                    await vault.put({System.ZUORA: credential(WRONG)})
                    sealed_for_zuora = (await vault.contents()).records[System.ZUORA].value
                    await cluster.send([Message(vault.topic, b"ifs", sealed_for_zuora)])
                else:
                    await cluster.send([Message(vault.topic, b"ifs", None if what == "taken out" else b"nonsense")])
                await eventually(lambda: as_seen(logs))
                assert not await is_refused(tokens)

                ifs.sandbox.settings.client_secret = SECOND
                await vault.put({System.IFS: credential(SECOND)})
                tokens.reject(await tokens.token())
                assert await eventually(lambda: gets_a_token(tokens))
    assert len(logs) == 2
    assert "what is in use is kept" in logs[0]["event"]
    assert logs[1]["event"] == "taken up from the vault"
    assert "planted" not in str(logs)


async def test_where_the_vault_cannot_be_opened_at_start_the_environment_serves_and_one_line_says_so(
    cluster: Cluster,
) -> None:
    async with running_ifs(client_secret=FIRST) as ifs:
        settings = with_far_side(cluster, ifs.url, client_id="ifs-client", client_secret=FIRST)
        await Vault(settings, keys_of(FOREIGN_KEY)).put({System.IFS: credential(WRONG)})
        with capture_logs() as logs:
            async with watched(settings) as tokens:
                assert await gets_a_token(tokens)
    assert len(logs) == 1
    assert "those of the environment are" in logs[0]["event"]
    assert "ZIFS_VAULT__KEYS has no key" in logs[0]["why"]


async def test_a_topic_made_anew_is_read_from_its_beginning(cluster: Cluster) -> None:
    async with running_ifs(client_secret=SECOND) as ifs:
        settings = with_far_side(cluster, ifs.url)
        vault = Vault(settings)
        for secret in (WRONG, WRONG, FIRST):
            await vault.put({System.IFS: credential(secret)})
        async with watched(settings) as tokens:
            assert not await gets_a_token(tokens)
            admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka.bootstrap_servers)
            await admin.start()
            await admin.delete_topics([vault.topic])
            await admin.close()

            async def made_again() -> list[str]:
                return await apply_topics(cluster.kafka, cluster.names)

            assert await eventually(made_again) == [vault.topic]
            await vault.put({System.IFS: credential(SECOND)})

            assert await eventually(lambda: gets_a_token(tokens), seconds=60)


async def test_a_broker_that_was_away_is_followed_again(
    kafka_process: Callable[[], KafkaProcess], unique: str, tmp_path: Path
) -> None:
    broker = kafka_process()
    cluster = cluster_of(broker.bootstrap_servers, unique, tmp_path)
    await cluster.make_topics()
    async with running_ifs(client_secret=FIRST) as ifs:
        settings = with_far_side(cluster, ifs.url, client_id="ifs-client", client_secret=WRONG)
        async with watched(settings) as tokens:
            assert not await gets_a_token(tokens)
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            await Vault(settings).put({System.IFS: credential(FIRST)})

            assert await eventually(lambda: gets_a_token(tokens), seconds=60)


class Worker:
    """A worker process that has no credentials but the vault's."""

    def __init__(self, cluster: Cluster, zuora_url: str, ifs_url: str, folder: Path) -> None:
        self._children = Children(folder / "logs", ROOT)
        self._environment = {
            "ZIFS_APP_ID": cluster.settings.app_id,
            "ZIFS_DATA_DIR": str(folder / "worker"),
            "ZIFS_LOG_FORMAT": "json",
            "ZIFS_KAFKA__BOOTSTRAP_SERVERS": str(cluster.kafka.bootstrap_servers),
            "ZIFS_KAFKA__TOPIC_PREFIX": cluster.kafka.topic_prefix,
            "ZIFS_KAFKA__PARTITIONS": str(cluster.kafka.partitions),
            "ZIFS_KAFKA__REPLICATION_FACTOR": "1",
            "ZIFS_WORKER__PORT": "0",
            "ZIFS_ZUORA__BASE_URL": zuora_url,
            "ZIFS_IFS__BASE_URL": ifs_url,
            "ZIFS_IFS__REALM": "sandbox",
            "ZIFS_VAULT__KEYS": KEY,
        }

    async def start(self) -> asyncio.subprocess.Process:
        return await self._children.start(
            "worker", "agents", "worker", "--agents", "collector,poster", environment=self._environment
        )

    async def stop(self) -> None:
        await self._children.stop()

    @property
    def said(self) -> str:
        return self._children.log("worker").read_text()


async def has_said(worker: Worker, words: str) -> bool:
    return words in worker.said


@asynccontextmanager
async def far_sides() -> AsyncIterator[tuple[Running[ZuoraSandbox], str]]:
    async with running_zuora(client_secret=FIRST, accounts=1) as zuora, running_ifs(client_secret=FIRST) as ifs:
        yield zuora, ifs.url


async def bill(cluster: Cluster, zuora: Running[ZuoraSandbox]) -> str:
    """Post an invoice in Zuora, tell the collector of it, and return its id."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        http.post(f"{zuora.url}/_sandbox/invoices", json={}) as answer,
    ):
        invoice = str((await answer.json())["id"])
    event = NotificationReceived(document_type=DocumentType.INVOICE, object_id=invoice, received_at=utc_now())
    topic = cluster.names.public(NOTIFICATION)
    told = event_message(
        topic, invoice, event, event_id=invoice, process="test", subject=invoice, time=event.received_at
    )
    await cluster.send([told])
    return invoice


async def everything_on(cluster: Cluster, *topics: str) -> list[LogRecord]:
    names = [cluster.names.public(topic) for topic in topics]
    bounds = await log_bounds(cluster.kafka, names)
    return [record async for batch in read_to_end(cluster.kafka, names, {}, bounds) for record in batch.records]


async def captured(cluster: Cluster) -> set[str]:
    return {str(record.headers["ce_subject"], "utf-8") for record in await everything_on(cluster, DOCUMENT)}


async def test_a_running_worker_takes_up_a_changed_secret_and_shows_none(cluster: Cluster, tmp_path: Path) -> None:
    vault = Vault(Settings.model_validate(cluster.settings.model_dump() | {"vault": {"keys": KEY}}))
    async with far_sides() as (zuora, ifs_url):
        worker = Worker(cluster, zuora.url, ifs_url, tmp_path)
        refused = await worker.start()
        assert await asyncio.wait_for(refused.wait(), 60) == 2
        assert worker.said.splitlines()[-1] == (
            "ZIFS_ZUORA__CLIENT_ID is not set, and the vault holds none: "
            "set it, or store the credentials with `zuora-ifs credentials set zuora`"
        )
        await vault.put({System.ZUORA: credential(FIRST, "zuora-client"), System.IFS: credential(FIRST)})
        await worker.start()
        try:
            first = await bill(cluster, zuora)
            await eventually(lambda: captured(cluster), lambda ids: f"Invoice:{first}" in ids, seconds=60)

            zuora.sandbox.settings.client_secret = SECOND
            zuora.sandbox.tokens.revoke_all()
            second = await bill(cluster, zuora)
            await eventually(lambda: has_said(worker, "Zuora refuses the credentials (401"), seconds=60)
            await vault.put({System.ZUORA: credential(SECOND, "zuora-client")})
            await eventually(lambda: captured(cluster), lambda ids: f"Invoice:{second}" in ids, seconds=90)
        finally:
            await worker.stop()
    assert "taken up from the vault" in worker.said
    told = [worker.said.encode()]
    for record in await everything_on(cluster, *(spec.name for spec in PUBLIC_TOPICS)):
        told += [record.value or b"", *record.headers.values()]
    assert CREDENTIAL in {spec.name for spec in PUBLIC_TOPICS}
    for part in told:
        for secret in (FIRST, SECOND, KEY):
            assert secret.encode() not in part

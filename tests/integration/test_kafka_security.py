"""A secured Kafka: every mechanism, every process with the rights that `topics acls` lists and no other.

All with one broker: its start is most of what this costs.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agents.demo.children import Children, free_port
from agents.demo.setting import Stage, prepare
from schemas.errors import LogDeniedError, LogUnavailableError
from schemas.topics import AUDIT, NOTIFICATION, VOUCHER, VOUCHER_COMMAND, TopicNames
from streams.log.acls import acls
from streams.log.producer import LogProducer
from streams.log.reader import read_to_end
from streams.log.topics import admin_client, apply_topics, check_topics
from streams.settings import KafkaSettings
from tests.support.secured_kafka import PASSWORD, SecuredKafka, environment, secured_kafka
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
MECHANISMS = {"PLAIN": "setup", "SCRAM-SHA-256": "cli", "SCRAM-SHA-512": "worker", "OAUTHBEARER": "console"}


# aiokafka and asyncio leave the sockets of clients that were refused to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a test left is collected at its end: here, and in no test of another file."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as running:
        yield running


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_every_mechanism_lets_every_kind_of_client_in(kafka: SecuredKafka, mechanism: str, unique: str) -> None:
    user, names = MECHANISMS[mechanism], TopicNames(f"{unique}-", unique)
    await apply_topics(kafka.inside, names)
    topic = names.public(NOTIFICATION)
    rights = [("Topic", topic, operation) for operation in ("Read", "Write")]
    await kafka.grant(right(user, *one) for one in rights)

    async with kafka.provider.running():
        settings = kafka.settings(user, mechanism)
        producer = LogProducer(settings, client_id="test")
        await producer.start()
        await producer.send_and_confirm(topic, key=b"k", value=b"v", timeout_seconds=20)
        await producer.stop()
        read = [record.value async for batch in read_to_end(settings, [topic], {}) for record in batch.records]

    assert read == [b"v"]
    # One token for the producer, the admin client and the consumers of this loop.
    assert kafka.provider.tokens_given == (mechanism == "OAUTHBEARER")


@pytest.mark.parametrize(
    ("client", "changed", "error", "said"),
    [
        (("setup", "PLAIN"), {"sasl_password": "wrong"}, LogDeniedError, "refuses the credentials of setup"),
        (("cli", "SCRAM-SHA-256"), {"sasl_password": "wrong"}, LogDeniedError, "refuses the credentials of cli"),
        (("nobody", "SCRAM-SHA-512"), {}, LogDeniedError, "refuses the credentials of nobody"),
        (
            ("x", "OAUTHBEARER"),
            {"sasl_oauth_client_secret": "wrong"},
            LogDeniedError,
            "refuses the client .401.: correct",
        ),
        (
            ("x", "OAUTHBEARER"),
            {"sasl_oauth_token_url": "http://127.0.0.1:1/"},
            LogUnavailableError,
            "cannot be reached",
        ),
        (("setup", "PLAIN"), {"ssl_cafile": None}, LogDeniedError, "certificate of Kafka .* is not trusted"),
        (("setup", "PLAIN"), {"security_protocol": "SASL_PLAINTEXT"}, LogUnavailableError, "security protocol"),
    ],
)
async def test_who_is_not_let_in_learns_why_in_one_line(
    kafka: SecuredKafka, client: tuple[str, str], changed: dict[str, Any], error: type[Exception], said: str
) -> None:
    async with kafka.provider.running():
        settings = kafka.settings(*client, **changed)
        with pytest.raises(error, match=said) as by_admin:
            async with admin_client(settings):
                pass
        producer = LogProducer(settings, client_id="test")
        with pytest.raises(error, match=said) as by_producer:
            await producer.start()

    for refused in (by_admin, by_producer):
        assert type(refused.value) is error
        assert "\n" not in str(refused.value)
        assert "wrong" not in str(refused.value)
        assert PASSWORD not in str(refused.value)


async def test_a_token_that_the_brokers_do_not_believe_is_told_and_the_next_one_is_fetched_before_it_ends(
    kafka: SecuredKafka, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kafka.provider.running():
        with monkeypatch.context() as patch:
            patch.setattr(kafka.provider, "token", lambda **_: "not.a.token")
            with pytest.raises(LogDeniedError, match="the token is not good for these brokers"):
                async with admin_client(kafka.settings(f"{unique}-1", "OAUTHBEARER")):
                    pass
        monkeypatch.setattr(kafka.provider, "token_seconds", 1)
        settings, given = kafka.settings(f"{unique}-2", "OAUTHBEARER"), kafka.provider.tokens_given

        async def connected() -> int:
            async with admin_client(settings):
                return kafka.provider.tokens_given - given

        assert await connected() == 1
        assert await eventually(connected, lambda fetched: fetched > 1) == 2


def test_a_wrong_password_ends_a_command_with_2_and_one_line(kafka: SecuredKafka) -> None:
    ended = command(environment(kafka.settings("cli", "SCRAM-SHA-512", sasl_password="wrong")), "records", "list")

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert "refuses the credentials of cli" in ended.stderr


async def test_topics_are_made_by_who_has_the_rights_of_setup_alone(kafka: SecuredKafka, unique: str) -> None:
    names = TopicNames(f"{unique}-", unique)
    settings = kafka.settings("setup").model_copy(update={"topic_prefix": names.prefix})
    with pytest.raises(LogUnavailableError.__base__, match="topics acls"):  # type: ignore[arg-type]
        await apply_topics(settings, names)

    await kafka.grant(listed(names, kafka.inside, setup="User:setup"))

    assert len(await apply_topics(settings, names)) > 20
    assert await check_topics(settings, names) == []


# --- the whole system -------------------------------------------------------------------------------------------------


@dataclass
class Secured:
    """A stage whose processes each have a principal of their own."""

    kafka: SecuredKafka
    children: Children
    stage: Stage

    @property
    def names(self) -> TopicNames:
        told = self.stage.environment
        return TopicNames(told["ZIFS_KAFKA__TOPIC_PREFIX"], told["ZIFS_APP_ID"])

    def told(self, user: str, mechanism: str = "PLAIN", **more: str) -> dict[str, str]:
        """Return the environment of a process that is this user."""
        return self.stage.environment | environment(self.kafka.settings(user, mechanism)) | more

    async def start(self, name: str, *words: str, told: Mapping[str, str]) -> Any:
        return await self.children.start(name, "agents", *words, environment=told)


@asynccontextmanager
async def prepared(kafka: SecuredKafka, folder: Path) -> AsyncIterator[Secured]:
    children = Children(folder / "logs", ROOT)
    try:
        async with kafka.provider.running():
            stage, port = await prepare(children, folder, kafka.inside, accounts=2), str(free_port())
            told = stage.environment | {"ZIFS_CONSOLE__PORT": port}  # not the one that every demonstration prefers
            yield Secured(kafka, children, replace(stage, environment=told, console_url=f"http://127.0.0.1:{port}"))
    finally:
        await children.stop()


@pytest.mark.timeout(600)
async def test_a_document_becomes_a_voucher_under_the_listed_rights_and_one_less_is_named(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    async with prepared(kafka, tmp_path) as system:
        await kafka.grant(await as_the_command_lists_them(system))
        poster = await start_all(system)
        await mappings_are_imported(system, tmp_path)
        async with aiohttp.ClientSession() as http:
            await http.post(f"{system.stage.zuora_url}/_sandbox/bill-run", json={"invoices": 2})
            shown = await eventually(lambda: posted(http, system), lambda found: len(found) >= 2, seconds=60)
            asked = await http.post(
                f"{system.stage.console_url}/api/replay",
                json={"records": [shown[0]["id"]], "reason": "to try"},
                headers=bearer(system),
            )
            assert asked.status in (200, 202), await asked.text()
        told = system.told("cli", "SCRAM-SHA-256")
        listing = json.loads(await system.children.run("agents", "records", "list", "--json", environment=told))
        assert {record["status"] for record in listing} == {"posted"}
        assert "0" in await system.children.run("agents", "posting", "status", environment=told)
        system.children.check()
        assert kafka.denied(system.names.app_id) == []
        system.children.forget(poster)
        poster.terminate()
        await poster.wait()  # it has the partition that the next ones are to get
        await one_right_less_is_named(system)


async def as_the_command_lists_them(system: Secured) -> list[dict[str, str]]:
    principals = [
        word
        for process in ("ingress", "worker", "console", "cli")
        for word in (f"--principal-{process}", f"User:{process}")
    ]
    only = [word for process in ("ingress", "worker", "console", "cli") for word in ("--process", process)]
    words = ("agents", "topics", "acls", "--json", *principals, *only)
    printed = await system.children.run(*words, environment=system.stage.environment)
    found: list[dict[str, str]] = json.loads(printed)["acls"]
    return found


async def start_all(system: Secured) -> Any:
    """Start each with a mechanism of its own; the worker's agents, in two processes, with two. Returns the poster."""
    own = {"ZIFS_WORKER__PORT": "0", "ZIFS_DATA_DIR": system.stage.environment["ZIFS_DATA_DIR"] + "/poster"}
    started = {
        "ingress": await system.start("ingress", "ingress", told=system.told("ingress")),
        "console": await system.start("console", "console", told=system.told("console", "SCRAM-SHA-512")),
        "worker": await system.start(
            "worker", "worker", "--agents", "collector,bookkeeper", told=system.told("worker", "OAUTHBEARER")
        ),
    }
    poster = system.told("worker", "SCRAM-SHA-512", **own)
    started_poster = await system.start("poster", "worker", "--agents", "poster", told=poster)
    urls = {"ingress": system.stage.ingress_url, "worker": system.stage.worker_url, "console": system.stage.console_url}
    for role, process in started.items():
        await system.children.ready(role, process, urls[role])
    return started_poster


async def mappings_are_imported(system: Secured, folder: Path) -> None:
    file = folder / "mappings.csv"
    words = ("deploy.sandbox", "mappings", "--zuora-url", system.stage.zuora_url, "--output", str(file))
    await system.children.run(*words, environment={})
    words = ("agents", "mappings", "import", str(file))
    await system.children.run(*words, environment=system.told("cli", "SCRAM-SHA-256"))


async def posted(http: aiohttp.ClientSession, system: Secured) -> list[dict[str, Any]]:
    url = f"{system.stage.console_url}/api/records?status=posted"
    async with http.get(url, headers=bearer(system)) as answer:
        assert answer.status == 200
        found: list[dict[str, Any]] = (await answer.json())["items"]
        return found


def bearer(system: Secured) -> dict[str, str]:
    return {"Authorization": f"Bearer {system.stage.console_token}"}


async def one_right_less_is_named(system: Secured) -> None:
    """Start processes that lack one right each, all at once: each ends, or says so on `/readyz`."""
    names, group = system.names, system.names.agent("poster")
    await asyncio.gather(
        ends_naming(system, "lesser0", ("Group", group, "Read"), ["worker", "--agents", "poster"], code=76),
        ends_naming(system, "lesser1", ("Topic", names.public(VOUCHER), "*"), ["worker", "--agents", "poster"], code=2),
        ends_naming(
            system,
            "lesser3",
            ("Topic", names.public(VOUCHER_COMMAND), "Read"),
            ["worker", "--agents", "poster"],
            code=76,
        ),
        ends_naming(system, "lesser2", ("Topic", names.public(AUDIT), "*"), ["records", "list"], code=2),
    )


async def ends_naming(
    system: Secured, user: str, lacking: tuple[str, str, str], words: list[str], *, code: int
) -> None:
    """Give `user` all rights of the process but one, and expect the end with a line that names what is lacking."""
    process = "worker" if words[0] == "worker" else "cli"
    kind, name, operation = lacking
    rights = [
        one
        for one in listed(system.names, system.kafka.inside, **{process: f"User:{user}"})
        if (one["resourceType"], one["resourceName"]) != (kind, name) or operation not in (one["operation"], "*")
    ]
    await system.kafka.grant(rights)
    own = {"ZIFS_WORKER__PORT": "0", "ZIFS_DATA_DIR": f"{system.stage.environment['ZIFS_DATA_DIR']}/{user}"}
    ended = await asyncio.to_thread(command, system.told(user, **own), *words)

    lines = [line for line in ended.stderr.splitlines() if name in line and "acls" in line]
    assert lines, ended.stderr
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr


# --- parts ------------------------------------------------------------------------------------------------------------


def listed(names: TopicNames, kafka: KafkaSettings, **principals: str) -> list[dict[str, str]]:
    return [acl.as_json() for acl in acls(kafka, names, principals)]


def right(user: str, kind: str, name: str, operation: str) -> dict[str, str]:
    return {
        "principal": f"User:{user}",
        "host": "*",
        "operation": operation,
        "resourceType": kind,
        "resourceName": name,
    }


def command(told: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZIFS_")}
    return subprocess.run(
        [sys.executable, "-m", "agents", *words],
        cwd=ROOT,
        env=clean | dict(told),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

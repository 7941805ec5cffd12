"""`zuora-ifs ping` against a broker and both sandboxes."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from agents.cli.ping import ping
from agents.cli.topics import topics
from deploy.sandbox.ifs.app import create_app as ifs_app
from deploy.sandbox.ifs.settings import IfsSettings
from deploy.sandbox.ifs.state import IfsSandbox
from deploy.sandbox.serving import listening
from deploy.sandbox.zuora.app import create_app as zuora_app
from deploy.sandbox.zuora.settings import ZuoraSettings
from deploy.sandbox.zuora.state import ZuoraSandbox


@pytest.fixture
def far_sides() -> Iterator[tuple[str, str]]:
    """Addresses of a Zuora and an IFS, served by a thread of their own: a command has its own event loop."""
    urls: list[str] = []
    ready, done = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with (
            listening(zuora_app(ZuoraSandbox(ZuoraSettings()))) as zuora,
            listening(ifs_app(IfsSandbox(IfsSettings()))) as ifs,
        ):
            urls.extend((zuora, ifs))
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield urls[0], urls[1]
    loop.call_soon_threadsafe(done.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, far_sides: tuple[str, str], unique: str, tmp_path: Path
) -> pytest.MonkeyPatch:
    zuora, ifs = far_sides
    for name, value in {
        "APP_ID": unique, "DATA_DIR": str(tmp_path), "KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "KAFKA__TOPIC_PREFIX": f"{unique}.", "KAFKA__REPLICATION_FACTOR": "1", "KAFKA__PARTITIONS": "2",
        "ZUORA__BASE_URL": zuora, "ZUORA__CLIENT_ID": "zuora-client", "ZUORA__CLIENT_SECRET": "zuora-secret",
        "IFS__BASE_URL": ifs, "IFS__REALM": "sandbox", "IFS__CLIENT_ID": "ifs-client",
        "IFS__CLIENT_SECRET": "ifs-secret",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ZIFS_{name}", value)
    return monkeypatch


def test_all_is_well(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ZIFS_IFS__USER_GROUP", "INT")
    assert CliRunner().invoke(topics, ["apply"]).exit_code == 0
    ended = CliRunner().invoke(ping, ["--company", "10", "--json"])

    told = json.loads(ended.stdout)
    assert (ended.exit_code, told["ok"]) == (0, True)
    assert {(one["company"], one["check"]): one["result"] for one in told["checks"]} == {
        (None, "Kafka"): "ok",
        (None, "Zuora"): "ok",
        (None, "IFS Cloud"): "ok",
        ("10", "company"): "ok",
        ("10", "vouchers"): "ok",
        ("10", "general ledger"): "ok",
        ("10", "voucher type"): "ok",
        ("10", "period"): "ok",
        ("10", "posting rules"): "warning",
    }


def test_every_failure_is_a_line_and_the_end_is_1(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ZIFS_ZUORA__CLIENT_SECRET", "wrong-secret")
    ended = CliRunner().invoke(ping, ["--company", "30"])

    lines = ended.stdout.splitlines()
    assert ended.exit_code == 1
    assert [line.split(":")[0] for line in lines] == [
        "ok      Kafka",
        "failed  topics",
        "failed  Zuora",
        "ok      IFS Cloud",
        "failed  company 30, company",
    ]
    assert "ZIFS_ZUORA__CLIENT_SECRET" in lines[2]
    assert "wrong-secret" not in ended.output

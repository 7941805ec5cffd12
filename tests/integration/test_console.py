"""The console as a process: catches up, follows, stops, starts again where it was."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.console_process import ConsoleProcess, ask
from tests.support.projecting import Cluster, cluster_of, step
from tests.support.waiting import eventually_now


@pytest.fixture
def console(cluster: Cluster, consoles: list[ConsoleProcess], tmp_path: Path) -> ConsoleProcess:
    consoles.append(ConsoleProcess(cluster, tmp_path, "maria:viewer:look"))
    return consoles[0]


def told(url: str) -> Any:
    status, body = ask(url, Authorization="Bearer look")
    assert status == 200, body
    return json.loads(body)


def test_it_shows_what_is_in_the_log_and_what_comes(
    cluster: Cluster, console: ConsoleProcess, consoles: list[ConsoleProcess], tmp_path: Path
) -> None:
    asyncio.run(cluster.send_steps(step("Invoice:1", "received")))
    url = console.until_ready()
    eventually_now(lambda: told(f"{url}/api/summary")["records"] == 1)

    asyncio.run(cluster.send_steps(step("Invoice:2", "received"), step("Invoice:1", "fetched", minute=1)))
    eventually_now(lambda: told(f"{url}/api/summary")["records"] == 2)

    assert [event["status"] for event in told(f"{url}/api/records/Invoice:1")["events"]] == ["received", "fetched"]
    assert told(f"{url}/api/summary")["projection"]["behind"] == 0
    assert console.stop() == 0

    consoles.append(ConsoleProcess(cluster, tmp_path, "maria:viewer:look"))
    url = consoles[1].until_ready()
    assert told(f"{url}/api/summary")["records"] == 2


def test_metrics_tell_how_far_it_is(console: ConsoleProcess) -> None:
    url = console.until_ready()

    assert "zuora_ifs_console_behind_records 0.0" in ask(f"{url}/metrics")[1]


def test_missing_topics_are_told_and_waited_for(kafka_bootstrap: str, unique: str, tmp_path: Path) -> None:
    cluster = cluster_of(kafka_bootstrap, unique, tmp_path)
    console = ConsoleProcess(cluster, tmp_path, "maria:viewer:look")
    try:
        url = console.url
        eventually_now(lambda: "topics apply" in console.said)
        assert ask(f"{url}/readyz")[0] == 503
        assert "topics apply" in told(f"{url}/api/summary")["projection"]["trouble"]

        asyncio.run(cluster.make_topics())
        assert console.until_ready() == url
    finally:
        console.stop()


def test_a_wrong_token_setting_ends_it_with_one_line(cluster: Cluster, tmp_path: Path) -> None:
    console = ConsoleProcess(cluster, tmp_path, "maria:boss:hunter2")

    assert console.process.wait(20) == 2
    assert console.said.startswith("ZIFS_CONSOLE__TOKENS: the role of entry 1 (maria)")
    assert "hunter2" not in console.said

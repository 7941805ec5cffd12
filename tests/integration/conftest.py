"""What the tests of the command line share: topics of their own on the run's broker, and commands in this process."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.cli.main import main
from tests.support.console_process import ConsoleProcess
from tests.support.projecting import Cluster, ZuoraIfs, cluster_of


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, unique: str, tmp_path: Path) -> Cluster:
    """Topics of the test's own, and an environment that leads to them."""
    made = cluster_of(kafka_bootstrap, unique, tmp_path)
    monkeypatch.setenv("ZIFS_KAFKA__BOOTSTRAP_SERVERS", kafka_bootstrap)
    monkeypatch.setenv("ZIFS_KAFKA__TOPIC_PREFIX", f"{unique}.")
    monkeypatch.setenv("ZIFS_APP_ID", unique)
    monkeypatch.setenv("ZIFS_DATA_DIR", str(tmp_path / "data"))
    asyncio.run(made.make_topics())
    return made


@pytest.fixture
def consoles() -> Iterator[list[ConsoleProcess]]:
    """Consoles as processes, whichever a test puts in; they are stopped at its end."""
    running: list[ConsoleProcess] = []
    yield running
    for console in running:
        console.stop()


@pytest.fixture
def zuora_ifs(capsys: pytest.CaptureFixture[str]) -> ZuoraIfs:
    """Run `zuora-ifs` in this process; give its output, or the error where it must end with another code than 0.

    What goes to standard error has one line, unless a test says more.
    """

    def run(*words: str, code: int = 0, most_lines: int = 1) -> str:
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err + said.out
        assert "Traceback" not in said.err
        assert said.err.count("\n") <= most_lines
        return said.err if code else said.out

    return run

"""What all tests share: a clean environment, a broker for the run, names of their own."""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.support.brokers import KafkaProcess, given_or_own_broker, kafka_container

BOOTSTRAP_SERVERS = "ZIFS_KAFKA__BOOTSTRAP_SERVERS"
# Read before any test cleans the environment.
GIVEN_BROKER = os.environ.get(BOOTSTRAP_SERVERS)
WITH_DOCKER = os.environ.get("ZIFS_TEST_BROKER") == "testcontainers"
MARKED_FOLDERS = ("integration", "chaos", "e2e")
TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the folder that it is in."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if folder in MARKED_FOLDERS:
            item.add_marker(folder)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of every test."""
    for name in list(os.environ):
        if name.startswith("ZIFS_") and name != BOOTSTRAP_SERVERS:
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """A short name that no other test has, for topic prefixes, app ids and keys; it tells which test made it."""
    test = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:16].strip("-")
    return f"{test}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """Bootstrap servers of one broker for the whole run: the given one, a container, else a local process."""
    if GIVEN_BROKER:
        yield GIVEN_BROKER
    elif WITH_DOCKER:
        yield from kafka_container()
    else:
        with given_or_own_broker() as servers:
            yield servers


@pytest.fixture
def kafka_process(tmp_path: Path) -> Iterator[Callable[[], KafkaProcess]]:
    """Make further brokers that a test may stop, kill and start again; each call gives one that runs."""
    brokers: list[KafkaProcess] = []

    def start() -> KafkaProcess:
        broker = KafkaProcess(tmp_path / f"kafka-{len(brokers)}")
        brokers.append(broker)
        return broker.start()

    yield start
    for broker in brokers:
        broker.stop()

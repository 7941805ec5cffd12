"""What all tests share: a clean environment, a broker for the run, names and ports of their own."""

import asyncio
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import hypothesis
import pytest
from aiokafka.conn import AIOKafkaConnection

from agents.demo import children, setting
from streams.settings import Settings
from tests.support.brokers import KafkaProcess, given_or_own_broker, kafka_container, remove_all_topics

BOOTSTRAP_SERVERS = "ZIFS_KAFKA__BOOTSTRAP_SERVERS"
# Read before any test cleans the environment.
GIVEN_BROKER = os.environ.get(BOOTSTRAP_SERVERS)
WITH_DOCKER = os.environ.get("ZIFS_TEST_BROKER") == "testcontainers"
MARKED_FOLDERS = ("integration", "chaos", "e2e")
TESTS = Path(__file__).parent
# Set by pytest-xdist in each of its workers.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

# Tests start hundreds of processes, each of which would compile our modules anew (0.5 s of CPU time).
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Hypothesis by itself fails an example that takes more than 0.2 s, which on a busy machine says nothing; pytest's
# time limit of each test stays.
hypothesis.settings.register_profile(
    "busy machine",
    parent=hypothesis.settings.default,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("busy machine")


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


@pytest.fixture(scope="session", autouse=True)
def own_ports() -> Iterator[None]:
    """Share out the ports among the workers: one is chosen seconds before a process listens there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(children, "FREE_PORTS", children.FREE_PORTS[WORKER::WORKERS])
        patch.setattr(setting, "CONSOLE_PORT", 0)  # any: all would prefer the same one
        yield


@pytest.fixture(scope="session", autouse=True)
def kafka_connections_end_with_their_loop() -> Iterator[None]:
    """Close what aiokafka leaves open, such as a connection that is cancelled while it asks its first question.

    A process of ours goes on, and the garbage collector closes it. A test's event loop is closed before that: whichever
    test runs by then would fail for a socket that is not its own.
    """
    opened: WeakSet[AIOKafkaConnection] = WeakSet()
    connect, close = AIOKafkaConnection.connect, asyncio.SelectorEventLoop.close

    async def connect_and_remember(self: AIOKafkaConnection) -> Any:
        opened.add(self)
        return await connect(self)

    def close_with_connections(self: asyncio.SelectorEventLoop) -> None:
        left = [one for one in opened if one._loop is self and one._writer is not None]
        for connection in left:
            connection._writer.transport.abort()
            connection.close()
        if left:
            self.run_until_complete(asyncio.sleep(0))
        close(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AIOKafkaConnection, "connect", connect_and_remember)
        patch.setattr(asyncio.SelectorEventLoop, "close", close_with_connections)
        yield


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[str]:
    """Bootstrap servers of one broker for the whole run: the given one, a container, else a local process."""
    if GIVEN_BROKER:
        yield GIVEN_BROKER
    elif WITH_DOCKER:
        yield from kafka_container()
    else:
        with given_or_own_broker() as servers:
            yield servers


@pytest.fixture
def kafka_bootstrap(kafka_broker: str) -> Iterator[str]:
    """Bootstrap servers of the run's broker; topics go with the test that made them, unless the broker was given.

    A client that connects is told of all partitions of the cluster: after 150 tests that took it 0.3 s.
    """
    yield kafka_broker
    if not GIVEN_BROKER:
        asyncio.run(remove_all_topics(kafka_broker))


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

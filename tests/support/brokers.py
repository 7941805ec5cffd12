"""Kafka brokers for tests: started, stopped, killed; nothing is left behind."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.kafka.ports import free_port
from deploy.kafka.storage import laptop_settings
from streams.log.topics import _configs, admin_client
from streams.settings import KafkaSettings
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
# The first start on a machine fetches 43 MB.
START_SECONDS = 110.0
STOP_SECONDS = 30.0


KAFKA_IMAGE = "apache/kafka:4.1.0"


def kafka_container() -> Iterator[str]:
    """Run the official image in a Docker engine, yield its bootstrap servers.

    testcontainers' own KafkaContainer starts scripts that only another vendor's image has.
    """
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - asks for the engine when imported
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415

    port = free_port("127.0.0.1")
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    for name, value in image_environment(f"127.0.0.1:{port}").items():
        container.with_env(name, value)
    with container.waiting_for(LogMessageWaitStrategy("Kafka Server started")):
        yield f"127.0.0.1:{port}"


def image_environment(advertised: str) -> dict[str, str]:
    """Return the settings of our local broker as the official image reads them: KAFKA_ and underscores."""
    settings = laptop_settings() | {
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://{advertised}",
        "controller.quorum.voters": "1@localhost:9093",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": str(value) for name, value in settings.items()}


@contextmanager
def given_or_own_broker() -> Iterator[str]:
    """Bootstrap servers of the broker that the environment names, else of one that ends with this block."""
    if given := os.environ.get("ZIFS_KAFKA__BOOTSTRAP_SERVERS"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="zifs-kafka-", ignore_cleanup_errors=True) as folder:
        broker = KafkaProcess(Path(folder)).start()
        try:
            yield broker.bootstrap_servers
        finally:
            broker.stop()


async def remove_all_topics(servers: str) -> None:
    """Delete what tests have made on a broker; Kafka's own topics begin with two underscores."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if not name.startswith("__")]
        if names:
            await admin.delete_topics(names)
    finally:
        await admin.close()


async def set_largest(kafka: KafkaSettings, topic: str, size: int) -> None:
    """Change how many bytes a topic takes, and wait for it: Kafka answers before the broker goes by it."""
    change = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": str(size)})
    async with admin_client(kafka) as admin:
        await admin.alter_configs([change])

    async def taken() -> dict[str, dict[str, str]]:
        async with admin_client(kafka) as admin:
            return await _configs(admin, [topic])

    await eventually(taken, lambda found: found[topic]["max.message.bytes"] == str(size))


class KafkaProcess:
    """`python -m deploy.kafka` over one folder; a restart keeps the port and what was written."""

    def __init__(self, data_dir: Path, port: int = 0, options: Sequence[str] = ()) -> None:
        self.data_dir = data_dir
        self.port = port
        self._options = options
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._kafka_pid: int | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`; known once started."""
        return f"127.0.0.1:{self.port}"

    @property
    def kafka_pid(self) -> int:
        """The process id of Kafka itself."""
        assert self._kafka_pid, "not running"
        return self._kafka_pid

    def start(self) -> "KafkaProcess":
        """Start the broker, return once it answers."""
        assert self._supervisor is None, "already running"
        command = [sys.executable, "-m", "deploy.kafka", "--stop-with-parent"]
        self._supervisor = subprocess.Popen(
            [*command, "--port", str(self.port), "--data-dir", str(self.data_dir), *self._options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        ready = json.loads(self._first_line(self._supervisor))
        self.port = int(ready["bootstrapServers"].rpartition(":")[2])
        self._kafka_pid = int(ready["pid"])
        return self

    def stop(self) -> None:
        """Stop the broker cleanly; harmless when it is not running."""
        if self._supervisor:
            self._supervisor.terminate()
            self._reap()

    def kill(self) -> None:
        """Kill the broker as a power cut would: kill -9 of Kafka itself."""
        assert self._supervisor, "not running"
        assert self._kafka_pid
        os.kill(self._kafka_pid, signal.SIGKILL)
        self._reap()

    def ended(self) -> bool:
        """Tell whether the broker has ended by itself; it can be started again then."""
        assert self._supervisor, "not running"
        if self._supervisor.poll() is None:
            return False
        self._reap()
        return True

    def pause(self) -> None:
        """Freeze the broker: connections stay open, nothing answers."""
        assert self._kafka_pid
        os.kill(self._kafka_pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen broker go on."""
        assert self._kafka_pid
        os.kill(self._kafka_pid, signal.SIGCONT)

    def _reap(self) -> None:
        assert self._supervisor
        try:
            self._supervisor.wait(STOP_SECONDS)
        finally:
            if self._supervisor.stdout:
                self._supervisor.stdout.close()
            self._supervisor = None
            self._kafka_pid = None

    def _first_line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if select.select([process.stdout], [], [], 0.5)[0]:
                if line := process.stdout.readline():
                    return line
                break
        code = process.poll()
        process.terminate()
        self._reap()
        raise AssertionError(f"the broker did not start (exit {code}); see {self.data_dir / 'kafka.log'}")

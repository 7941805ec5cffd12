"""A second broker beside the local one, so that records may have too few replicas."""

import shutil
import subprocess
import time
from pathlib import Path

from deploy.kafka.jars import cache_folder, fetch_jars
from deploy.kafka.java import find_java
from deploy.kafka.ports import free_port
from deploy.kafka.readiness import answers
from deploy.kafka.storage import format_once, java_command, laptop_settings
from tests.support.brokers import START_SECONDS, STOP_SECONDS, KafkaProcess

HOST = "127.0.0.1"


class SecondBroker:
    """A broker of the same cluster without a controller; a restart keeps what was written."""

    def __init__(self, first: KafkaProcess, folder: Path) -> None:
        self._folder = folder
        self._port = free_port(HOST)
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        shutil.copy(first.data_dir / "cluster-id", folder)
        self._settings = folder / "server.properties"
        self._settings.write_text(self._properties(first))

    def _properties(self, first: KafkaProcess) -> str:
        lines = (first.data_dir / "server.properties").read_text().splitlines()
        voters = next(line for line in lines if line.startswith("controller.quorum.voters="))
        listener = f"PLAINTEXT://{HOST}:{self._port}"
        own = laptop_settings() | {
            "process.roles": "broker",
            "node.id": 2,
            "listeners": listener,
            "advertised.listeners": listener,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self._folder / "log",
        }
        return "".join(f"{name}={value}\n" for name, value in own.items()) + f"{voters}\n"

    def start(self) -> None:
        """Start it, return once it answers."""
        java, jars = find_java(), fetch_jars(cache_folder(self._folder))
        format_once(java, jars, self._folder, self._settings)
        command = [*java_command(java, jars, 256), "kafka.Kafka", str(self._settings)]
        with (self._folder / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not answers(HOST, self._port):
            assert self._process.poll() is None, f"the second broker has ended: see {self._folder / 'kafka.log'}"
            assert time.monotonic() < deadline, "the second broker does not answer"
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it in order: its partitions' leaders move to the other one first. Harmless when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

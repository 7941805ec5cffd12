"""The broker's folder: its settings, its cluster id, its formatted storage."""

import base64
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.kafka.errors import BrokerError

# The jars, an empty broker and a first bill run take about 200 MB; a broker that fills the disk ends at once.
LEAST_FREE_BYTES = 512 * 1024 * 1024
# A message of 16 MiB, the most that our topics take, and room for its batch and headers.
LARGEST_REQUEST_BYTES = 17 * 1024 * 1024


@dataclass(frozen=True)
class Addresses:
    """Where the broker listens; the controller's port is nobody else's business."""

    host: str
    port: int
    controller_port: int
    sasl_port: int | None = None
    """Of a second listener, SASL_SSL, whose certificates and users further settings give."""

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` as clients want it."""
        return f"{self.host}:{self.port}"


def require_room(folder: Path, least_bytes: int = LEAST_FREE_BYTES) -> None:
    """Refuse a disk that is nearly full.

    Raises:
        BrokerError: fewer than `least_bytes` are free.

    """
    free = shutil.disk_usage(folder).free
    if free < least_bytes:
        raise BrokerError(f"no room on the disk of {folder}: {free >> 20} MiB are free, {least_bytes >> 20} MiB needed")


def properties(addresses: Addresses, log_dir: Path, further: str = "") -> str:
    """Return the broker's settings as Kafka reads them from a file; of two lines for one setting the last counts."""
    clients = f"PLAINTEXT://{addresses.bootstrap_servers}"
    if addresses.sasl_port:
        clients += f",SASL_SSL://{addresses.host}:{addresses.sasl_port}"
    controller = f"{addresses.host}:{addresses.controller_port}"
    own = {
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"{clients},CONTROLLER://{controller}",
        "advertised.listeners": clients,
        # Kafka guesses that a controller speaks in clear only where no listener is secured.
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "log.dirs": log_dir.absolute(),
    }
    return "".join(f"{name}={value}\n" for name, value in (laptop_settings() | own).items()) + further


def laptop_settings() -> dict[str, object]:
    """Return what holds for any single-node Kafka of ours: one node in both roles, sized for a laptop."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        # One broker cannot keep three copies.
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 4,
        # Topics are declared; one that a typing error would make is a fault found late.
        "auto.create.topics.enable": "false",
        "message.max.bytes": LARGEST_REQUEST_BYTES,
        "replica.fetch.max.bytes": LARGEST_REQUEST_BYTES,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # The default of 128 MiB is a quarter of this heap; 16 MiB hold the keys of 700,000 records.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "log.segment.bytes": 128 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }


def format_once(java: Path, jars: Sequence[Path], folder: Path, settings: Path, scram: Sequence[str] = ()) -> None:
    """Format the storage unless it was done before; doing it again after a break in the middle is harmless.

    `scram` are users to begin with, as Kafka writes them: `SCRAM-SHA-512=[name=…,password=…]`.

    Raises:
        BrokerError: Kafka's own tool refused.

    """
    done = folder / "formatted"
    if done.exists():
        return
    command = [
        *java_command(java, jars, heap_mib=128),
        *("kafka.tools.StorageTool", "format", "--ignore-formatted", f"--cluster-id={_cluster_id(folder)}"),
        *("--config", str(settings)),
        *(word for user in scram for word in ("--add-scram", user)),
    ]
    tool = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - no shell
    if tool.returncode != 0:
        lines = (tool.stderr or tool.stdout).strip().splitlines()
        said = [line for line in lines if "Exception" in line] or lines  # the cause of all is told last
        raise BrokerError(f"Kafka's storage in {folder} cannot be formatted: {said[-1] if said else tool.returncode}")
    done.touch()


def java_command(java: Path, jars: Sequence[Path], heap_mib: int, *options: str) -> list[str]:
    """Return the start of a command line: this Java, this heap, these jars.

    The quick compiler alone: a laptop's broker starts in two thirds of the time, and is not what limits throughput.
    """
    class_path = ":".join(str(jar) for jar in jars)
    return [str(java), f"-Xmx{heap_mib}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *options, "-cp", class_path]


def _cluster_id(folder: Path) -> str:
    """Return the cluster's id, made at the first start; it must stay the same for a formatted folder.

    It may begin with a hyphen (one in 64 does), so it is given to the tool as part of its option.
    """
    file = folder / "cluster-id"
    if not file.exists() or not file.read_text().strip():
        file.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode())
    return file.read_text().strip()

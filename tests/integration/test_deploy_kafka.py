"""The local broker: starts, keeps what was written, stops, and says clearly why it cannot start."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.kafka.readiness import answers
from tests.support.brokers import ROOT, KafkaProcess
from tests.support.waiting import eventually_now

StartBroker = Callable[[], KafkaProcess]


def run_broker(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.kafka", *options],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def has_ended(process: psutil.Process) -> bool:
    """Say whether it has ended; an orphan may stay in the table until the machine's first process looks."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def write(servers: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def make_topic(servers: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def read(servers: str, topic: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await consumer.getone()).value for _ in range(count)]


async def test_what_was_written_is_there_after_a_stop_and_after_a_kill(kafka_process: StartBroker) -> None:
    broker = kafka_process()
    await make_topic(broker.bootstrap_servers, "kept")
    await write(broker.bootstrap_servers, "kept", b"before the stop")
    broker.stop()
    broker.start()
    await write(broker.bootstrap_servers, "kept", b"before the kill")
    broker.kill()
    broker.start()

    assert await read(broker.bootstrap_servers, "kept", 2) == [b"before the stop", b"before the kill"]


def test_stops_cleanly_on_sigterm_and_leaves_no_process(tmp_path: Path) -> None:
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.kafka", "--stop-with-parent", "--port", "0", "--data-dir", str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        host, port = ready["bootstrapServers"].split(":")
        assert answers(host, int(port))

        process.send_signal(signal_number)

        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == b""
        assert not psutil.pid_exists(ready["pid"])
        process.stdout.close()


def test_kafka_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.kafka", "--stop-with-parent", "--port", "0", "--data-dir", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    kafka = psutil.Process(json.loads(process.stdout.readline())["pid"])
    process.kill()
    process.wait()
    process.stdout.close()

    eventually_now(lambda: has_ended(kafka), seconds=60)


def test_a_broker_told_so_stops_with_the_process_that_started_it(tmp_path: Path) -> None:
    broker = [sys.executable, "-m", "deploy.kafka", "--stop-with-parent", "--port", "0", "--data-dir", str(tmp_path)]
    starter = f"import subprocess; subprocess.run({broker!r})"
    parent = subprocess.Popen([sys.executable, "-c", starter], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout
    kafka = psutil.Process(json.loads(parent.stdout.readline())["pid"])
    supervisor = kafka.parent()
    assert supervisor
    parent.kill()
    parent.wait()
    parent.stdout.close()

    eventually_now(lambda: has_ended(kafka) and has_ended(supervisor), seconds=60)


def test_a_broker_that_dies_is_reported_in_one_line(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.kafka", "--stop-with-parent", "--port", "0", "--data-dir", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    os.kill(json.loads(process.stdout.readline())["pid"], signal.SIGKILL)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 1
    assert errors.startswith("Kafka ended by itself with code -9")
    assert errors.count("\n") == 1


def test_a_taken_port_is_one_line_and_exit_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = run_broker("--port", str(port), "--data-dir", str(tmp_path))

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr == f"port {port} on 127.0.0.1 is already taken (or not permitted): choose another --port\n"


def test_a_foreign_address_is_one_line_and_exit_1(tmp_path: Path) -> None:
    answer = run_broker("--host", "192.0.2.1", "--port", "0", "--data-dir", str(tmp_path))

    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1


def test_an_unwritable_folder_is_one_line_and_exit_1(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = run_broker("--port", "0", "--data-dir", str(tmp_path / "file" / "data"))

    assert answer.returncode == 1
    assert answer.stderr == f"{tmp_path / 'file' / 'data'} cannot be written: Not a directory\n"


def test_jars_that_cannot_be_fetched_are_one_line_and_exit_1(tmp_path: Path) -> None:
    answer = run_broker(
        *("--port", "0", "--data-dir", str(tmp_path / "data")),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        HTTPS_PROXY="http://127.0.0.1:9",
        https_proxy="http://127.0.0.1:9",
    )

    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "cannot be fetched from Maven Central" in answer.stderr.splitlines()[-1]


def test_wrong_usage_ends_with_2() -> None:
    assert run_broker("--port", "99999").returncode == 2
    assert run_broker("--no-such-option").returncode == 2


def test_a_second_broker_on_another_port_runs_beside_the_first(kafka_process: StartBroker) -> None:
    first, second = kafka_process(), kafka_process()

    assert first.port != second.port
    assert answers("127.0.0.1", first.port)
    assert answers("127.0.0.1", second.port)

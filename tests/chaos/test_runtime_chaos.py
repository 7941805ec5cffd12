"""Workers killed and stopped at random under load lose nothing and keep the order of each key.

Longer than the 40 s of every run: ZIFS_TEST_CHAOS_SECONDS=600. Another course of events: ZIFS_TEST_CHAOS_SEED.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from streams.log.producer import LogProducer
from streams.settings import KafkaSettings

WORKER = Path(__file__).parent / "runtime_worker.py"
SECONDS = float(os.environ.get("ZIFS_TEST_CHAOS_SECONDS", "40"))
SEED = int(os.environ.get("ZIFS_TEST_CHAOS_SEED", "1"))
ACCOUNTS = 60
EVENTS_PER_SECOND = 60
STOP_SECONDS = 5.0 + 3.0
"""Five seconds by the worker's clock; the rest is for starting to listen and for ending Python on a busy machine."""

log = structlog.get_logger(__name__)


class Workers:
    """Three worker processes, each with a data folder of its own or none."""

    def __init__(self, prefix: str, bootstrap: str, folder: Path) -> None:
        self.prefix = prefix
        self.bootstrap = bootstrap
        self.folder = folder
        self.processes: dict[int, asyncio.subprocess.Process] = {}
        self.started: dict[int, int] = {}
        self.killed = 0
        self.stop_seconds: list[float] = []

    async def start(self, number: int) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(WORKER.parents[2]),
            "CHAOS_PREFIX": self.prefix,
            "CHAOS_BOOTSTRAP": self.bootstrap,
        }
        if number > 0:  # one worker keeps its state in memory, two in RocksDB
            environment["CHAOS_DATA"] = str(self.folder / f"worker-{number}")
        self.started[number] = self.started.get(number, 0) + 1
        environment["CHAOS_START"] = str(self.started[number])
        with (self.folder / f"worker-{number}.log").open("ab") as output:
            self.processes[number] = await asyncio.create_subprocess_exec(
                sys.executable, str(WORKER), env=environment, stdout=output, stderr=output
            )

    def check_alive(self) -> None:
        for number, process in self.processes.items():
            code = process.returncode
            assert code is None, f"worker {number} ended itself with {code}:\n{self.tail(number)}"

    def tail(self, number: int) -> str:
        return "\n".join((self.folder / f"worker-{number}.log").read_text().splitlines()[-8:])

    def is_ready(self, number: int) -> bool:
        return f"{self.started[number]} ready" in (self.folder / f"worker-{number}.log").read_text()

    async def wait_until_ready(self, number: int) -> None:
        async with asyncio.timeout(30):
            while not self.is_ready(number):  # noqa: ASYNC110 - another process's log
                await asyncio.sleep(0.1)

    async def kill_all(self) -> None:
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def end(self, number: int, with_signal: signal.Signals) -> None:
        process = self.processes.pop(number)
        began = time.monotonic()
        process.send_signal(with_signal)
        code = await asyncio.wait_for(process.wait(), 20)
        if with_signal is signal.SIGTERM:
            self.stop_seconds.append(time.monotonic() - began)
            assert code == 0, f"worker {number} ended with {code} after SIGTERM:\n{self.tail(number)}"
        else:
            self.killed += 1


async def make_topics(bootstrap: str, prefix: str) -> None:
    partitions = {"raw": 6, "mapping": 6, "document": 6, "last": 6, "held": 6, "command": 1, "done": 1, "outcome": 1}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(f"{prefix}-{name}", count, 1) for name, count in partitions.items()])
    await admin.close()


async def produce(producer: LogProducer, prefix: str, until: float) -> dict[str, int]:
    """Send numbered events of every account, its mapping (number 0) somewhere in between; return how many of each."""
    choice = random.Random(SEED)  # noqa: S311 - the same course of events again
    sent = dict.fromkeys((f"account-{number}" for number in range(ACCOUNTS)), 0)
    mapped: set[str] = set()
    while time.monotonic() < until or len(mapped) < ACCOUNTS:
        account = choice.choice(list(sent))
        if account not in mapped and (sent[account] >= 12 or time.monotonic() >= until):
            mapped.add(account)
            await producer.send_and_confirm(f"{prefix}-mapping", key=account.encode(), value=b'{"number": 0}')
        sent[account] += 1
        value = json.dumps({"number": sent[account]}).encode()
        await producer.send(f"{prefix}-raw", key=account.encode(), value=value)
        await asyncio.sleep(1 / EVENTS_PER_SECOND)
    assert await producer.flush(10)
    return sent


async def outcomes(bootstrap: str, topic: str, expected: set[tuple[str, int]], seconds: float) -> list[tuple[str, int]]:
    """Read outcomes until all expected ones are there, for `seconds` at most."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    found: list[tuple[str, int]] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until and not expected <= set(found):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found += [(record.key.decode(), json.loads(record.value)["number"]) for record in records]
    await consumer.stop()
    return found


@pytest.mark.timeout(SECONDS * 2 + 180)
async def test_workers_killed_at_random_lose_nothing_and_keep_each_keys_order(
    kafka_bootstrap: str, unique: str, tmp_path: Path
) -> None:
    choice = random.Random(SEED)  # noqa: S311 - the same course of events again
    await make_topics(kafka_bootstrap, unique)
    producer = LogProducer(KafkaSettings(bootstrap_servers=kafka_bootstrap), client_id=unique)
    await producer.start()
    workers = Workers(unique, kafka_bootstrap, tmp_path)
    for number in range(3):
        await workers.start(number)
    until = time.monotonic() + SECONDS
    producing = asyncio.create_task(produce(producer, unique, until))
    try:
        while time.monotonic() < until:
            await asyncio.sleep(choice.uniform(3, 6))
            workers.check_alive()
            number = choice.randrange(3)
            stop = choice.random() < 0.5 and workers.is_ready(number)  # before that Python has no handler for SIGTERM
            await workers.end(number, signal.SIGTERM if stop else signal.SIGKILL)
            await workers.start(number)
        sent = await producing
        expected = {(account, number) for account, count in sent.items() for number in range(1, count + 1)}
        found = await outcomes(kafka_bootstrap, f"{unique}-outcome", expected, 90)
        workers.check_alive()
        for number in list(workers.processes):
            await workers.wait_until_ready(number)
            await workers.end(number, signal.SIGTERM)
    finally:
        producing.cancel()
        await producer.stop()
        await workers.kill_all()

    missing = expected - set(found)
    firsts: defaultdict[str, list[int]] = defaultdict(list)
    for account, number in dict.fromkeys(found):
        firsts[account].append(number)
    log.info(
        "chaos",
        killed=workers.killed,
        stopped=len(workers.stop_seconds),
        longest_stop_seconds=round(max(workers.stop_seconds), 1),
        events=len(expected),
        repeated=len(found) - len(set(found)),
        missing=len(missing),
    )
    assert not missing
    assert [account for account, numbers in firsts.items() if numbers != sorted(numbers)] == []
    assert max(workers.stop_seconds) < STOP_SECONDS

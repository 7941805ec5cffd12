"""Held records are released while one of the bookkeeper's workers is killed every two seconds.

ZIFS_TEST_CHAOS_HELD says how many are held (make chaos: 100,000); ZIFS_TEST_CHAOS_SEED another course of kills.
"""

import asyncio
import os
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from agents.demo.children import Children
from schemas import topics
from schemas.mappings import AccountMappingSet
from schemas.topics import TopicNames
from streams.log.reader import log_bounds, read_to_end
from streams.log.topics import apply_topics
from streams.settings import KafkaSettings
from tests.benchmarks.bench_worker import NOW, Bench, chart, invoice, tax
from tests.support.chaos_processes import Kept, Orchestrator
from tests.support.whole_system import ROOT

SEED = int(os.environ.get("ZIFS_TEST_CHAOS_SEED", "0")) or int(time.time())
HELD = int(os.environ.get("ZIFS_TEST_CHAOS_HELD", "3000"))
ACCOUNTS = 100
WORKERS = 3
SESSION_SECONDS = 1.0
"""The least there is: what a dead worker had rests for so long."""
KILL_SECONDS = min(2.0, HELD / 50_000)
"""From the first command after a kill to the next kill: 2 s from 100,000 records up, less in a release that is over
sooner. Kills by the clock alone would stop all for good where starting a process takes as long: the group is told of
the dead one and of its successor, and all rest until it has settled."""
WITHOUT_PROGRESS_SECONDS = 120.0
BASE_SECONDS = 240.0


@dataclass
class Commands:
    """The commands on their topic, repeats dropped by their id."""

    of_records: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Command ids by record."""
    offsets: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Offsets of the documents, by account, in the order in which their commands came."""
    repeated: int = 0


@pytest.mark.timeout(2 * BASE_SECONDS + HELD / 20)
async def test_a_release_under_a_kill_every_two_seconds_leaves_nobody_out_and_keeps_each_accounts_order(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    bench = Bench(kafka_bootstrap, tmp_path)
    children = Children(tmp_path / "logs", ROOT)
    processes = Orchestrator(children, [_bookkeeper(bench, tmp_path, number) for number in range(WORKERS)])
    await apply_topics(bench.kafka, bench.names)
    await bench.producer.start()
    keeping = asyncio.create_task(processes.keep_all())
    try:
        await _hold(bench)
        await _until(keeping, bench, topics.AUDIT, HELD)
        began = time.monotonic()
        await bench.say(topics.MAPPING, "10", tax())
        await _until(keeping, bench, topics.VOUCHER_COMMAND, HELD, processes)
        seconds = time.monotonic() - began
        commands = await _all_commands(keeping, bench)
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
        await children.stop()
        await bench.producer.stop()
    told = f"seed {SEED}: {HELD} held, released in {seconds:.0f} s, {commands.repeated} repeats; {processes.figures()}"
    print(told)  # noqa: T201 - figures of the run

    assert processes.done["killed"] >= max(1, HELD // 20_000), told
    assert len(commands.of_records) == HELD, told
    assert [record for record, ids in commands.of_records.items() if len(ids) != 1] == [], told
    assert [account for account, offsets in commands.offsets.items() if offsets != sorted(offsets)] == [], told
    assert processes.tracebacks() == [], told


def _bookkeeper(bench: Bench, folder: Path, number: int) -> Kept:
    kafka: KafkaSettings = bench.kafka
    environment = {
        "ZIFS_APP_ID": bench.names.app_id,
        "ZIFS_DATA_DIR": str(folder / f"bookkeeper-{number}"),
        "ZIFS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers or "",
        "ZIFS_KAFKA__PARTITIONS": str(kafka.partitions),
        "ZIFS_KAFKA__REPLICATION_FACTOR": "1",
        "ZIFS_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "ZIFS_WORKER__HOST": "127.0.0.1",
        "ZIFS_WORKER__PORT": "0",
        "ZIFS_WORKER__SESSION_SECONDS": str(SESSION_SECONDS),
    }
    return Kept(f"bookkeeper-{number}", ("agents", "worker", "--agents", "bookkeeper"), environment)


async def _hold(bench: Bench) -> None:
    """Send documents for which all is mapped but their tax."""
    for number in range(ACCOUNTS):
        account = f"a{number}"
        mapping = AccountMappingSet(account_id=account, company="10", gl_account="1510", actor="b", at=NOW)
        await bench.say(topics.MAPPING, account, mapping)
    for rule in chart():
        await bench.say(topics.MAPPING, "10", rule)
    chance = random.Random(SEED)  # noqa: S311 - the same documents again
    for number in range(HELD):
        account = f"a{chance.randrange(ACCOUNTS)}"
        await bench.say(topics.DOCUMENT, account, invoice(number, account))
    assert await bench.producer.flush(60)


async def _until(
    keeping: "asyncio.Task[None]", bench: Bench, topic: str, count: int, harmed: Orchestrator | None = None
) -> None:
    """Wait until a topic has so many records; meanwhile one of the harmed dies a while after each new records."""
    chance = random.Random(SEED)  # noqa: S311 - the same course of kills again
    seen, moved, since = 0, time.monotonic(), None
    while seen < count:
        if keeping.done():
            keeping.result()
        if harmed and since and time.monotonic() - since > KILL_SECONDS:
            since = None
            await harmed.kill(chance.choice(harmed.running()))
        now = await bench.count(bench.names.public(topic))
        if now > seen:
            seen, moved = now, time.monotonic()
            since = since or moved
        assert time.monotonic() - moved < WITHOUT_PROGRESS_SECONDS, f"seed {SEED}: {seen} of {count} in {topic}"
        await asyncio.sleep(0.02)


async def _all_commands(keeping: "asyncio.Task[None]", bench: Bench) -> Commands:
    """Read the commands until each record has one and no more come: those counted so far may be repeats."""
    deadline, before = time.monotonic() + BASE_SECONDS, -1
    while True:
        commands = await _commands(bench.kafka, bench.names)
        count = sum((await log_bounds(bench.kafka, [bench.names.public(topics.VOUCHER_COMMAND)])).end.values())
        if (len(commands.of_records) >= HELD and count == before) or time.monotonic() > deadline:
            return commands
        if keeping.done():
            keeping.result()
        before = count
        await asyncio.sleep(2)


async def _commands(kafka: KafkaSettings, names: TopicNames) -> Commands:
    found, seen = Commands(), set[str]()
    async for batch in read_to_end(kafka, [names.public(topics.VOUCHER_COMMAND)], {}):
        for record in batch.records:
            told = orjson.loads(record.value or b"{}")
            if told["commandId"] in seen:
                found.repeated += 1
                continue
            seen.add(told["commandId"])
            found.of_records[told["recordId"]].add(told["commandId"])
            found.offsets[told["accountId"]].append(told["documentOffset"])
    return found

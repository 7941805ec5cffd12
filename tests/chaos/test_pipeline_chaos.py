"""Workers are killed and stopped at random under load, mappings arrive late: one voucher for each document, in order.

The plan is seeded: ZIFS_TEST_CHAOS_SEED runs one again. ZIFS_TEST_CHAOS_SECONDS makes it longer than CI has time for.
"""

import asyncio
import os
import random
import signal
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agents.demo.children import Children
from agents.demo.setting import Stage, prepare
from schemas import topics
from schemas.envelope import decode
from schemas.notifications import DocumentCaptured
from schemas.topics import TopicNames
from schemas.vouchers import VoucherPosted
from streams.log.reader import LogRecord, read_to_end
from streams.settings import KafkaSettings

ROOT = Path(__file__).resolve().parents[2]
SEED = int(os.environ.get("ZIFS_TEST_CHAOS_SEED", "0")) or int(time.time())
SECONDS = float(os.environ.get("ZIFS_TEST_CHAOS_SECONDS", "45"))
WORKERS = 3
ACCOUNTS = 12
INVOICES_PER_SECOND = 8
SESSION_SECONDS = 4
LIFE_SECONDS = (3, 11)
"""From its start on; half of it passes before a worker has its partitions."""
STOP_SECONDS = 20.0
"""A worker needs one or two; the machine may be busy."""
CATCH_UP_SECONDS = 180


class Workers:
    """Three workers, each with a folder and a port of its own, that die and come back, each by a plan of its own."""

    def __init__(self, children: Children, stage: Stage, folder: Path) -> None:
        self.children = children
        self._stage = stage
        self.folder = folder
        self.killed = self.stopped = 0
        self.stops: list[float] = []

    async def start(self, number: int) -> asyncio.subprocess.Process:
        environment = self._stage.environment | {
            "ZIFS_DATA_DIR": str(self.folder / f"worker-{number}"),
            "ZIFS_WORKER__PORT": "0",
            "ZIFS_WORKER__SESSION_SECONDS": str(SESSION_SECONDS),
        }
        return await self.children.start(f"worker-{number}", "agents", "worker", environment=environment)

    async def live(self, number: int, end: float) -> None:
        """Let one live, die and come back until `end`; the last one stays."""
        plan = random.Random(f"{SEED}-{number}")  # noqa: S311 - a plan that can be run again
        process = await self.start(number)
        while time.monotonic() < end:
            await asyncio.sleep(plan.uniform(*LIFE_SECONDS))
            assert process.returncode is None, f"seed {SEED}: worker-{number} ended by itself with {process.returncode}"
            await (self._kill(process) if plan.random() < 0.6 else self._stop(number, process))
            self.children.forget(process)
            process = await self.start(number)

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        process.kill()
        await process.wait()
        self.killed += 1

    async def _stop(self, number: int, process: asyncio.subprocess.Process) -> None:
        began = time.monotonic()
        process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
        # One that is still importing has nothing in hand, and ends by the signal itself.
        ended = process.returncode in (0, -signal.SIGTERM)
        assert ended, f"seed {SEED}: worker-{number} ended with {process.returncode} on SIGTERM"
        self.stops.append(time.monotonic() - began)
        self.stopped += 1


@pytest.mark.timeout(SECONDS + 2 * CATCH_UP_SECONDS)
async def test_every_document_has_one_voucher_in_its_accounts_order_whatever_dies(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    children = Children(tmp_path / "logs", ROOT)
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, replication_factor=1, partitions=4)
    try:
        stage = await prepare(children, tmp_path, kafka, accounts=ACCOUNTS)
        ingress = await children.start("ingress", "agents", "ingress", environment=stage.environment)
        await children.ready("ingress", ingress, stage.ingress_url)
        workers = Workers(children, stage, tmp_path)
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await _run(session, stage, workers)
            expected = await _expected(session, stage)
            vouchers = await _caught_up(session, stage, len(expected))
            duplicates = await _get(session, f"{stage.ifs_url}/_sandbox/duplicates")
        posted, captured = await _log(kafka, stage)
    finally:
        await children.stop()
    told = f"seed {SEED}: {len(expected)} documents, {workers.killed} killed, {workers.stopped} stopped"
    print(f"{told}, slowest stop {max(workers.stops, default=0):.1f} s")  # noqa: T201 - figures of the run

    assert duplicates == [], told
    assert {record_of(posted, voucher) for voucher in vouchers} == expected, told
    assert len(vouchers) == len(expected), told
    assert out_of_order(posted, captured, vouchers) == [], told


async def _run(session: aiohttp.ClientSession, stage: Stage, workers: Workers) -> None:
    """Send bill runs and let the accounts' mappings come one after the other, the last ones late, while workers die.

    Each goes its own way: on a busy machine an import takes seconds, in which workers must go on dying.
    """
    end = time.monotonic() + SECONDS
    accounts = await _mappings(workers.children, stage, workers.folder)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_bill(session, stage, end))
        for number in range(WORKERS):
            tasks.create_task(workers.live(number, end))
        for place, row in enumerate(accounts):
            late = (end - SECONDS) + SECONDS * place / len(accounts)
            await asyncio.sleep(max(0.0, late - time.monotonic()))
            await _import(workers.children, stage, workers.folder, row)


async def _bill(session: aiohttp.ClientSession, stage: Stage, end: float) -> None:
    while time.monotonic() < end:
        order = {"invoices": INVOICES_PER_SECOND * 2, "perSecond": INVOICES_PER_SECOND, "paymentShare": 0.4}
        async with session.post(f"{stage.zuora_url}/_sandbox/bill-run", json=order) as answer:
            await answer.read()


async def _mappings(children: Children, stage: Stage, folder: Path) -> list[tuple[str, str]]:
    """Import all that is per company; return (header, line) of each account's mapping, to come later."""
    whole = await children.run("deploy.sandbox", "mappings", "--zuora-url", stage.zuora_url, environment={})
    header, *lines = whole.strip().splitlines()
    late = [line for line in lines if line.startswith("account,")]
    first = folder / "chart.csv"
    first.write_text("\n".join([header, *(line for line in lines if line not in late)]) + "\n")
    await children.run("agents", "mappings", "import", str(first), environment=stage.environment)
    return [(header, line) for line in late]


async def _import(children: Children, stage: Stage, folder: Path, row: tuple[str, str]) -> None:
    file = folder / "account.csv"
    file.write_text("\n".join(row) + "\n")
    await children.run("agents", "mappings", "import", str(file), environment=stage.environment)


async def _expected(session: aiohttp.ClientSession, stage: Stage) -> set[str]:
    """Return the records that must be posted: posted invoices, processed electronic payments."""
    invoices = await _get(session, f"{stage.zuora_url}/_sandbox/documents?kind=Invoice")
    payments = await _get(session, f"{stage.zuora_url}/_sandbox/documents?kind=Payment")
    return {f"Invoice:{one['id']}" for one in invoices if one["status"] == "Posted"} | {
        f"Payment:{one['id']}"
        for one in payments
        if one["status"] == "Processed" and one["document"]["type"] == "Electronic"
    }


async def _caught_up(session: aiohttp.ClientSession, stage: Stage, expected: int) -> list[dict[str, Any]]:
    """Wait until IFS has as many vouchers as there should be, and no more come."""
    began, vouchers = time.monotonic(), list[dict[str, Any]]()
    while len(vouchers) < expected:
        assert time.monotonic() - began < CATCH_UP_SECONDS, f"seed {SEED}: {len(vouchers)} of {expected} vouchers"
        vouchers = await _get(session, f"{stage.ifs_url}/_sandbox/vouchers")
        await asyncio.sleep(0.2)
    return vouchers


async def _get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as answer:
        return await answer.json()


async def _log(kafka: KafkaSettings, stage: Stage) -> tuple[dict[str, VoucherPosted], list[LogRecord]]:
    """Return the vouchers told in the log by their reference, and all captured documents."""
    names = TopicNames(prefix=stage.environment["ZIFS_KAFKA__TOPIC_PREFIX"], app_id=stage.environment["ZIFS_APP_ID"])
    posted: dict[str, VoucherPosted] = {}
    captured: list[LogRecord] = []
    wanted = [names.public(topics.VOUCHER), names.public(topics.DOCUMENT)]
    async for batch in read_to_end(kafka, wanted, {}):
        for record in batch.records:
            if record.topic == wanted[0]:
                outcome = decode(VoucherPosted, record.value)
                posted[outcome.reference] = outcome
            else:
                captured.append(record)
    return posted, captured


def record_of(posted: dict[str, VoucherPosted], voucher: dict[str, Any]) -> str:
    """Return the record that a voucher of the sandbox is of."""
    return posted[voucher["header"]["VoucherText2"]].record_id


def out_of_order(
    posted: dict[str, VoucherPosted], captured: list[LogRecord], vouchers: list[dict[str, Any]]
) -> list[tuple[str, str]]:
    """Return pairs of records of one account that IFS has in another order than the log."""
    places: dict[str, int] = {}
    for record in sorted(captured, key=lambda record: (record.partition, record.offset)):
        places.setdefault(decode(DocumentCaptured, record.value).record_id, record.offset)
    by_account: defaultdict[str, list[str]] = defaultdict(list)
    for voucher in vouchers:
        outcome = posted[voucher["header"]["VoucherText2"]]
        by_account[outcome.account_id].append(outcome.record_id)
    return [
        (before, after)
        for records in by_account.values()
        for before, after in pairwise(records)
        if places[before] > places[after]
    ]

# ruff: noqa: T201 - it prints its figures
"""How fast the bookkeeper is, what it remembers costs, and how quickly a worker is back.

    python -m tests.benchmarks.bench_worker [--documents 20000] [--held 10000] [--records 100000]

Starts a broker of its own unless ZIFS_KAFKA__BOOTSTRAP_SERVERS is set. Figures depend on the machine; compare them
within one run.
"""

import argparse
import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psutil

from schemas import topics
from schemas.base import DocumentType, Model
from schemas.envelope import Envelope, encode, event_id
from schemas.mappings import AccountMappingSet, ChartRuleSet
from schemas.notifications import DocumentCaptured
from schemas.topics import TopicNames
from streams.log.producer import LogProducer
from streams.log.reader import log_bounds
from streams.log.topics import apply_topics
from streams.settings import KafkaSettings
from tests.support.brokers import given_or_own_broker

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNTS = 1_000
PARTITIONS = 4
TIMEOUT_SECONDS = 600


class Bench:
    """A topic prefix of its own, a producer, and a worker that runs the bookkeeper alone."""

    def __init__(self, servers: str, folder: Path) -> None:
        prefix = f"bench-{uuid.uuid4().hex[:6]}-"
        self.kafka = KafkaSettings(
            bootstrap_servers=servers, partitions=PARTITIONS, replication_factor=1, topic_prefix=prefix
        )
        self.names = TopicNames(prefix=prefix, app_id="bench")
        self.folder = folder
        self.producer = LogProducer(self.kafka, client_id="bench")
        self.worker: subprocess.Popen[bytes] | None = None

    def start_worker(self) -> None:
        """Start the bookkeeper as its users do."""
        environment = os.environ | {
            "ZIFS_APP_ID": "bench",
            "ZIFS_DATA_DIR": str(self.folder),
            "ZIFS_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers or "",
            "ZIFS_KAFKA__PARTITIONS": str(PARTITIONS),
            "ZIFS_KAFKA__REPLICATION_FACTOR": "1",
            "ZIFS_KAFKA__TOPIC_PREFIX": self.kafka.topic_prefix,
            "ZIFS_WORKER__HOST": "127.0.0.1",
            "ZIFS_WORKER__PORT": "0",
        }
        command = [sys.executable, "-m", "agents", "worker", "--agents", "bookkeeper"]
        with (self.folder / "worker.log").open("ab") as log:
            self.worker = subprocess.Popen(command, env=environment, stderr=log, stdout=log)

    def stop_worker(self) -> None:
        """Stop it and wait."""
        if self.worker is not None:
            self.worker.terminate()
            self.worker.wait(30)

    def resident_mb(self) -> float:
        """Return what the worker holds in memory, in MB."""
        assert self.worker is not None
        return float(psutil.Process(self.worker.pid).memory_info().rss) / 1e6

    def cpu_seconds(self) -> float:
        """Return how long the worker has computed; unlike the clock it does not count what others do on the machine."""
        assert self.worker is not None
        times = psutil.Process(self.worker.pid).cpu_times()
        return float(times.user + times.system)

    async def say(self, topic: str, key: str, event: Model) -> None:
        """Append an event."""
        value = encode(event)
        headers = Envelope(event_id(topic, repr(value)), type(event).__name__, "/bench", key, NOW).headers()
        await self.producer.send(self.names.public(topic), key=key.encode(), value=value, headers=headers)

    async def count(self, topic: str) -> int:
        """Return how many records a topic has."""
        bounds = await log_bounds(self.kafka, [topic])
        return sum(bounds.end.values())

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> float:
        """Wait for a condition; return the seconds that it took."""
        began = time.monotonic()
        while not await condition():
            if self.worker is None or self.worker.poll() is not None:
                sys.exit(f"the worker ended: {(self.folder / 'worker.log').read_text()[-2000:]}")
            if time.monotonic() - began > TIMEOUT_SECONDS:
                sys.exit("it takes too long")
            await asyncio.sleep(0.5)  # counting asks the broker; oftener would be measured too
        return time.monotonic() - began

    async def commands(self, at_least: int) -> float:
        """Wait until so many commands were sent."""

        async def reached() -> bool:
            return await self.count(self.names.public(topics.VOUCHER_COMMAND)) >= at_least

        return await self.until(reached)

    async def audited(self, at_least: int) -> float:
        """Wait until so many steps were told."""

        async def reached() -> bool:
            return await self.count(self.names.public(topics.AUDIT)) >= at_least

        return await self.until(reached)


def invoice(number: int, account: str) -> DocumentCaptured:
    """Return an invoice of four lines, about 2 KB."""
    items = [
        {
            "id": f"{number:08x}-{line}",
            "chargeAmount": "250.00",
            "sku": f"SKU-{line}",
            "productName": "Analytics Cloud",
            "chargeName": "Analytics Cloud - annual fee",
            "chargeType": "Recurring",
            "processingType": "Charge",
            "accountingCode": "3010 Subscription Revenue",
            "taxAmount": "62.50",
            "taxCode": "VAT25",
            "taxationItems": {"data": [{"id": f"t{number}-{line}", "taxCode": "VAT25", "taxAmount": "62.50"}]},
        }
        for line in range(4)
    ]
    name = f"{number:032x}"
    return DocumentCaptured(
        record_id=f"Invoice:{name}",
        document_type=DocumentType.INVOICE,
        document_id=name,
        document_number=f"INV{number:08}",
        account_id=account,
        account_number=account.upper(),
        account_name="Nordic Example AB",
        currency="EUR",
        amount=Decimal("1250.00"),
        received_at=NOW,
        fetched_at=NOW,
        document={
            "id": name,
            "invoiceNumber": f"INV{number:08}",
            "accountId": account,
            "status": "Posted",
            "invoiceDate": "2026-03-01",
            "currency": "EUR",
            "amount": "1250.00",
            "taxAmount": "250.00",
            "items": items,
        },
    )


def chart() -> list[ChartRuleSet]:
    """Return the rules that the invoices need, all but the tax."""
    return [
        ChartRuleSet(
            company="10",
            kind="product",
            match_on="sku",
            match_value=f"SKU-{line}",
            gl_account="3010",
            actor="b",
            at=NOW,
        )
        for line in range(4)
    ]


def tax() -> ChartRuleSet:
    """Return the tax rule."""
    return ChartRuleSet(company="10", kind="tax", match_value="VAT25", gl_account="2610", actor="b", at=NOW)


async def run(bench: Bench, documents: int, held: int, records: int) -> None:
    """Measure, one thing after the other, on one set of topics."""
    commands = bench.names.public(topics.VOUCHER_COMMAND)
    await apply_topics(bench.kafka, bench.names)
    await bench.producer.start()
    for number in range(ACCOUNTS):
        mapping = AccountMappingSet(account_id=f"a{number}", company="10", gl_account="1510", actor="b", at=NOW)
        await bench.say(topics.MAPPING, f"a{number}", mapping)
    for rule in chart():
        await bench.say(topics.MAPPING, "10", rule)
    await _documents(bench, 0, held)
    bench.start_worker()
    await bench.audited(held)
    full = bench.resident_mb()
    print(f"{held:,} held records: {full:.0f} MB resident")
    await bench.say(topics.MAPPING, "10", tax())
    await bench.producer.flush(30)
    computed = bench.cpu_seconds()
    seconds = await bench.commands(held)
    each = (bench.cpu_seconds() - computed) / held * 1e6
    print(f"release of {held:,} held records: {seconds:.1f} s, {held / seconds:,.0f}/s, {each:,.0f} µs of CPU each")
    bench.stop_worker()
    await _documents(bench, held, held + documents)
    bench.start_worker()
    await bench.commands(held + 1)
    computed, left = bench.cpu_seconds(), held + documents - await bench.count(commands)
    seconds = await bench.commands(held + documents)
    each = (bench.cpu_seconds() - computed) / left * 1e6
    print(f"documents: {left / seconds:,.0f}/s ({left:,} in {seconds:.1f} s), {each:,.0f} µs of CPU each")
    reached = held + documents
    if records > reached:
        await _documents(bench, reached, records)
        await bench.commands(records)
        print(f"{records:,} records known: {bench.resident_mb():.0f} MB resident")
    bench.stop_worker()
    bench.start_worker()
    began = time.monotonic()
    await _documents(bench, records, records + 1)
    await bench.commands(max(records, reached) + 1)
    print(f"restart with {max(records, reached):,} records to the next command: {time.monotonic() - began:.1f} s")
    bench.stop_worker()
    await bench.producer.stop()


async def _documents(bench: Bench, first: int, end: int) -> None:
    for number in range(first, end):
        account = f"a{number % ACCOUNTS}"
        await bench.say(topics.DOCUMENT, account, invoice(number, account))
    await bench.producer.flush(60)


def main() -> None:
    """Read the sizes and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--held", type=int, default=10_000)
    parser.add_argument("--records", type=int, default=100_000)
    sizes = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # new topics have no leader for a moment
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zifs-bench-")))
        servers = stack.enter_context(given_or_own_broker())
        bench = Bench(servers, folder)
        stack.callback(bench.stop_worker)
        asyncio.run(run(bench, sizes.documents, sizes.held, sizes.records))


if __name__ == "__main__":
    main()

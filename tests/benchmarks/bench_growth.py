# ruff: noqa: T201 - it prints its figures
"""How quickly a worker with all three agents is back when it knows a million records, and what it takes.

    python -m tests.benchmarks.bench_growth [--records 1000000] [--held 100000] [--keep FOLDER]

The tables' changelogs are filled as years of work would have left them, then the worker is started: without its
volume, with what it left there, and after a kill (the session time-out of 12 s comes on top). Starts a broker of its
own unless ZIFS_KAFKA__BOOTSTRAP_SERVERS is set. Filling takes longest: with --keep what it wrote stays in a folder, and
the next run with the same folder only starts workers. Figures depend on the machine; compare them within one run.
"""

import argparse
import asyncio
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import aiohttp
import psutil

from agents.bookkeeper.rows import BUILT, held_row, row_name
from agents.collector.object_state import ObjectState
from agents.poster.state import PostedOutcome, RecordEntry, command_key, record_key, written
from deploy.kafka.ports import free_port
from schemas.base import Status
from schemas.topics import TopicNames
from schemas.vouchers import KnownRate, VoucherNumber
from streams.accounting.decisions import Held
from streams.accounting.documents import read_document
from streams.accounting.ledger_document import summarised
from streams.accounting.record_state import RecordState, Standing, beginning_of
from streams.log.partitions import partition_of
from streams.log.producer import LogProducer
from streams.log.topics import apply_topics
from streams.settings import KafkaSettings
from tests.benchmarks.bench_worker import invoice
from tests.support.brokers import KafkaProcess, given_or_own_broker

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNTS = 100_000
PARTITIONS = 12
EPOCH = (("epoch", b"1"),)


def digest(text: str) -> str:
    """Return what ids of events and commands look like."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def posted_record(number: int) -> tuple[str, bytes]:
    """Return the bookkeeper's row of a record that is posted."""
    record, account, reference = f"Invoice:{number:032x}", account_of(number), reference_of(number)
    state = RecordState(
        status=Status.POSTED,
        account_id=account,
        received_at="2026-03-01T12:00:00.123456Z",
        updated_at="2026-03-01T12:00:03.123456Z",
        document_number=f"INV{number:08}",
        account_number=f"A{number % ACCOUNTS:08}",
        account_name="Nordic Example AB",
        currency="EUR",
        amount="1250.00",
        company="10",
        document_offset=number,
        document_event=digest(f"document {number}"),
        fingerprint=digest(f"fingerprint {number}"),
        updated_date="2026-03-01T12:00:00.000+01:00",
        sent_fingerprint=digest(f"fingerprint {number}"),
        posted_fingerprint=digest(f"fingerprint {number}"),
        last_command=beginning_of(digest(f"command {number}")),
        reference=reference,
        standing=(Standing(number, reference),),
        rate=("EUR", "1", "1", False),
        vouchers=(voucher(number).model_dump(by_alias=True),),
    )
    return row_name(account, record), state.to_json()


def held_record(number: int) -> tuple[str, bytes]:
    """Return the bookkeeper's row of a record that waits for a tax code."""
    account = account_of(number)
    document = summarised(read_document(invoice(number, account)))
    held = Held(number, number, digest(f"document {number}"), ("10/tax/VAT25",), (), document)
    return row_name(account, f"Invoice:{number:032x}"), held_row(held, account)


def known_object(number: int) -> tuple[str, bytes]:
    """Return the collector's row of an invoice that was captured."""
    account = account_of(number)
    state = ObjectState(
        seen=(digest(f"notification {number}")[:16],),
        status=Status.FETCHED,
        captured=True,
        number=f"INV{number:08}",
        first_account=account,
        last_account=account,
        updated_date="2026-03-01T12:00:00.000+01:00",
        shown_at=1_772_332_267,
    )
    return f"Invoice:{number:032x}", state.write()


def done_command(number: int) -> tuple[str, bytes]:
    """Return the poster's row of a command that is done."""
    rate = KnownRate(company_currency="EUR", rate=Decimal(1), conversion_factor=Decimal(1))
    outcome = PostedOutcome(number=voucher(number), rate=rate, at=NOW)
    return command_key(digest(f"command {number}")), written(outcome)


def known_record(number: int) -> tuple[str, bytes]:
    """Return the poster's row of a record whose voucher stands."""
    entry = RecordEntry(standing=(reference_of(number),), last=beginning_of(digest(f"command {number}")))
    return record_key(f"Invoice:{number:032x}"), written(entry)


def voucher(number: int) -> VoucherNumber:
    """Return the number of a voucher."""
    return VoucherNumber(company="10", voucher_type="M", accounting_year=2026, voucher_no=number + 1)


def reference_of(number: int) -> str:
    """Return the reference of a record's voucher, as long as one is."""
    return f"INV{number:08}-{digest(str(number))[:20].upper()}"


def account_of(number: int) -> str:
    """Return the account of a record, as long as Zuora's ids are."""
    return f"{number % ACCOUNTS:032x}"


class Bench:
    """Topics of its own, their changelogs filled, and a worker with all agents."""

    def __init__(self, servers: str, folder: Path, topic_prefix: str) -> None:
        self.kafka = KafkaSettings(
            bootstrap_servers=servers,
            partitions=PARTITIONS,
            replication_factor=1,
            topic_prefix=topic_prefix,
        )
        self.names = TopicNames(prefix=self.kafka.topic_prefix, app_id="bench")
        self.folder = folder
        self.port = free_port("127.0.0.1")
        self.worker: subprocess.Popen[bytes] | None = None

    async def fill(self, records: int, held: int) -> None:
        """Write the changelogs as the agents would have."""
        await apply_topics(self.kafka, self.names)
        producer = LogProducer(self.kafka, client_id="bench")
        await producer.start()
        releases = self.names.changelog("bookkeeper", "releases")
        for partition in range(PARTITIONS):
            await producer.send(releases, key=BUILT.encode(), value=b"1", headers=EPOCH, partition=partition)
        for number in range(records + held):
            for agent, table, partition, (key, value) in rows(number, is_held=number >= records):
                topic = self.names.changelog(agent, table)
                await producer.send(topic, key=key.encode(), value=value, headers=EPOCH, partition=partition)
        await producer.flush(300)
        await producer.stop()

    def start(self, volume: Path) -> None:
        """Start a worker with all agents on a volume."""
        environment = os.environ | {
            "ZIFS_APP_ID": "bench",
            "ZIFS_DATA_DIR": str(volume),
            "ZIFS_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers or "",
            "ZIFS_KAFKA__PARTITIONS": str(PARTITIONS),
            "ZIFS_KAFKA__REPLICATION_FACTOR": "1",
            "ZIFS_KAFKA__TOPIC_PREFIX": self.kafka.topic_prefix,
            "ZIFS_WORKER__HOST": "127.0.0.1",
            "ZIFS_WORKER__PORT": str(self.port),
            # Nothing is fetched or posted here: no notification and no command comes.
            "ZIFS_ZUORA__BASE_URL": "http://127.0.0.1:1",
            "ZIFS_ZUORA__CLIENT_ID": "bench",
            "ZIFS_ZUORA__CLIENT_SECRET": "bench",
            "ZIFS_IFS__BASE_URL": "http://127.0.0.1:1",
            "ZIFS_IFS__REALM": "bench",
            "ZIFS_IFS__CLIENT_ID": "bench",
            "ZIFS_IFS__CLIENT_SECRET": "bench",
        }
        with (self.folder / "worker.log").open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "agents", "worker"], env=environment, stderr=log, stdout=log
            )

    async def ready(self) -> float:
        """Wait until all agents have their partitions; return the seconds since now."""
        began = time.monotonic()
        async with aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                if self.worker is None or self.worker.poll() is not None:
                    sys.exit(f"the worker ended: {(self.folder / 'worker.log').read_text()[-2000:]}")
                await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def figures(self) -> str:
        """Return what the worker holds in memory now, the most it ever did, and what it has computed."""
        assert self.worker is not None
        process = psutil.Process(self.worker.pid)
        times, held = process.cpu_times(), process.memory_info().rss / 1e6
        most = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.worker.pid}/status").read_text())
        at_most = f" ({int(most[1]) * 1024 / 1e6:,.0f} at most)" if most else ""
        return f"{held:,.0f} MB resident{at_most}, {times.user + times.system:.1f} s of CPU"

    def stop(self) -> float:
        """Stop it; return the seconds that it took."""
        began = time.monotonic()
        if self.worker is not None:
            self.worker.terminate()
            self.worker.wait(60)
        return time.monotonic() - began

    def kill(self) -> None:
        """End it as a machine that fails would."""
        assert self.worker is not None
        self.worker.kill()
        self.worker.wait(60)


def rows(number: int, *, is_held: bool) -> list[tuple[str, str, int, tuple[str, bytes]]]:
    """Return agent, table, partition and row of all that is remembered of a record."""
    by_account = partition_of(account_of(number).encode(), PARTITIONS)
    by_object = partition_of(f"{number:032x}".encode(), PARTITIONS)
    kept = [
        ("collector", "objects", by_object, known_object(number)),
        ("bookkeeper", "records", by_account, posted_record(number)),
    ]
    if is_held:
        return [*kept, ("bookkeeper", "held", by_account, held_record(number))]
    return [*kept, ("poster", "commands", 0, done_command(number)), ("poster", "commands", 0, known_record(number))]


async def fill(bench: Bench, records: int, held: int) -> None:
    """Fill the changelogs, unless an earlier run has left them so."""
    filled = bench.folder / "filled"
    told = f"{records:,} finished and {held:,} held records"
    if filled.exists():
        if filled.read_text() != told:
            sys.exit(f"{bench.folder} has {filled.read_text()}: take another folder")
        return
    each = [sum(len(key) + len(value) for _, _, _, (key, value) in rows(7, is_held=waits)) for waits in (False, True)]
    print(f"kept of a finished record, in all tables: {each[0]:,} bytes with keys; of a held one: {each[1]:,}")
    began = time.monotonic()
    await bench.fill(records, held)
    filled.write_text(told)
    print(f"changelogs of {told} written in {time.monotonic() - began:.0f} s")


async def measure(bench: Bench) -> None:
    """Measure, one start after the other."""
    volume = bench.folder / "volume"
    shutil.rmtree(volume, ignore_errors=True)
    for told, end in (("without its volume", bench.stop), ("with it", bench.kill), ("after a kill", bench.stop)):
        bench.start(volume)
        seconds = await bench.ready()
        print(f"{told}: back in {seconds:.1f} s, {bench.figures()}")
        end()
    size = sum(file.stat().st_size for file in volume.rglob("*") if file.is_file())
    print(f"volume: {size / 1e6:,.0f} MB")


def main() -> None:
    """Read the sizes and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--held", type=int, default=100_000)
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the filled broker there, or use what is there"
    )
    wanted = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # new topics have no leader for a moment
    with ExitStack() as stack:
        if wanted.keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zifs-bench-")))
            bench = Bench(stack.enter_context(given_or_own_broker()), folder, f"bench-{uuid.uuid4().hex[:6]}-")
        else:
            wanted.keep.mkdir(parents=True, exist_ok=True)
            broker = KafkaProcess(wanted.keep / "kafka").start()
            stack.callback(broker.stop)
            bench = Bench(broker.bootstrap_servers, wanted.keep, "bench-")
        stack.callback(bench.stop)
        asyncio.run(fill(bench, wanted.records, wanted.held))
        asyncio.run(measure(bench))


if __name__ == "__main__":
    main()

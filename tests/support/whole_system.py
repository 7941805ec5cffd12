"""Everything at once: a real Kafka, both sandboxes, ingress and worker, each a process of its own."""

import asyncio
import csv
import io
import json
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from agents.demo.children import Children
from agents.demo.setting import Stage, prepare
from schemas.base import utc_now
from schemas.requests import CorrectionRequested
from schemas.topics import AUDIT, VOUCHER, VOUCHER_COMMAND, TopicNames
from streams.log.reader import log_bounds, read_to_end
from streams.log.sending import send_all
from streams.log.topics import admin_client
from streams.requests import request_message
from streams.settings import KafkaSettings
from tests.support.expected_ledger import Net, booked
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
REQUESTS_PER_MINUTE = 100_000
"""Of the IFS sandbox and the poster: the limit is not what is tested here."""
CUSTOM_EVENTS = (
    "InvoiceUnposted",
    "InvoiceCanceled",
    "InvoiceUpdated",
    "PaymentApplied",
    "PaymentUnapplied",
    "PaymentTransferred",
    "PaymentCanceled",
    "PaymentRefunded",
    "InvoiceItemAdjustmentCreated",
)
"""Zuora tells of these where the tenant defines events for them."""

AGENTS = ("collector", "bookkeeper", "poster")

Rows = list[dict[str, str]]
"""Mappings, as rows of the CSV."""


@dataclass
class System:
    """The running processes, and what people do with them."""

    children: Children
    stage: Stage
    kafka: KafkaSettings
    folder: Path
    http: aiohttp.ClientSession
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    """Ingress and worker, by these names."""

    async def start(self, role: str) -> None:
        """Start a process with the settings of the stage, and return once it can do its work."""
        urls = {"ingress": self.stage.ingress_url, "worker": self.stage.worker_url}
        process = await self.children.start(role, "agents", role, environment=self.stage.environment)
        self.processes[role] = process
        await self.children.ready(role, process, urls[role])

    async def stop(self, role: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End a process, and return once it has ended."""
        process = self.processes.pop(role)
        self.children.forget(process)
        process.send_signal(how)
        async with asyncio.timeout(60):
            await process.wait()

    @property
    def names(self) -> TopicNames:
        """The names of its topics."""
        environment = self.stage.environment
        return TopicNames(prefix=environment["ZIFS_KAFKA__TOPIC_PREFIX"], app_id=environment["ZIFS_APP_ID"])

    async def zuora(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the Zuora sandbox for something, or with a body have it do something; amounts are exact."""
        return await self._ask(f"{self.stage.zuora_url}/_sandbox/{path}", body)

    async def ifs(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the IFS sandbox for something, or with a body have it do something; amounts are exact."""
        return await self._ask(f"{self.stage.ifs_url}/_sandbox/{path}", body)

    async def _ask(self, url: str, body: dict[str, Any] | None) -> Any:
        method = "GET" if body is None else "POST"
        data = None if body is None else json.dumps(body, default=str)
        async with self.http.request(method, url, data=data) as answer:
            text = await answer.text()
            assert answer.ok, f"{method} {url} {data}: {text}"
            return json.loads(text, parse_float=Decimal, parse_int=Decimal)

    async def zuora_ifs(self, *words: str) -> str:
        """Run a command to its end and return what it printed."""
        return await self.children.run("agents", *words, environment=self.stage.environment)

    async def import_mappings(self, rows: Rows) -> None:
        """Have mappings imported, as finance does."""
        file = self.folder / "mappings.csv"
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with file.open("w", newline="") as target:
            writer = csv.DictWriter(target, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        await self.zuora_ifs("mappings", "import", str(file))

    async def default_mappings(self) -> Rows:
        """Return the mappings that fit the sandbox's accounts, products and taxes."""
        words = ("deploy.sandbox", "mappings", "--zuora-url", self.stage.zuora_url)
        return list(csv.DictReader(io.StringIO(await self.children.run(*words, environment={}))))

    async def documents(self) -> list[dict[str, Any]]:
        """Return all documents of the Zuora sandbox, as they are now."""
        return [one for one in await self.zuora("documents") if one["kind"] != "Account"]

    async def records(self) -> dict[str, dict[str, Any]]:
        """Return the last step of every record by its document's number, from the log itself, repeats left out."""
        found: dict[str, dict[str, Any]] = {}
        places: dict[str, tuple[int, int]] = {}
        seen = set[str | None]()
        async for batch in read_to_end(self.kafka, [self.names.public(AUDIT)], {}):
            for record in batch.records:
                if record.event_id in seen:
                    continue
                seen.add(record.event_id)
                told = json.loads(record.value or b"{}")
                number, place = told.get("documentNumber") or told["id"], (record.partition, record.offset)
                if place > places.get(number, (-1, -1)):
                    found[number], places[number] = told, place
        return found

    async def correct(self, numbers: Sequence[str], dated: str | None = None) -> None:
        """Append the word of a person who has looked at these documents just now: correct them."""
        records = await self.records()
        wishes = [
            CorrectionRequested(
                record_id=told["id"],
                account_id=told["accountId"],
                actor="eva",
                at=utc_now(),
                reason="as Zuora has it",
                date=date.fromisoformat(dated) if dated else None,
                posted_fingerprint=told["postedFingerprint"],
                document_fingerprint=told["documentFingerprint"],
            )
            for told in (records[number] for number in numbers)
            if told["postedFingerprint"]  # else an earlier word has it reversed by now
        ]
        messages = [request_message(self.names, wish, "test") for wish in wishes]
        await send_all(self.kafka, messages, client_id="test")

    async def callouts_delivered(self) -> None:
        """Wait until ingress has taken all that Zuora told."""
        report = await eventually(lambda: self.zuora("callouts"), lambda now: now["pending"] == 0, seconds=180)
        assert report["givenUp"] == report["dropped"] == report["suppressed"] == 0

    async def statuses_are(self, expected: dict[str, set[str]], seconds: float = 90) -> None:
        """Wait until each of these documents, by number, is in one of its statuses, and nothing is on its way."""
        deadline = time.monotonic() + seconds
        while left := await self._not_yet(expected):
            self.children.check()
            shown = dict(list(left.items())[:5])
            assert time.monotonic() < deadline, f"after {seconds} s {len(left)} are not there: {shown}"
            await asyncio.sleep(0.3)

    async def says(self, number: str, status: str, reason: str) -> None:
        """Wait until a document's record is in a status, with these words in the reason."""

        def is_so(now: dict[str, dict[str, Any]]) -> bool:
            return now[number]["status"] == status and reason in (now[number].get("reason") or "")

        await eventually(self.records, is_so)

    async def _not_yet(self, expected: dict[str, set[str]]) -> dict[str, Any]:
        now = await self.records()
        left: dict[str, Any] = {
            number: (told and told["status"], told and told.get("reason"), wanted)
            for number, wanted in expected.items()
            if (told := now.get(number)) is None or told["status"] not in wanted
        }
        commands, outcomes = await self.count(VOUCHER_COMMAND), await self.count(VOUCHER)
        return left if left or commands == outcomes else {"commands without an answer": commands - outcomes}

    async def vouchers_of(self, nets: dict[str, Net], seconds: float = 60) -> list[dict[str, Any]]:
        """Return all vouchers once those of each document, by number, come to what they should; else after a while."""
        deadline = time.monotonic() + seconds
        while True:
            vouchers: list[dict[str, Any]] = await self.ifs("vouchers")
            own = by_document(vouchers)
            if all(booked(own.get(number, ())) == net for number, net in nets.items()) and await self.is_quiet():
                return vouchers
            if time.monotonic() > deadline:
                return vouchers
            await asyncio.sleep(0.3)

    async def is_quiet(self) -> bool:
        """Tell whether every agent has done with all that lies in the topics it reads."""
        app_id = self.stage.environment["ZIFS_APP_ID"]
        async with admin_client(self.kafka) as admin:
            groups = [await admin.list_consumer_group_offsets(f"{app_id}-{agent}") for agent in AGENTS]
        committed = {place: one.offset for group in groups for place, one in group.items()}
        bounds = await log_bounds(self.kafka, sorted({place.topic for place in committed}))
        left = [
            place for place, offset in committed.items() if bounds.end[place.topic, place.partition] > max(offset, 0)
        ]
        return bool(committed) and not left

    async def count(self, topic: str) -> int:
        """Return how many records a topic has."""
        bounds = await log_bounds(self.kafka, [self.names.public(topic)])
        return sum(bounds.end.values())


@asynccontextmanager
async def whole_system(servers: str, folder: Path) -> AsyncIterator[System]:
    """Start everything, and end it."""
    children = Children(folder / "logs", ROOT)
    kafka = KafkaSettings(bootstrap_servers=servers, replication_factor=1, partitions=4)
    try:
        stage = await prepare(children, folder, kafka, accounts=0)
        limit = str(REQUESTS_PER_MINUTE)
        stage.environment["ZIFS_IFS__REQUESTS_PER_MINUTE"] = limit
        urls = {"ingress": stage.ingress_url, "worker": stage.worker_url}
        started = {role: await children.start(role, "agents", role, environment=stage.environment) for role in urls}
        async with aiohttp.ClientSession() as http:
            own = kafka.model_copy(update={"topic_prefix": stage.environment["ZIFS_KAFKA__TOPIC_PREFIX"]})
            system = System(children, stage, own, folder, http, started)
            await system.ifs("settings", {"requestsPerMinute": REQUESTS_PER_MINUTE})
            await system.zuora("callouts", {"customEvents": list(CUSTOM_EVENTS), "calloutPreemptive": True})
            for role, process in started.items():
                await children.ready(role, process, urls[role])
            yield system
    finally:
        await children.stop()


def by_document(vouchers: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return vouchers by the number of their document, which their reference begins with."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for voucher in vouchers:
        ended = voucher["header"]["VoucherText2"].removesuffix("-R").removesuffix("-A")
        found[ended.rpartition("-")[0]].append(voucher)
    return found

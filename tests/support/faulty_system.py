"""A whole system that is kept running through faults, a caller that notes every answer, and brokers that suffer."""

import asyncio
import hashlib
import hmac
import json
import resource
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from agents.demo.children import Children
from agents.demo.setting import prepare
from schemas.envelope import event_id
from schemas.errors import LogError
from schemas.topics import NOTIFICATION
from streams.log.reader import read_to_end
from streams.settings import KafkaSettings
from tests.support.brokers import KafkaProcess
from tests.support.chaos_processes import Kept, Orchestrator
from tests.support.waiting import eventually
from tests.support.whole_system import REQUESTS_PER_MINUTE, ROOT, System

CALLOUTS = {"calloutPreemptive": True, "calloutAttempts": 1_000, "calloutRetrySeconds": 1}
"""Zuora gives up after three attempts: what it never told is not what is tested."""
ACCOUNTS = 4
CALL_EVERY_SECONDS = 0.25
POSTED = frozenset({"posted"})


@dataclass
class Call:
    """One callout of our own and its answer; status 0 where nobody answered."""

    event_id: str
    began: float
    status: int
    seconds: float
    retry_after: str | None


@dataclass
class Caller:
    """Calls the webhook four times a second, whatever comes back, always about a document that is known."""

    system: System
    object_id: str
    calls: list[Call] = field(default_factory=list)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def calling(self) -> AsyncIterator["Caller"]:
        """Call until the block ends, and wait for all answers."""
        going_on = asyncio.create_task(self._go_on())
        try:
            yield self
        finally:
            going_on.cancel()
            await asyncio.wait({going_on, *self._running})

    async def _go_on(self) -> None:
        while True:
            task = asyncio.create_task(self._call())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await asyncio.sleep(CALL_EVERY_SECONDS)

    async def _call(self) -> None:
        environment = self.system.stage.environment
        notification, began = uuid.uuid4().hex, time.monotonic()
        body = json.dumps({"event": "InvoicePosted", "InvoiceId": self.object_id}).encode()
        secret = environment["ZIFS_INGRESS__HMAC_SECRET"].encode()
        headers = {
            "Content-Type": "application/json",
            "Zuora-Notification-Id": notification,
            "Authorization": aiohttp.encode_basic_auth(
                environment["ZIFS_INGRESS__BASIC_USERNAME"], environment["ZIFS_INGRESS__BASIC_PASSWORD"]
            ),
            "X-Zuora-Signature": hmac.new(secret, body, hashlib.sha256).hexdigest(),
        }
        status, retry_after = 0, None
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self.system.http.post(
                f"{self.system.stage.ingress_url}/webhooks/zuora",
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(25),  # as long as Zuora waits
            ) as answer:
                status, retry_after = answer.status, answer.headers.get("Retry-After")
        name = event_id("zuora-notification", notification)
        self.calls.append(Call(name, began, status, time.monotonic() - began, retry_after))

    async def answered(self, status: int, *, since: float, seconds: float) -> Call:
        """Wait for an answer with this status to a call that began after `since`."""

        async def found() -> Call | None:
            return next((one for one in self.calls if one.status == status and one.began >= since), None)

        call = await eventually(found, seconds=seconds)
        assert call is not None
        return call

    async def missing_in_the_log(self) -> set[str]:
        """Return the callouts that were answered 200 and are not in the log."""
        told: set[str] = set()
        async for batch in read_to_end(self.system.kafka, [self.system.names.public(NOTIFICATION)], {}):
            told |= {record.headers["ce_id"].decode() for record in batch.records}
        return {one.event_id for one in self.calls if one.status == 200} - told


@dataclass
class Faulty:
    """The system, who keeps its processes running, and its broker."""

    system: System
    processes: Orchestrator
    keeping: "asyncio.Task[None]"
    known: str
    """The id of a document that is posted."""

    async def bill(self, invoices: int) -> None:
        """Have Zuora post so many invoices, of the accounts that are mapped."""
        await self.system.zuora("bill-run", {"invoices": invoices})

    async def all_posted_once(self, seconds: float) -> None:
        """Wait until every document is posted; then none may be in IFS twice, and nobody ended as nobody may."""
        expected = {one["number"]: set(POSTED) for one in await self.system.documents()}
        waiting = asyncio.create_task(self.statuses_are(expected, seconds))
        await asyncio.wait({waiting, self.keeping}, return_when=asyncio.FIRST_COMPLETED)
        if self.keeping.done():
            waiting.cancel()
            self.keeping.result()
        await waiting
        vouchers = await self.system.ifs("vouchers")
        assert await self.system.ifs("duplicates") == []
        assert len(vouchers) == len(expected)
        assert self.processes.tracebacks() == []

    async def statuses_are(self, expected: dict[str, set[str]], seconds: float) -> None:
        """Wait until each of these documents, by number, is in one of its statuses.

        Events may be told twice after a worker has ended, so nothing is counted here.
        """
        deadline = time.monotonic() + seconds
        while left := await self._not_yet(expected):
            assert time.monotonic() < deadline, f"after {seconds:g} s {len(left)} are not there: {left[:5]}"
            await asyncio.sleep(0.3)

    async def _not_yet(self, expected: dict[str, set[str]]) -> list[str]:
        try:
            records = await self.system.records()
        except LogError as error:  # a broker that has just come back is not there for everybody at once
            return [str(error)]
        now = {number: records.get(number, {}).get("status") for number in expected}
        return [f"{number} is {now[number]}" for number, wanted in expected.items() if now[number] not in wanted]

    async def readiness(self, role: str) -> tuple[int, list[str]]:
        """Return status and reasons of a process's readiness; 0 where nobody answers."""
        url = self.system.stage.ingress_url if role == "ingress" else self.system.stage.worker_url
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self.system.http.get(f"{url}/readyz", timeout=aiohttp.ClientTimeout(5)) as answer:
                told: dict[str, Any] = await answer.json()
                return answer.status, told.get("reasons", [])
        return 0, []

    async def ready(self, role: str, *, seconds: float = 40) -> None:
        """Wait until a process says that it can do its work."""
        await eventually(lambda: self.readiness(role), lambda now: now[0] == 200, seconds=seconds)

    async def not_ready(self, role: str, *, seconds: float = 40) -> tuple[int, list[str]]:
        """Wait until a process says that it cannot do its work, or is not there."""
        return await eventually(lambda: self.readiness(role), lambda now: now[0] != 200, seconds=seconds)


@asynccontextmanager
async def faulty_system(
    servers: str, folder: Path, *, replication: int = 1, settings: dict[str, str] | None = None
) -> AsyncIterator[Faulty]:
    """Start everything, have one invoice of each account posted, and keep the processes running; then end all.

    `settings` are further environment variables of ingress and worker.
    """
    children = Children(folder / "logs", ROOT)
    kafka = KafkaSettings(bootstrap_servers=servers, replication_factor=replication, partitions=4)
    try:
        stage = await prepare(children, folder, kafka, accounts=ACCOUNTS)
        stage.environment.update({"ZIFS_IFS__REQUESTS_PER_MINUTE": str(REQUESTS_PER_MINUTE), **(settings or {})})
        kept = [Kept(role, ("agents", role), stage.environment) for role in ("ingress", "worker")]
        processes = Orchestrator(children, kept)
        own = kafka.model_copy(update={"topic_prefix": stage.environment["ZIFS_KAFKA__TOPIC_PREFIX"]})
        keeping = asyncio.create_task(processes.keep_all())
        async with aiohttp.ClientSession() as http:
            system = System(children, stage, own, folder, http)
            await system.ifs("settings", {"requestsPerMinute": REQUESTS_PER_MINUTE})
            await system.zuora("callouts", CALLOUTS)
            faulty = Faulty(system, processes, keeping, "")
            await faulty.ready("worker", seconds=60)
            await faulty.ready("ingress")
            await system.import_mappings(await system.default_mappings())
            await faulty.bill(ACCOUNTS)
            await faulty.all_posted_once(60)
            faulty.known = (await system.documents())[0]["id"]
            try:
                yield faulty
            finally:
                keeping.cancel()
                await asyncio.wait({keeping})
    finally:
        with suppress(LogError):  # topics of a broker that is not there need not be removed
            await children.stop()


def fill_disk(broker: KafkaProcess) -> None:
    """Let every file that the broker writes end at 2 KiB: what a full disk is to it, at once and for certain."""
    pid = broker.kafka_pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (2_048, hard))


@asynccontextmanager
async def stuttering(broker: KafkaProcess, *, stands_seconds: float, runs_seconds: float) -> AsyncIterator[None]:
    """Let the broker stand still again and again: slow, and never quite gone."""

    async def stutter() -> None:
        while True:
            broker.pause()
            await asyncio.sleep(stands_seconds)
            broker.resume()
            await asyncio.sleep(runs_seconds)

    task = asyncio.create_task(stutter())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        broker.resume()

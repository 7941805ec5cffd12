"""What the demonstration tells: a bill run, records held for a missing mapping, released when it is added, vouchers."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from agents.demo.children import ChildError, Children
from agents.demo.setting import Stage
from schemas.base import Status

LEFT_OUT = ("account:FIRST", "tax:VAT25")
"""Mappings that are missing at first: one customer, and one tax code that many documents have."""
PAYMENT_SHARE = 0.5
"""How many of the invoices are paid by card at once."""
INVOICES_PER_SECOND = 50
STALL_SECONDS = 120
POLL_SECONDS = 0.25
MOVING = frozenset({Status.RECEIVED, Status.FETCHED, Status.READY, Status.POSTING, Status.UNCERTAIN})
"""Records in these are on their way; in all others they rest."""


@dataclass
class Progress:
    """What is known at this moment."""

    expected: int = 0
    counts: dict[Status, int] = field(default_factory=dict)
    posted_per_second: float = 0.0
    chapter: str = ""

    @property
    def known(self) -> int:
        """Records that have been received."""
        return sum(self.counts.values())

    @property
    def is_resting(self) -> bool:
        """True when every record that was announced has come to rest."""
        return self.known >= self.expected > 0 and not any(self.counts.get(status) for status in MOVING)


@dataclass(frozen=True)
class Ending:
    """What was held and why, what released it, and what is in IFS Cloud at the end."""

    missing: list[dict[str, Any]]
    held: int
    added: list[str]
    counts: dict[Status, int]
    vouchers: int
    duplicates: int
    seconds: float


class Story:
    """Tells the demonstration; `show` is called whenever there is something new to see."""

    def __init__(self, stage: Stage, children: Children, folder: Path, show: Callable[[Progress], None]) -> None:
        self._stage = stage
        self._children = children
        self._folder = folder
        self._show = show
        self.progress = Progress()

    async def tell(self, invoices: int) -> Ending:
        """Run a bill run of `invoices` through everything.

        Raises:
            ChildError: a process failed, or nothing moved for two minutes.

        """
        began = time.monotonic()
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await self._import("most mappings", "mappings-at-first.csv", LEFT_OUT)
            self._chapter("a bill run in Zuora; each posted invoice and payment calls our webhook")
            await self._bill_run(session, invoices)
            await self._rest(session)
            missing = await self._missing()
            held = self.progress.counts.get(Status.MAPPING_MISSING, 0)
            before = (self._folder / "mappings-at-first.csv").read_text().splitlines()
            await self._import("the missing mappings", "mappings-complete.csv", ())
            added = [
                line for line in (self._folder / "mappings-complete.csv").read_text().splitlines() if line not in before
            ]
            self._chapter("what was held is released by itself, in order")
            await self._rest(session, at_least_posted=held)
            vouchers = await self._get(session, f"{self._stage.ifs_url}/_sandbox/vouchers")
            duplicates = await self._get(session, f"{self._stage.ifs_url}/_sandbox/duplicates")
        seconds = time.monotonic() - began
        return Ending(missing, held, added, self.progress.counts, len(vouchers), len(duplicates), seconds)

    def _chapter(self, text: str) -> None:
        self.progress.chapter = text
        self._show(self.progress)

    async def _import(self, what: str, name: str, left_out: tuple[str, ...]) -> None:
        """Write the mapping file that fits the sandbox's customers and import it as a person does."""
        self._chapter(f"zuora-ifs mappings import {name}: {what}")
        arguments = ["--zuora-url", self._stage.zuora_url, "--output", str(self._folder / name)]
        arguments += [word for key in left_out for word in ("--leave-out", key)]
        await self._children.run("deploy.sandbox", "mappings", *arguments, environment={})
        command = ("agents", "mappings", "import", str(self._folder / name))
        await self._children.run(*command, environment=self._stage.environment)

    async def _bill_run(self, session: aiohttp.ClientSession, invoices: int) -> None:
        order = {"invoices": invoices, "perSecond": INVOICES_PER_SECOND, "paymentShare": PAYMENT_SHARE}
        patience = aiohttp.ClientTimeout(total=invoices / INVOICES_PER_SECOND + STALL_SECONDS)

        async def send() -> None:
            async with session.post(
                f"{self._stage.zuora_url}/_sandbox/bill-run", json=order, timeout=patience
            ) as answer:
                made = await answer.json()
                self.progress.expected = len(made["invoices"]) + len(made["payments"])

        running = asyncio.create_task(send())
        while not running.done():
            await self._look(session)
        await running

    async def _rest(self, session: aiohttp.ClientSession, at_least_posted: int = 0) -> None:
        """Wait until every record has come to rest; with `at_least_posted`, until so many more are posted."""
        goal = self.progress.counts.get(Status.POSTED, 0) + at_least_posted
        moved_at, seen = time.monotonic(), dict[Status, int]()
        while not (self.progress.is_resting and self.progress.counts.get(Status.POSTED, 0) >= goal):
            await self._look(session)
            if self.progress.counts != seen:
                moved_at, seen = time.monotonic(), self.progress.counts
            if time.monotonic() - moved_at > STALL_SECONDS:
                raise ChildError(f"nothing moved for {STALL_SECONDS} s; the logs are in {self._folder / 'logs'}")

    async def _look(self, session: aiohttp.ClientSession) -> None:
        """Ask the console how many records are where, as its own page does."""
        self._children.check()
        began, before = time.monotonic(), self.progress.counts.get(Status.POSTED, 0)
        await asyncio.sleep(POLL_SECONDS)
        headers = {"Authorization": f"Bearer {self._stage.console_token}"}
        summary = await self._get(session, f"{self._stage.console_url}/api/summary", headers)
        counts = {Status(total["status"]): int(total["records"]) for total in summary["statuses"]}
        self.progress.counts = {status: count for status, count in counts.items() if count}
        posted = self.progress.counts.get(Status.POSTED, 0) - before
        latest = posted / (time.monotonic() - began)
        self.progress.posted_per_second = 0.7 * self.progress.posted_per_second + 0.3 * latest
        self._show(self.progress)

    async def _missing(self) -> list[dict[str, Any]]:
        printed = await self._children.run(
            "agents", "mappings", "missing", "--json", environment=self._stage.environment
        )
        missing: list[dict[str, Any]] = orjson.loads(printed)
        return missing

    async def _get(self, session: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> Any:
        async with session.get(url, headers=headers) as answer:
            return await answer.json()

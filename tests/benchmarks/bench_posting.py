# ruff: noqa: T201 - it prints its figures
"""The poster under load: lost answers, a burst, and a far side that takes less than is configured.

    python -m tests.benchmarks.bench_posting [--only losses|burst|limit] [--vouchers 10000] [--burst 40000]
        [--minutes 9]

losses: 10 % of what is sent loses its answer (connection cut before and after the commit, 502, 504 after the commit, a
commit that comes late), one voucher a request and 50; none may be doubled or missing. The sandbox has no rate limit
here, so the time is that of this machine and of the settle times.
burst: all commands are there at once, 50 in a batch, 1,000 requests a minute; compared with the time that its requests
need at 950 a minute.
limit: the sandbox takes 400 requests a minute and 1,000 are configured, for so many minutes.

The IFS sandbox is a process of its own; Kafka is not part of it: tables are in memory, and a confirmation takes 2 ms.
"""

import argparse
import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
import structlog
from pydantic import SecretStr

from agents.poster.poster import TICK, Poster
from agents.poster.road import READ_AHEAD
from agents.poster.state import SPENT_KEY, Spent, written
from schemas.vouchers import PostVoucher
from streams.settings import IfsSettings
from streams.systems.ifs.change_set import SHORTEST_WAIT_SECONDS
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.service import budget_of, connected, token_source
from tests.support.fakes import FakeEvent, FakeTable, FakeWork, fake_event
from tests.support.posting import BOOKS, COMMANDS, NAMES, RETRIES, command

LOSSES: tuple[dict[str, Any], ...] = (
    {"kind": "drop"},
    {"kind": "commit-then-drop"},
    {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
    {"kind": "commit-then-504"},
    {"kind": "commit-late", "seconds": 2},
)
CONFIRMATION_SECONDS = 0.002
NO_LIMIT = 10_000_000


@dataclass(frozen=True)
class Load:
    """What a poster is given to do."""

    vouchers: int
    batch_size: int
    requests_per_minute: int = 1_000
    losses: float = 0.0
    """Share of requests that book whose answer is lost."""
    settle_seconds: float = 12.0
    shortest_wait_seconds: int = SHORTEST_WAIT_SECONDS
    companies: tuple[str, ...] = ("10",)
    most_seconds: float = 3_600.0
    """After so long it ends, done or not."""


@dataclass(frozen=True)
class Report:
    """What came of it, as the sandbox counted it; `done` of the commands came to their outcome."""

    done: int
    seconds: float
    requests: int
    refused: int
    peak_per_minute: int
    doubled: int
    missing: int
    lost: int

    @property
    def refused_share(self) -> float:
        """Share of answers that were 429."""
        return self.refused / max(self.requests, 1)

    def used_of(self, per_minute: float) -> float:
        """Share of so many requests a minute that were made and not refused, over the whole time."""
        return (self.requests - self.refused) / (per_minute * self.seconds / 60)


class LoadWork(FakeWork):
    """The work of an event whose confirmation takes a while."""

    async def confirmed(self) -> None:
        await asyncio.sleep(CONFIRMATION_SECONDS)

    async def finish(self) -> None:
        self.is_handled = True  # what is left goes to the producer, and nobody waits until it is confirmed


async def measure(url: str, load: Load, *, realm: str, client_id: str, client_secret: str) -> Report:
    """Let a poster work a load off against the sandbox at `url`, as if all commands were there at once."""
    commands = [
        command(
            f"L{number:06}-AAAABBBBCCCCDDDDEEEE",
            account_id=f"A{number % 997}",
            company=load.companies[number % len(load.companies)],
        )
        for number in range(load.vouchers)
    ]
    settings = IfsSettings(
        base_url=url, realm=realm, client_id=client_id, client_secret=SecretStr(client_secret),
        batch_size=load.batch_size, requests_per_minute=load.requests_per_minute, settle_seconds=load.settle_seconds,
    )  # fmt: skip
    async with (
        connected(settings, token_source(settings), budget_of(settings)) as service,
        aiohttp.ClientSession() as http,
    ):
        table = FakeTable({SPENT_KEY: written(Spent(requests={}))})  # nothing was spent by a poster before
        ifs = IfsClient(service, settings)
        ifs.change_sets.shortest_wait_seconds = load.shortest_wait_seconds
        poster = Poster(
            ifs, names=NAMES, commands=cast("Any", table), waiting=cast("Any", FakeTable()),
            app_id="zuora-ifs", settings=settings,
        )  # fmt: skip
        control = f"{url}/_sandbox"
        started = time.monotonic()
        lost = await _drive(poster, commands, load, http, control)
        seconds = time.monotonic() - started
        counted = await _asked(http, f"{control}/requests")
        doubled = await _asked(http, f"{control}/duplicates")
        done = sum(b'"posted"' in entry for key, entry in table.items() if key != SPENT_KEY)
        there = (await _asked(http, f"{control}/vouchers?count=true"))["count"]
    return Report(
        done=done, seconds=seconds, requests=counted["total"], refused=counted["refusedForRate"],
        peak_per_minute=counted["peakPerWindow"], doubled=len(doubled), missing=done - there, lost=lost,
    )  # fmt: skip


async def _drive(
    poster: Poster, commands: Sequence[PostVoucher], load: Load, http: aiohttp.ClientSession, control: str
) -> int:
    """Hand the poster what it reads ahead, and ticks when somebody is due, until nobody is left."""
    chance = random.Random(1)  # noqa: S311 - chooses faults, guards no secret
    ends_at = time.monotonic() + load.most_seconds
    in_hand: list[LoadWork] = []
    next_one = lost = 0
    while time.monotonic() < ends_at:
        taken: list[tuple[FakeEvent, LoadWork]] = []
        while next_one < len(commands) and len(in_hand) + len(taken) < READ_AHEAD:
            event = fake_event(COMMANDS, commands[next_one].company, commands[next_one], offset=next_one)
            taken.append((event, LoadWork()))
            next_one += 1
        in_hand += [work for _, work in taken]
        left = poster.seconds_until_due
        if left == 0:
            taken.append((FakeEvent(RETRIES, TICK, b"{}"), LoadWork()))
        elif not in_hand and left is not None:
            await asyncio.sleep(min(left, 1.0))
            continue
        elif not in_hand:
            break
        if load.losses and chance.random() < load.losses:
            fault = {"path": BOOKS["voucher-set"], "method": "POST", **chance.choice(LOSSES)}
            (await http.post(f"{control}/faults", json=fault)).raise_for_status()
            lost += 1
        await poster.on_events(cast("Any", taken))
        in_hand = [work for work in in_hand if not work.is_handled]
    return lost


async def _asked(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url) as answer:
        answer.raise_for_status()
        return await answer.json()


@asynccontextmanager
async def sandbox(requests_per_minute: int) -> AsyncIterator[dict[str, str]]:
    """An IFS sandbox as a process; yields what `measure` needs to reach it."""
    words = ("-m", "deploy.sandbox", "ifs", "--port", "0", "--client-secret", "bench")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, "--requests-per-minute", str(requests_per_minute), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        told = json.loads(await process.stdout.readline())
        yield {"url": told["url"], "realm": told["realm"], "client_id": told["clientId"], "client_secret": "bench"}
    finally:
        process.terminate()
        await process.wait()


async def losses(vouchers: int) -> None:
    """Print what lost answers cost, with single vouchers and with batches."""
    for size in (1, 50):
        async with sandbox(NO_LIMIT) as place:
            load = Load(vouchers, size, requests_per_minute=NO_LIMIT, losses=0.1)
            found = await measure(place.pop("url"), load, **place)
        print(
            f"losses, batch size {size}: {found.done:,} of {vouchers:,} vouchers in {found.seconds:.0f} s, "
            f"{found.lost:,} answers lost: {found.doubled} doubled, {found.missing} missing; "
            f"{found.requests / vouchers:.2f} requests a voucher"
        )


async def burst(vouchers: int) -> None:
    """Print how long a burst takes beside the time that its requests need."""
    async with sandbox(1_000) as place:
        found = await measure(place.pop("url"), Load(vouchers, 50), **place)
    needed = vouchers / 50 * 2 / 950 * 60
    print(
        f"burst: {found.done:,} of {vouchers:,} vouchers in {found.seconds:.0f} s with {found.requests:,} requests "
        f"({needed:.0f} s at 950 a minute, {found.used_of(950):.0%} of it used); peak in 60 s "
        f"{found.peak_per_minute} of 1,000, {found.refused_share:.2%} answered 429; "
        f"{found.doubled} doubled, {found.missing} missing"
    )


async def limit(minutes: float) -> None:
    """Print how a real limit of 400 a minute is kept to while 1,000 are configured."""
    async with sandbox(400) as place:
        load = Load(vouchers=int(minutes * 1_000), batch_size=1, most_seconds=minutes * 60)
        found = await measure(place.pop("url"), load, **place)
    print(
        f"limit: {minutes:g} min at a real limit of 400 a minute: {found.refused_share:.2%} of {found.requests:,} "
        f"answers were 429, {found.used_of(400):.0%} of the limit used; {found.doubled} doubled, "
        f"{found.missing} missing"
    )


async def main() -> None:
    """Run what was asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", choices=["losses", "burst", "limit"])
    options.add_argument("--vouchers", type=int, default=10_000)
    options.add_argument("--burst", type=int, default=40_000)
    options.add_argument("--minutes", type=float, default=9)
    chosen = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    runs = {
        "losses": lambda: losses(chosen.vouchers),
        "burst": lambda: burst(chosen.burst),
        "limit": lambda: limit(chosen.minutes),
    }
    for name, run in runs.items():
        if chosen.only in (None, name):
            await run()


if __name__ == "__main__":
    asyncio.run(main())

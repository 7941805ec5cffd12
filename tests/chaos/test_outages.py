"""A far side that is down, slow or refusing: nothing is dropped, nothing spins, stops stay quick, work resumes.

`ZIFS_TEST_OUTAGE_SECONDS` makes the outages longer than CI has time for, and then all of their kinds are played.
"""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.faulty_system import Faulty, faulty_system

GIVEN_SECONDS = os.environ.get("ZIFS_TEST_OUTAGE_SECONDS")
SECONDS = float(GIVEN_SECONDS or 6)
INVOICES = 12
RESUME_SECONDS = 60 + SECONDS
"""After an outage the next try of each may be as far away as the last one was, a minute at most."""
STOP_SECONDS = 5.0 + 3.0
"""Five seconds by the worker's clock; the rest is for a busy machine."""
BUSY_SHARE = 0.35
"""Of one processor, most that a worker may take while it waits: what it takes to be a member of three groups, twice."""
GROWTH_BYTES = 40 * 1024 * 1024
FOR_EVER = 1_000_000

REFUSING: dict[str, Any] = {"kind": "status", "status": 503}
GARBAGE: dict[str, Any] = {"kind": "garbage"}
UNAUTHORIZED: dict[str, Any] = {"kind": "status", "status": 401}
HANGING: dict[str, Any] = {"kind": "hang", "seconds": 600}
DROPPING: dict[str, Any] = {"kind": "drop"}
ZUORA_IN_CI = (HANGING,)
ZUORA_AT_LENGTH = (HANGING, REFUSING, GARBAGE, UNAUTHORIZED, DROPPING)
IFS_IN_CI = (REFUSING, HANGING)
IFS_AT_LENGTH = (REFUSING, HANGING, UNAUTHORIZED, DROPPING, {"kind": "metadata-changed"}, {"kind": "locked"})

Ask = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Cost:
    """What a worker took while it waited."""

    requests: int
    processor_share: float
    grown_bytes: int


@pytest.mark.timeout(300 + 12 * (SECONDS + 120))
async def test_an_outage_of_a_far_side_costs_time_and_nothing_else(kafka_bootstrap: str, tmp_path: Path) -> None:
    settle = {"ZIFS_IFS__SETTLE_SECONDS": "20"}  # what hung may have been done, and is looked for only after these
    async with faulty_system(kafka_bootstrap, tmp_path, settings=settle) as faulty:
        await _outage(faulty, "Zuora", faulty.system.zuora, ZUORA_AT_LENGTH if GIVEN_SECONDS else ZUORA_IN_CI)
        await _outage(faulty, "IFS", faulty.system.ifs, IFS_AT_LENGTH if GIVEN_SECONDS else IFS_IN_CI)


async def _outage(faulty: Faulty, name: str, ask: Ask, kinds: tuple[dict[str, Any], ...]) -> None:
    """Let a far side go through one trouble after the other, while the backlog grows; then let it be well again."""
    for kind in kinds:
        await ask("faults", {**kind, "times": FOR_EVER})
        cost = await _cost(faulty, ask)
        stopped = await _stopped(faulty) if kind is HANGING else None
        await _well(faulty, name)
        began = time.monotonic()
        await faulty.all_posted_once(RESUME_SECONDS)
        told = f"{name}, {kind}: {cost}; all posted {time.monotonic() - began:.0f} s after; stopped in {stopped} s"
        print(told)  # noqa: T201 - figures of the run
        assert cost.requests <= _most_requests(), told
        assert cost.processor_share < BUSY_SHARE, told
        assert cost.grown_bytes < GROWTH_BYTES, told
        assert stopped is None or stopped < STOP_SECONDS


async def _cost(faulty: Faulty, ask: Ask) -> Cost:
    """Let a backlog grow, and see what the worker takes while it waits."""
    process = faulty.processes.kept["worker"].process
    assert process is not None
    worker = psutil.Process(process.pid)
    await faulty.bill(INVOICES)
    await faulty.system.callouts_delivered()
    asked, memory, used, began = await _asked(ask), worker.memory_info().rss, _used(worker), time.monotonic()
    await asyncio.sleep(SECONDS)  # the outage itself
    took = time.monotonic() - began
    assert process.returncode is None
    return Cost(await _asked(ask) - asked, (_used(worker) - used) / took, worker.memory_info().rss - memory)


async def _asked(ask: Ask) -> int:
    return int((await ask("requests"))["total"])


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _stopped(faulty: Faulty) -> float:
    """Ask the worker to stop in the middle of it, and return how long that took; it is started again."""
    await faulty.processes.stop("worker")
    return round(faulty.processes.stops[-1], 1)


async def _well(faulty: Faulty, name: str) -> None:
    url = faulty.system.stage.zuora_url if name == "Zuora" else faulty.system.stage.ifs_url
    async with faulty.system.http.delete(f"{url}/_sandbox/faults") as answer:
        assert answer.ok


def _most_requests() -> int:
    """Return how many requests may come of what waits: each wait is twice the one before, up to a minute."""
    tries = 2 + min(math.log2(SECONDS + 1), 6) + SECONDS / 60
    return int(2 * INVOICES * tries)

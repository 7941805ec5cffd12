"""What Kafka's faults do to the whole system: nothing lost, nothing doubled, callers told to come again, work resumes.

`ZIFS_TEST_OUTAGE_SECONDS` makes the outages longer than CI has time for, and then all of the faults are played.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from schemas.topics import DOCUMENT
from streams.log.topics import LEAST_MESSAGE_BYTES
from tests.support.brokers import KafkaProcess, set_largest
from tests.support.faulty_system import Caller, Faulty, faulty_system, fill_disk, stuttering
from tests.support.waiting import eventually

GIVEN_SECONDS = os.environ.get("ZIFS_TEST_OUTAGE_SECONDS")
SECONDS = float(GIVEN_SECONDS or 1)
"""How long an outage goes on after callers were told to come again."""
INVOICES = 4
LARGE_ITEMS = 1_500
"""Of about a kilobyte each."""
ANSWER_SECONDS = 10 + 2.0
"""Ingress waits 10 s for Kafka; the rest is for a busy machine."""
RESUME_SECONDS = 60

Fault = Callable[[KafkaProcess], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def restarted(broker: KafkaProcess) -> AsyncIterator[None]:
    """The broker is stopped in order, and started again."""
    await asyncio.to_thread(broker.stop)
    yield
    await asyncio.to_thread(broker.start)


@asynccontextmanager
async def killed(broker: KafkaProcess) -> AsyncIterator[None]:
    """The broker is gone from one moment to the next, as in a power cut."""
    await asyncio.to_thread(broker.kill)
    yield
    await asyncio.to_thread(broker.start)


@asynccontextmanager
async def frozen(broker: KafkaProcess) -> AsyncIterator[None]:
    """Connections stay open and nothing answers."""
    broker.pause()
    try:
        yield
    finally:
        broker.resume()


@asynccontextmanager
async def disk_full(broker: KafkaProcess) -> AsyncIterator[None]:
    """The broker cannot write any more, and ends; there is room when it starts again."""
    fill_disk(broker)
    await eventually(lambda: asyncio.to_thread(broker.ended), seconds=20)
    yield
    await asyncio.to_thread(broker.start)


IN_CI: tuple[Fault, ...] = (frozen, disk_full)
FAULTS = (*IN_CI, restarted, killed) if GIVEN_SECONDS else IN_CI


@pytest.mark.timeout(600 + 10 * SECONDS)
async def test_nothing_is_lost_whatever_happens_to_the_broker(
    kafka_process: Callable[[], KafkaProcess], tmp_path: Path
) -> None:
    broker = await asyncio.to_thread(kafka_process)
    async with faulty_system(broker.bootstrap_servers, tmp_path) as faulty:
        for fault in FAULTS:
            await _suffer(faulty, broker, fault)
        if GIVEN_SECONDS:
            await _slow(faulty, broker)
        await _too_large(faulty)


async def _suffer(faulty: Faulty, broker: KafkaProcess, fault: Fault) -> None:
    """Play a fault in the middle of a bill run; what each process says meanwhile, and what comes out of it."""
    caller = Caller(faulty.system, faulty.known)
    began = time.monotonic()
    async with caller.calling():
        await faulty.bill(INVOICES)
        async with fault(broker):
            struck = time.monotonic()
            await faulty.bill(INVOICES)
            refused = await caller.answered(503, since=struck, seconds=ANSWER_SECONDS + 3)
            assert refused.retry_after is not None
            assert refused.seconds < ANSWER_SECONDS
            await faulty.not_ready("ingress")
            await faulty.not_ready("worker")
            await asyncio.sleep(SECONDS)  # the outage itself
        mended = time.monotonic()
        await caller.answered(200, since=mended, seconds=RESUME_SECONDS)
        back = time.monotonic()
        await faulty.all_posted_once(RESUME_SECONDS)
    await faulty.ready("ingress")
    await faulty.ready("worker")
    assert {one.status for one in caller.calls} <= {0, 200, 503}
    assert await caller.missing_in_the_log() == set()
    _tell(
        f"{fault.__name__}: refused after {refused.began + refused.seconds - struck:.1f} s, taken again"
        f" {back - mended:.1f} s after it was mended, all posted {time.monotonic() - back:.1f} s later;"
        f" {time.monotonic() - began:.0f} s, {faulty.processes.figures()}"
    )


async def _slow(faulty: Faulty, broker: KafkaProcess) -> None:
    caller = Caller(faulty.system, faulty.known)
    async with caller.calling(), stuttering(broker, stands_seconds=0.7, runs_seconds=0.3):
        await faulty.bill(INVOICES)
        await faulty.all_posted_once(RESUME_SECONDS)
        await asyncio.sleep(SECONDS)
    assert {one.status for one in caller.calls} == {200}
    assert await caller.missing_in_the_log() == set()
    _tell(f"slow: answered within {max(one.seconds for one in caller.calls):.1f} s")


async def _too_large(faulty: Faulty) -> None:
    """Lower what the topic of documents takes while all runs: a document beyond it fails and holds nobody up."""
    kafka, names = faulty.system.kafka, faulty.system.names
    ended_before = faulty.processes.own_ends[74]
    await set_largest(kafka, names.public(DOCUMENT), LEAST_MESSAGE_BYTES)
    large = await faulty.system.zuora("invoices", {"items": LARGE_ITEMS, "post": True})
    await faulty.bill(INVOICES)
    others = {one["number"]: {"posted"} for one in await faulty.system.documents() if one["id"] != large["id"]}
    await faulty.statuses_are(others | {large["number"]: {"failed"}}, RESUME_SECONDS)
    await faulty.system.says(large["number"], "failed", "document too large")
    assert faulty.processes.own_ends[74] <= ended_before + 1  # it learns what the topic takes when it is started again
    _tell(f"too large: {faulty.processes.figures()}")


def _tell(line: str) -> None:
    print(line)  # noqa: T201 - figures of the run

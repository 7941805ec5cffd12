"""Everything goes wrong at once, and then the three books agree: Zuora's documents, the log, the ledger of IFS.

The plan is seeded: ZIFS_TEST_CHAOS_SEED runs one again. ZIFS_TEST_CHAOS_SECONDS makes it longer than CI has time for.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agents.demo.children import Children
from agents.demo.setting import Stage, prepare
from schemas.errors import LogError
from streams.settings import KafkaSettings
from tests.support.brokers import KafkaProcess
from tests.support.chaos_check import differences, disagreements, expected, out_of_order, read_log, unsettled
from tests.support.chaos_plan import SESSION_SECONDS, SETTLE_SECONDS, WORKERS, counts, plan
from tests.support.chaos_processes import Kept, Orchestrator
from tests.support.chaos_run import Chaos
from tests.support.expected_ledger import Books, Net
from tests.support.whole_system import CUSTOM_EVENTS, ROOT, Rows, System

SEED = int(os.environ.get("ZIFS_TEST_CHAOS_SEED", "0")) or int(time.time())
SECONDS = float(os.environ.get("ZIFS_TEST_CHAOS_SECONDS", "45"))
ACCOUNTS = 12
INVOICES_PER_SECOND = 5
BATCH_SIZES = (1, 20)
"""Of the poster: even seeds post one by one, odd ones in change sets."""
CATCH_UP_SECONDS = 240 + SECONDS
CALLOUTS = {
    "customEvents": list(CUSTOM_EVENTS),
    "calloutAttempts": 1_000,  # Zuora gives up after three: what it never told is not what is tested here
    "calloutRetrySeconds": 1,
    "calloutDuplicates": 0.2,
    "calloutShuffleSeconds": 2,
}


def test_a_seed_and_a_time_make_one_plan() -> None:
    assert plan(7, 60) == plan(7, 60)
    assert plan(7, 60) == [act for act in plan(7, 600) if act.second < 60]
    assert plan(8, 60) != plan(7, 60)


@pytest.mark.timeout(2 * (SECONDS + CATCH_UP_SECONDS))
async def test_zuora_the_log_and_the_ledger_agree_whatever_goes_wrong(
    kafka_process: Callable[[], KafkaProcess], tmp_path: Path
) -> None:
    acts = plan(SEED, SECONDS)
    print(f"seed {SEED}, {SECONDS:g} s: {counts(acts)}", *acts, sep="\n")  # noqa: T201 - to be run again
    children = Children(tmp_path / "logs", ROOT)
    broker = kafka_process()
    given = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, replication_factor=1, partitions=4)
    try:
        stage = await prepare(children, tmp_path, given, accounts=ACCOUNTS)
        stage.environment["ZIFS_IFS__SETTLE_SECONDS"] = str(SETTLE_SECONDS)
        stage.environment["ZIFS_IFS__BATCH_SIZE"] = str(BATCH_SIZES[SEED % len(BATCH_SIZES)])
        kafka = given.model_copy(update={"topic_prefix": stage.environment["ZIFS_KAFKA__TOPIC_PREFIX"]})
        async with aiohttp.ClientSession() as http:
            system = System(children, stage, kafka, tmp_path, http)
            await _run(Chaos(system, _processes(children, stage, tmp_path), broker, await _accounts(system)))
    finally:
        with suppress(LogError):  # topics that could not be removed go with their broker
            await children.stop()


def _processes(children: Children, stage: Stage, folder: Path) -> Orchestrator:
    """Return ingress and workers, none of them running yet; worker 0 has no volume."""
    kept = [Kept("ingress", ("agents", "ingress"), stage.environment)]
    for number in range(WORKERS):
        data = folder / f"worker-{number}"
        environment = stage.environment | {
            "ZIFS_DATA_DIR": str(data),
            "ZIFS_WORKER__PORT": "0",
            "ZIFS_WORKER__SESSION_SECONDS": str(SESSION_SECONDS),
        }
        kept.append(Kept(f"worker-{number}", ("agents", "worker"), environment, data if number == 0 else None))
    return Orchestrator(children, kept)


async def _accounts(system: System) -> list[str]:
    return [one["id"] for one in await system.zuora("documents?kind=Account")]


async def _run(chaos: Chaos) -> None:
    system, processes = chaos.system, chaos.processes
    mappings = await system.default_mappings()
    await system.import_mappings([row for row in mappings if row["kind"] != "account"])
    await system.zuora("callouts", CALLOUTS)
    await system.zuora("settings", {"lagSeconds": 1})
    keeping = asyncio.create_task(processes.keep_all())
    began = time.monotonic()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_bill(system, began + SECONDS))
            tasks.create_task(_map_accounts(chaos, mappings, began))
            tasks.create_task(chaos.carry_out(plan(SEED, SECONDS), began))
            watch = tasks.create_task(_ended_badly(keeping, began + SECONDS))
        await watch
        nets = await _caught_up(chaos, keeping, mappings)
        caught_up = time.monotonic() - began - SECONDS
        vouchers, duplicates = await _own_vouchers(system), await system.ifs("duplicates")
        records, log = await system.records(), await read_log(system)
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
    done = ", ".join(f"{count} {what}" for what, count in sorted(chaos.done.items()))
    told = f"seed {SEED}, {SECONDS:g} s: {len(nets)} documents, {len(vouchers)} vouchers; {processes.figures()}; {done}"
    print(f"{told}; caught up in {caught_up:.0f} s")  # noqa: T201 - figures of the run

    changed = set(chaos.changed)
    assert duplicates == [], told
    assert differences(nets, records, vouchers, changed) == [], told
    assert disagreements(log, vouchers) == [], told
    assert out_of_order(log, vouchers, changed) == [], told
    assert log.dead == 0, told
    assert processes.tracebacks() == [], told


async def _own_vouchers(system: System) -> list[dict[str, Any]]:
    """What the connector has posted: another writer's vouchers, of which a fault makes some, carry no reference."""
    return [voucher for voucher in await system.ifs("vouchers") if voucher["header"]["VoucherText2"]]


async def _bill(system: System, end: float) -> None:
    while time.monotonic() < end:
        order = {"invoices": INVOICES_PER_SECOND * 2, "perSecond": INVOICES_PER_SECOND, "paymentShare": 0.4}
        await system.zuora("bill-run", order)


async def _map_accounts(chaos: Chaos, mappings: Rows, began: float) -> None:
    """Let the accounts' mappings come one after the other, the last ones late."""
    rows = [row for row in mappings if row["kind"] == "account"]
    for place, row in enumerate(rows):
        await asyncio.sleep(max(0.0, began + SECONDS * place / len(rows) - time.monotonic()))
        file = chaos.system.folder / "account.csv"
        file.write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
        await chaos.command("mappings", "import", str(file))


async def _ended_badly(keeping: "asyncio.Task[None]", end: float) -> None:
    """Fail as soon as a process has ended as none may; else end with the run."""
    await asyncio.wait({keeping}, timeout=end - time.monotonic())
    if keeping.done():
        keeping.result()


async def _caught_up(chaos: Chaos, keeping: "asyncio.Task[None]", mappings: Rows) -> dict[str, Net]:
    """Wait until nothing is left to do, and return what each document must come to."""
    system, deadline = chaos.system, time.monotonic() + CATCH_UP_SECONDS
    await chaos.calm()
    while True:
        if keeping.done():
            keeping.result()
        await chaos.correct()
        nets = expected(Books(mappings, await system.documents()))
        left = unsettled(nets, await system.records())
        pending = (await system.zuora("callouts"))["pending"]
        if not left and not pending and await system.is_quiet():
            return nets
        shown = dict(list(left.items())[:5])
        assert time.monotonic() < deadline, f"seed {SEED}: {len(left)} left, {pending} callouts, such as {shown}"
        await asyncio.sleep(1)

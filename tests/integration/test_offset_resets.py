"""Offsets reset to anywhere, and a new app id, after a story with everything in it: nothing new, nothing undone."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import (
    AUDIT,
    DEAD_LETTER,
    DOCUMENT,
    MAPPING,
    NOTIFICATION,
    PUBLIC_TOPICS,
    REQUEST,
    VOUCHER,
    VOUCHER_COMMAND,
)
from streams.log.connection import connection_options
from streams.log.reader import log_bounds
from streams.log.topics import admin_client
from streams.projection.feed import catch_up
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel, Wanted
from streams.projection.store import Store
from tests.support.waiting import eventually
from tests.support.whole_system import AGENTS, System, whole_system

CLOSED, IN_CLOSED = {"company": "10", "year": 2025, "period": 3}, "2025-03-14"
DAY = "2026-02-10"
LATE, BY_HAND, NEVER = "SKU-LATE", "SKU-HAND", "SKU-NEVER"
LOOK_UPS_PER_VOUCHER = 1 / 100
SEED = 7

Offsets = dict[TopicPartition, int]


@dataclass(frozen=True)
class Ledger:
    """All that a reset must leave as it is."""

    statuses: dict[str, tuple[str, str | None]]
    vouchers: list[Any]
    trial_balance: list[Any]
    dead_letters: int


class Story:
    """Documents of one account, and what became of them."""

    def __init__(self, system: System, account: str) -> None:
        self.system = system
        self.account = account
        self.made: dict[str, dict[str, Any]] = {}

    def numbers(self, *names: str) -> list[str]:
        return [self.made[name]["number"] for name in names]

    async def invoice(self, name: str, *, amount: str = "100.00", sku: str = "SKU-ANL-002", day: str = DAY) -> None:
        order = {"accountId": self.account, "currency": "EUR", "date": day, "items": _items(amount, sku)}
        self.made[name] = await self.system.zuora("invoices", order)

    async def do(self, name: str, *actions: str, made: str = "", place: str = "invoices", **order: Any) -> None:
        for action in actions:
            done = await self.system.zuora(f"{place}/{self.made[name]['id']}/{action}", order)
            if made:
                self.made[made] = done

    async def come_to(self, **expected: str) -> None:
        """Wait until each document, by its name here, has its status."""
        await self.system.callouts_delivered()
        wanted = {self.made[name.replace("_", " ")]["number"]: {status} for name, status in expected.items()}
        await self.system.statuses_are(wanted, 120)


def _items(amount: str, sku: str) -> list[dict[str, Any]]:
    return [{"sku": sku, "chargeAmount": amount, "taxes": [{"taxCode": "VAT25", "taxAmount": "25.00"}]}]


def _product(sku: str) -> dict[str, str]:
    return {"kind": "product", "company": "10", "match_on": "sku", "match_value": sku, "gl_account": "3990"}


async def _tell(system: System) -> Story:
    """Post, hold, refuse, change rules and mappings, correct, settle, pause and go on."""
    [account] = await system.zuora("accounts", {"currency": "EUR", "count": 1})
    await system.import_mappings(await system.default_mappings())
    story, zuora_ifs = Story(system, account["id"]), system.zuora_ifs
    await system.ifs("periods", {**CLOSED, "open": False})
    for name in ("plain", "another", "to be corrected", "left changed", "paid", "credited"):
        await story.invoice(name)
    for name, sku in (("held", LATE), ("by hand", BY_HAND), ("still held", NEVER)):
        await story.invoice(name, sku=sku)
    await story.invoice("refused", day=IN_CLOSED)
    applied = [{"invoiceId": story.made["paid"]["id"], "amount": "125.00"}]
    order = {"accountId": account["id"], "currency": "EUR", "date": DAY, "amount": "400.01", "applications": applied}
    story.made["payment"] = await system.zuora("payments", order)
    await story.do("credited", "credit-memo", made="memo", share="0.5", date=DAY)
    await story.come_to(
        plain="posted", paid="posted", payment="posted", held="mapping-missing", refused="rejected", memo="captured"
    )

    words = ("--company", "10", "--document-type", "CreditMemo", "--post", "yes")
    await zuora_ifs("rules", "set", *words)
    for name in ("to be corrected", "left changed"):
        await story.do(name, "unpost")
        await story.do(name, "edit", items=_items("80.00", "SKU-SVC-010"))
        await story.do(name, "post")
    await zuora_ifs("records", "settle", *story.numbers("by hand"), "--voucher", "10/M/2026/1", "--reason", "by hand")
    await story.come_to(memo="posted", to_be_corrected="changed-after-posting", by_hand="settled-by-hand")

    await zuora_ifs("posting", "pause", "--reason", "month end")
    await system.import_mappings([_product(LATE), _product(BY_HAND), _product("SKU-ANL-002")])
    await story.invoice("while paused")
    await story.invoice("under the new mapping", amount="77.00")
    await zuora_ifs("records", "correct", *story.numbers("to be corrected"), "--reason", "as Zuora has it")
    await story.do("another", "unpost", "cancel")
    await zuora_ifs("posting", "resume", "--reason", "closed")
    await story.come_to(
        held="posted", while_paused="posted", under_the_new_mapping="posted", to_be_corrected="corrected",
        left_changed="changed-after-posting", another="changed-after-posting", by_hand="settled-by-hand",
        still_held="mapping-missing",
    )  # fmt: skip
    return story


async def _ledger(system: System) -> Ledger:
    path = system.folder / "ledger.sqlite"
    with Store(path) as store:
        await catch_up(Projector(store, system.names), system.kafka, system.names, [AUDIT], lambda *_: None)
    records = ReadModel(path).records(Wanted(), limit=1000).records
    bounds = await log_bounds(system.kafka, [system.names.public(DEAD_LETTER)])
    return Ledger(
        {told.id: (told.status, told.reason) for told in records},
        await system.ifs("vouchers"),
        await system.ifs("trial-balance"),
        sum(bounds.end.values()),
    )


async def _committed(system: System, agent: str) -> Offsets:
    async with admin_client(system.kafka) as admin:
        found = await admin.list_consumer_group_offsets(system.names.agent(agent))
    return {place: one.offset for place, one in found.items() if one.offset >= 0}


async def _reset(system: System, agent: str, where: Callable[[int], int]) -> None:
    """Do what kafka-consumer-groups does with a group without members: commit other offsets in its name."""
    offsets = {place: where(offset) for place, offset in (await _committed(system, agent)).items()}
    consumer = AIOKafkaConsumer(
        **connection_options(system.kafka), group_id=system.names.agent(agent), enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
    finally:
        await consumer.stop()


async def _work_again(system: System, change: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    """Stop the worker, change something, start it, wait until it is done; return the requests that IFS got for it."""
    await system.stop("worker")
    await change()
    await system.ifs("requests/reset", {})
    await system.start("worker")
    await _is_done(system)
    report: dict[str, Any] = await system.ifs("requests")
    return report


async def _is_done(system: System) -> None:
    """Wait until each group has done with all that lies in its topics, and nothing comes of it any more."""
    ends: list[Any] = []

    async def end() -> bool:
        committed = [await _committed(system, agent) for agent in AGENTS]
        done = {(place.topic, place.partition) for group in committed for place in group}
        bounds = await log_bounds(system.kafka, sorted({*(topic for topic, _ in done), *_public(system)}))
        ends.append(bounds.end)
        if not await system.is_quiet() or ends[-2:-1] != ends[-1:]:
            return False
        to_do = {place for place, offset in bounds.end.items() if offset and place[0] in _read(system)}
        return to_do <= done

    await eventually(end, lambda done: done, seconds=180)


def _public(system: System) -> list[str]:
    return [system.names.public(spec.name) for spec in PUBLIC_TOPICS]


def _read(system: System) -> set[str]:
    """The public topics that groups read."""
    return {system.names.public(name) for name in (NOTIFICATION, DOCUMENT, MAPPING, VOUCHER_COMMAND, VOUCHER, REQUEST)}


@pytest.mark.timeout(600)
async def test_offsets_reset_to_anywhere_and_a_new_app_id_change_nothing(kafka_bootstrap: str, tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - a plan that can be run again
    resets: list[tuple[Sequence[str], str, Callable[[int], int]]] = [
        *[((agent,), "to the earliest", lambda _: 0) for agent in AGENTS],
        (AGENTS, "to the earliest", lambda _: 0),
        (AGENTS, "to the middle", lambda offset: chance.randint(0, offset)),
    ]
    async with whole_system(kafka_bootstrap, tmp_path) as system:
        await _tell(system)
        before = await _ledger(system)
        most = LOOK_UPS_PER_VOUCHER * len(before.vouchers)
        began = time.monotonic()
        for agents, how, where in resets:

            async def change(agents: Sequence[str] = agents, where: Callable[[int], int] = where) -> None:
                await asyncio.gather(*(_reset(system, agent, where) for agent in agents))

            asked = await _work_again(system, change)
            assert (agents, how, await _ledger(system)) == (agents, how, before)
            assert asked["counts"].get("posts", 0) == 0
            assert _look_ups(asked) <= most, (agents, how, asked)

        async def new_app_id() -> None:
            system.stage.environment["ZIFS_APP_ID"] += "-next"
            await system.zuora_ifs("topics", "apply")

        asked = await _work_again(system, new_app_id)
        assert await _ledger(system) == before
        assert asked["counts"].get("posts", 0) == 0
        assert _look_ups(asked) <= most, asked
        print(f"{len(before.vouchers)} vouchers, {len(resets)} resets: {time.monotonic() - began:.0f} s")  # noqa: T201


def _look_ups(report: dict[str, Any]) -> int:
    """Return how often IFS was asked for vouchers."""
    return sum(int(times) for endpoint, times in report["byEndpoint"].items() if "Voucher" in endpoint)

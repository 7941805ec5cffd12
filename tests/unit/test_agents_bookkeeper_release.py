"""A release whose records cannot all be read: what the log has lost ends, and the others of the account go on."""

from collections.abc import Collection
from typing import Any

import pytest

from agents.runtime import Event
from schemas.base import Status
from schemas.errors import TopicsError
from schemas.requests import ReplayRequested
from tests.support.bookkeeping import (
    DEAD_LETTERS,
    DOCUMENTS,
    World,
    account,
    after,
    ask,
    capture,
    card_payment,
    cash,
    invoice,
    product,
    unapplied,
)
from tests.support.memory_log import MemoryTable

LARGE_SKUS = [f"{n:0900}" for n in range(4)]
"""Items of these make a held row too large to keep its document."""


def lose(world: World, monkeypatch: pytest.MonkeyPatch, event: Event) -> None:
    """Let the log have lost an event."""
    lost, read = (event.topic, event.partition, event.offset), world.log.read

    async def read_or_refuse(places: Collection[tuple[str, int, int]]) -> list[bytes | None]:
        if lost in places:
            raise TopicsError(f"the log has no record {lost} any more")
        return await read(places)

    monkeypatch.setattr(world.log, "read", read_or_refuse)


async def held_with_one_lost(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    for number in (1, 2, 3):
        given = invoice(number, "A")
        item = given.document["items"][0]
        items = [{**item, "id": f"item-{n}", "sku": sku, "chargeAmount": "25.00"} for n, sku in enumerate(LARGE_SKUS)]
        document = {**given.document, "items": items}
        capture(world, given.model_copy(update={"document": document}) if number < 3 else given)
    await world.settle()
    lose(world, monkeypatch, world.log.all(DOCUMENTS)[0])
    for sku in (*LARGE_SKUS, "ANL"):
        world.map("10", product(sku))
    world.map("A", account("A"))
    await world.settle()
    return world


async def test_a_held_document_that_the_log_has_lost_ends_with_what_to_do_and_others_of_its_account_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await held_with_one_lost(monkeypatch)

    statuses = [world.status(f"Invoice:inv-{number}") for number in (1, 2, 3)]
    assert statuses == [Status.FAILED, Status.POSTED, Status.POSTED]
    assert "any more; `zuora-ifs replay --refetch` fetches it again" in (
        world.history("Invoice:inv-1")[-1].reason or ""
    )
    assert not world.log.all(DEAD_LETTERS)


async def test_what_the_log_had_lost_is_posted_when_it_was_fetched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await held_with_one_lost(monkeypatch)

    ask(world, "Invoice:inv-1", ReplayRequested, refetch=True)
    await world.settle()
    fetched = invoice(1, "A")
    capture(world, fetched, "fetched anew")
    await world.settle()

    assert world.status("Invoice:inv-1") is Status.POSTED
    assert len(world.commands()) == 3


async def test_a_change_of_u_that_the_log_has_lost_says_so_once_and_is_booked_when_it_was_fetched_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.bookkeeper.rows.HELD_BYTES_MAX", 10)
    world = World()
    for key, mapping in (("A", account("A")), ("10", cash("EUR")), ("10", product("ANL"))):
        world.map(key, mapping)
    await world.settle()
    await after(world, card_payment("0.00"), card_payment("100.00"))
    lose(world, monkeypatch, world.log.all(DOCUMENTS)[-1])
    await world.settle()
    for gl_account in ("2420", "2421", "2422"):
        world.map("10", unapplied(gl_account=gl_account))
        await world.settle()

    notes = [step.note or "" for step in world.history("Payment:pay-1")]
    assert [note for note in notes if note.endswith("fetches it again")] == [notes[-1]]
    assert world.status("Payment:pay-1") is Status.MAPPING_MISSING
    ask(world, "Payment:pay-1", ReplayRequested, refetch=True)
    await after(world, card_payment("100.00"))
    assert world.status("Payment:pay-1") is Status.POSTED
    assert world.net()["2422"] == -100


async def cost_of_a_release(monkeypatch: pytest.MonkeyPatch, others: int) -> int:
    """How often tables are read and written for a release of three, with so many others held and as many done."""
    world = World()
    world.map("10", product("DONE"))
    world.map("A", account("A"))
    for number in range(others):
        capture(world, invoice(number, "A", sku="HELD"))
        capture(world, invoice(others + number, "A", sku="DONE"))
    for number in range(3):
        capture(world, invoice(2 * others + number, "A", sku="LATE"))
    await world.settle()
    asked = 0

    def counted(table: MemoryTable, name: str) -> None:
        method = getattr(table, name)

        def count(*given: Any) -> Any:
            nonlocal asked
            asked += 1
            return method(*given)

        monkeypatch.setattr(table, name, count)

    for table in world.tables:
        for name in ("get", "items", "pop"):
            counted(table, name)
    world.map("10", product("LATE"))
    while (event := world.next_event()) is not None or world.answer_one():
        if event is not None:
            await world.handle(event)
    assert len(world.commands()) == others + 3
    return asked


async def test_a_release_costs_what_it_releases_however_much_is_held_or_done(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await cost_of_a_release(monkeypatch, 5) == await cost_of_a_release(monkeypatch, 200) > 0

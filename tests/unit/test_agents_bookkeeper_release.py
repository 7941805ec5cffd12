"""A release whose records cannot all be read: what the log has lost ends, and the others of the account go on."""

from collections.abc import Collection

import pytest

from schemas.base import Status
from schemas.errors import TopicsError
from schemas.requests import ReplayRequested
from tests.support.bookkeeping import DEAD_LETTERS, DOCUMENTS, World, account, ask, capture, invoice, product

LARGE_SKUS = [f"{n:0900}" for n in range(4)]
"""Items of these make a held row too large to keep its document."""


async def held_with_one_lost(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    for number in (1, 2, 3):
        given = invoice(number, "A")
        item = given.document["items"][0]
        items = [{**item, "id": f"item-{n}", "sku": sku, "chargeAmount": "25.00"} for n, sku in enumerate(LARGE_SKUS)]
        document = {**given.document, "items": items}
        capture(world, given.model_copy(update={"document": document}) if number < 3 else given)
    await world.settle()
    lost = (DOCUMENTS, *next((one.partition, one.offset) for one in world.log.all(DOCUMENTS)))
    read = world.log.read

    async def read_or_refuse(places: Collection[tuple[str, int, int]]) -> list[bytes | None]:
        if lost in places:
            raise TopicsError(f"the log has no record {lost} any more")
        return await read(places)

    monkeypatch.setattr(world.log, "read", read_or_refuse)
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

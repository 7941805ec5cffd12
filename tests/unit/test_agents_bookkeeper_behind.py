"""What waits behind earlier records of its account, while a release lets those out, follows its newest document."""

from decimal import Decimal

import pytest

from schemas import topics
from schemas.base import Status
from schemas.notifications import DocumentCaptured
from schemas.requests import ReplayRequested
from tests.support.bookkeeping import (
    DOCUMENTS,
    MAPPINGS,
    REQUESTS,
    World,
    after,
    ask,
    capture,
    card_payment,
    correct,
    invoice,
    mapped_world,
    product,
    refused_change_of_u,
)
from tests.support.ledger import NAMES


async def with_one_ahead() -> World:
    """An invoice of account A is held for its mapping."""
    return await after(await mapped_world(), invoice(9, "A", sku="LATE"))


async def release(world: World) -> None:
    """That mapping comes, and the release of what it held has not begun; IFS takes everything from now on."""
    world.refuse.clear()
    world.map("10", product("LATE"))
    await world.handle_all([MAPPINGS, NAMES.working(topics.CHART_COPY)])


async def refused(document: DocumentCaptured) -> World:
    world = await with_one_ahead()
    world.refuse.add("10")
    await after(world, document)
    await release(world)
    return world


async def test_a_new_state_that_zuora_takes_back_before_its_turn_is_not_sent_after_a_refusal() -> None:
    world = await refused(invoice(1, "A", amount="80.00"))
    for amount in ("100.00", "80.00"):
        capture(world, invoice(1, "A", amount=amount), f"as {amount}")
        await world.handle_all([DOCUMENTS])
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.REJECTED
    assert [command.record_id for command in world.commands()] == ["Invoice:inv-1", "Invoice:inv-9"]


async def test_a_new_state_that_zuora_takes_back_before_its_turn_is_not_sent_after_a_correction() -> None:
    world = await after(await with_one_ahead(), invoice(1, "A"), invoice(1, "A", status="Draft"))
    correct(world, "Invoice:inv-1")
    await world.settle()
    await release(world)
    for status in ("Posted", "Draft"):
        capture(world, invoice(1, "A", status=status), f"again {status}")
        await world.handle_all([DOCUMENTS])
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CORRECTED
    assert world.net() == {"1510": Decimal(100), "3010": Decimal(-100)}  # of the other invoice


async def test_a_change_of_u_that_zuora_takes_back_before_its_turn_is_not_booked_after_a_refusal() -> None:
    world = await refused_change_of_u(await with_one_ahead())
    await release(world)
    for u in ("50.00", "100.00"):
        capture(world, card_payment(u), f"as {u}")
        await world.handle_all([DOCUMENTS])
    await world.settle()
    assert world.status("Payment:pay-1") is Status.REJECTED
    assert world.net()["1930"] == 500
    assert world.net()["2420"] == -500


async def test_what_a_person_replays_is_sent_in_its_turn_though_its_document_comes_again_before() -> None:
    world = await refused(invoice(1, "A", amount="80.00"))
    ask(world, "Invoice:inv-1", ReplayRequested)
    await world.handle_all([REQUESTS])
    capture(world, invoice(1, "A", amount="80.00"), "told again")
    await world.handle_all([DOCUMENTS])
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED
    assert [command.record_id for command in world.commands()[1:]] == ["Invoice:inv-9", "Invoice:inv-1"]


async def test_a_replay_too_large_to_be_kept_is_sent_in_its_turn_though_its_document_comes_again_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.bookkeeper.rows.HELD_BYTES_MAX", 10)
    world = await refused_change_of_u(await with_one_ahead())
    await release(world)
    ask(world, "Payment:pay-1", ReplayRequested)
    await world.handle_all([REQUESTS])
    capture(world, card_payment("100.00"), "told again")
    await world.handle_all([DOCUMENTS])
    await world.settle()
    assert world.status("Payment:pay-1") is Status.POSTED
    assert world.net()["2420"] == -100


async def test_a_refused_payment_that_a_person_replays_is_sent_in_its_turn_as_it_is_by_then() -> None:
    world = await refused(card_payment("500.00"))
    ask(world, "Payment:pay-1", ReplayRequested)
    await world.handle_all([REQUESTS])
    capture(world, card_payment("100.00"))
    await world.handle_all([DOCUMENTS])
    await world.settle()
    assert world.status("Payment:pay-1") is Status.POSTED
    assert world.net()["2420"] == -100

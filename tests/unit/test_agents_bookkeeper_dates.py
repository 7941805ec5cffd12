"""What a person's date and fetch of a record come to, whatever comes in between."""

from datetime import date
from decimal import Decimal

import pytest

from schemas import topics
from schemas.base import Status
from schemas.mappings import AccountMappingRemoved
from schemas.requests import ReplayRequested, SettlementRecorded
from tests.support.bookkeeping import (
    World,
    account,
    ask,
    capture,
    card_payment,
    cash,
    invoice,
    mapped_world,
    product,
    refused_change_of_u,
    unapplied,
    unreadable,
)
from tests.support.ledger import NAMES, NOW

DATED = date(2026, 5, 5)
RELEASE = NAMES.working(topics.RELEASE)
NOTIFICATION = NAMES.public(topics.NOTIFICATION)


async def all_but_releases(world: World) -> None:
    """Handle everything but how a release goes on."""
    await world.handle_all([topic for topic in world.bookkeeper.topics if topic != RELEASE])


async def test_the_date_of_a_replay_holds_behind_a_running_release() -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A", sku="LATE"))
    await world.settle()
    world.refuse.add("10")
    capture(world, invoice(2, "A"))
    await world.settle()
    assert world.status("Invoice:inv-2") is Status.REJECTED
    world.refuse.clear()
    world.refused.clear()
    world.map("10", product("LATE"))
    await all_but_releases(world)
    ask(world, "Invoice:inv-2", ReplayRequested, date=DATED)
    await all_but_releases(world)
    assert len(world.commands()) == 1, "held behind the release"
    await world.settle()
    assert [(c.record_id, c.voucher_date) for c in world.commands()[1:]] == [
        ("Invoice:inv-1", date(2026, 3, 1)),
        ("Invoice:inv-2", DATED),
    ]


async def test_a_refused_change_of_u_is_fetched_again_though_its_document_cannot_be_read() -> None:
    world = await refused_change_of_u()
    capture(world, unreadable(card_payment("50.00")))
    await world.settle()
    assert world.status("Payment:pay-1") is Status.REJECTED
    ask(world, "Payment:pay-1", ReplayRequested, refetch=True)
    await world.settle()
    assert len(world.log.all(NOTIFICATION)) == 1


async def test_a_settled_record_is_fetched_again_though_its_document_cannot_be_read() -> None:
    world = await mapped_world()
    capture(world, unreadable(invoice(1, "A")))
    await world.settle()
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.SETTLED_BY_HAND
    ask(world, "Invoice:inv-1", ReplayRequested, refetch=True)
    await world.settle()
    assert len(world.log.all(NOTIFICATION)) == 1


async def test_a_fetch_that_was_asked_for_is_over_once_the_record_is_sent() -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A", sku="LATE"))
    await world.settle()
    ask(world, "Invoice:inv-1", ReplayRequested, refetch=True, date=DATED)
    await world.settle()
    world.hold_answers()
    world.map("10", product("LATE"))
    await world.settle()
    capture(world, invoice(1, "A", sku="LATE"), "fetched as asked")
    await world.settle()
    world.refuse.add("10")
    world.answer()
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.REJECTED
    sent = len(world.commands())
    capture(world, invoice(1, "A", sku="LATE"), "weeks later, by itself")
    await world.settle()
    assert len(world.commands()) == sent


async def test_a_later_change_of_u_does_not_take_the_date_of_an_old_replay() -> None:
    """The fetch that was asked for finds nothing; the record is released meanwhile."""
    world = World()
    world.map("A", account("A"))
    world.map("10", unapplied())
    capture(world, card_payment("500.00"))
    await world.settle()
    ask(world, "Payment:pay-1", ReplayRequested, refetch=True, date=DATED)
    await world.settle()
    world.map("10", cash("EUR"))
    await world.settle()
    assert world.status("Payment:pay-1") is Status.POSTED
    capture(world, card_payment("100.00"))
    await world.settle()
    assert world.commands()[1].voucher_date == date(2026, 3, 11)


async def test_the_date_of_a_replay_holds_while_the_record_is_held() -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A", sku="LATE"))
    await world.settle()
    ask(world, "Invoice:inv-1", ReplayRequested, date=DATED)
    await world.settle()
    world.map("10", product("LATE"))
    await world.settle()
    assert world.commands()[0].voucher_date == DATED


async def test_what_a_person_booked_stays_so_when_an_unreadable_document_comes_again() -> None:
    world = await mapped_world()
    capture(world, unreadable(invoice(1, "A")))
    await world.settle()
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    capture(world, unreadable(invoice(1, "A")), "again")
    await world.settle()
    later = {"fetched_at": NOW.replace(hour=20)}
    capture(world, invoice(1, "A").model_copy(update=later))
    await world.settle()
    assert world.commands() == []
    assert world.status("Invoice:inv-1") is Status.SETTLED_BY_HAND


@pytest.mark.parametrize("asked_again", [False, True])
async def test_new_state_keeps_the_date_that_a_person_gave_to_what_is_held(*, asked_again: bool) -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A", sku="LATE"))
    await world.settle()
    ask(world, "Invoice:inv-1", ReplayRequested, date=DATED)
    await world.settle()
    if asked_again:  # without a date, which the one given before outlives
        ask(world, "Invoice:inv-1", ReplayRequested)
        await world.settle()
    await world.start_anew()
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.MAPPING_MISSING
    capture(world, invoice(1, "A", sku="LATE"), "fetched once more by the new collector")
    world.map("10", product("LATE"))
    await world.settle()
    assert [(one.record_id, one.voucher_date) for one in world.commands()] == [("Invoice:inv-1", DATED)]
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_new_state_keeps_the_date_that_a_person_gave_to_a_change_of_u_that_is_held() -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    await world.settle()
    world.map("A", AccountMappingRemoved(account_id="A", actor="eva", at=NOW))
    capture(world, card_payment("100.00"))
    await world.settle()
    ask(world, "Payment:pay-1", ReplayRequested, date=DATED)
    await world.settle()
    await world.start_anew()
    await world.settle()
    world.map("A", account("A"))
    await world.settle()
    assert [one.voucher_date for one in world.commands()] == [date(2026, 3, 6), DATED]
    assert world.net() == {"1930": Decimal(500), "2420": Decimal(-100), "1510": Decimal(-400)}


async def test_in_new_state_a_date_that_was_used_moves_no_later_voucher() -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00").model_copy(update={"account_id": "A"}))
    world.refuse.add("10")
    await world.settle()
    world.refuse.clear()
    world.refused.clear()
    ask(world, "Payment:pay-1", ReplayRequested, date=DATED)
    await world.settle()
    await world.start_anew()
    capture(world, card_payment("100.00"))
    await world.settle()
    assert [one.voucher_date for one in world.commands()[1:]] == [DATED, date(2026, 3, 11)]

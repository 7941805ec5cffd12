"""Outcomes that the log tells twice: the poster tells each command's again when its offsets are reset to the earliest.

New state weighs what people said, and what came to nothing, against the outcomes by their time: of the first telling.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from schemas.base import Status
from schemas.requests import ReplayRequested, SettlementRecorded
from tests.support.bookkeeping import (
    World,
    account,
    after,
    ask,
    capture,
    card_payment,
    cash,
    correct,
    invoice,
    mapped_world,
    product,
    refused_change_of_u,
    unapplied,
)
from tests.support.ledger import COMMANDS, NOW, VOUCHERS

PAYMENT, INVOICE = "Payment:pay-1", "Invoice:inv-1"
Told = Callable[[], Awaitable[World]]


async def settled_u() -> World:
    """A posted payment's change of U waits for a mapping; a person books it by hand."""
    world = World()
    for key, mapping in (("A", account("A")), ("10", cash("EUR"))):
        world.map(key, mapping)
    await after(world, card_payment("0.00"), card_payment("100.00"))
    assert world.status(PAYMENT) is Status.MAPPING_MISSING
    ask(world, PAYMENT, SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    assert world.status(PAYMENT) is Status.SETTLED_BY_HAND
    return world


async def u_of_nothing() -> World:
    """A payment's change of U came to nothing under the mapping of its day."""
    world = await mapped_world()
    world.map("10", unapplied(gl_account="1510"))
    return await after(world, card_payment("500.00"), card_payment("100.00"))


async def settled_after_a_refusal() -> World:
    """What IFS had refused was booked by hand."""
    world = await mapped_world()
    world.refuse.add("10")
    await after(world, invoice(1, "A"))
    ask(world, INVOICE, SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    assert world.status(INVOICE) is Status.SETTLED_BY_HAND
    return world


async def corrected_and_posted() -> World:
    """Posted, refused when it was posted anew after a correction, replayed, and posted."""
    world = await mapped_world()
    await after(world, invoice(1, "A"), invoice(1, "A", amount="80.00"))
    world.refuse_from = 2
    correct(world, INVOICE)
    await world.settle()
    assert world.status(INVOICE) is Status.REJECTED
    world.refuse_from = None
    ask(world, INVOICE, ReplayRequested)
    await world.settle()
    assert world.status(INVOICE) is Status.CORRECTED
    return world


async def settled_refused_u() -> World:
    """IFS refused a payment's change of U; a person booked it by hand."""
    world = await refused_change_of_u()
    ask(world, PAYMENT, SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    assert world.status(PAYMENT) is Status.SETTLED_BY_HAND
    return world


@pytest.mark.parametrize("told", [settled_u, settled_refused_u])
@pytest.mark.parametrize("times", [1, 2])
async def test_new_state_does_not_book_what_a_person_booked_though_zuora_told_of_it_again_since(
    told: Told, times: int
) -> None:
    world = await told()
    for hours in range(1, times + 1):
        document = card_payment("100.00").model_copy(update={"fetched_at": NOW + timedelta(hours=hours)})
        capture(world, document, f"told again {hours}")
        await world.settle()
    world.map("10", unapplied())
    await world.settle()
    sent, nets = len(world.commands()), world.nets()
    for _ in range(2):
        await world.start_anew()
        await world.settle()
        assert (len(world.commands()), world.nets()) == (sent, nets)
        assert world.status(PAYMENT) is Status.SETTLED_BY_HAND
    newer = card_payment("50.00").model_copy(update={"fetched_at": NOW + timedelta(hours=9)})
    capture(world, newer, "another U")
    await world.settle()
    assert world.status(PAYMENT) is Status.CHANGED_AFTER_POSTING
    assert len(world.commands()) == sent


def tell_again(world: World) -> None:
    """Reset the poster's offsets to the earliest: it tells of each command what it has told before."""
    world._answered = 0


@pytest.mark.parametrize("told", [settled_u, u_of_nothing, settled_after_a_refusal, corrected_and_posted])
@pytest.mark.parametrize("times", [0, 1, 2])
async def test_new_state_after_a_reset_of_the_poster_knows_what_people_had_booked_and_what_had_come_to_nothing(
    told: Told, times: int
) -> None:
    world = await told()
    (record,) = {command.record_id for command in world.commands()}
    status, nets, sent = world.status(record), world.nets(), len(world.log.all(COMMANDS))
    for _ in range(times):
        tell_again(world)
        await world.settle()
    assert (world.status(record), len(world.log.all(COMMANDS))) == (status, sent)
    for key, mapping in (("10", unapplied()), ("10", product("ANL"))):
        world.map(key, mapping)
    await world.settle()

    world.refuse.clear()
    await world.start_anew()
    await world.settle()
    newest = card_payment("100.00") if record == PAYMENT else invoice(1, "A", amount=amount_of(told))
    await after(world, newest)  # its collector fetches it once more
    assert (world.status(record), world.nets(), len(world.log.all(COMMANDS))) == (status, nets, sent)


def amount_of(told: Told) -> str:
    return "80.00" if told is corrected_and_posted else "100.00"


async def test_new_state_takes_the_word_of_shadow_mode_and_that_of_ifs_for_two_though_they_are_of_one_command() -> None:
    world = await mapped_world()
    await world.switch("shadow")
    await after(world, invoice(1, "A"))
    await world.switch("live")
    (rehearsed,) = world.posted.values()
    posted = rehearsed.model_copy(update={"shadow": False, "accounting_year": 2026, "voucher_no": 1})
    world.say(VOUCHERS, "A", posted, "of a poster that knew of no rehearsal")
    await world.start_anew()
    await world.settle()
    await after(world, invoice(1, "A", amount="80.00"))
    assert world.status(INVOICE) is Status.CHANGED_AFTER_POSTING
    assert len(world.commands()) == 1

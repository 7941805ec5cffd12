"""Shadow mode: what is rehearsed stands nowhere, whatever comes after it, and changes nothing of what stands."""

from datetime import date
from decimal import Decimal
from typing import Literal

import pytest

from schemas.base import Status
from schemas.mappings import CompanySet
from tests.support.bookkeeping import (
    NOW,
    World,
    capture,
    card_payment,
    correct,
    invoice,
    mapped_world,
    rows,
    unreadable,
)


async def rehearsing() -> World:
    """All is mapped, and nothing is posted."""
    world = await mapped_world()
    await world.switch("shadow")
    return world


@pytest.mark.parametrize("mode", ["shadow", "live"])
async def test_a_rehearsed_document_that_zuora_takes_back_is_not_posted(mode: Literal["live", "shadow"]) -> None:
    world = await rehearsing()
    for number in (1, 2):
        capture(world, invoice(number, "A"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED
    await world.switch(mode)
    capture(world, invoice(1, "A", status="Draft"))
    capture(world, invoice(2, "A").model_copy(update={"gone": True, "document": {}}))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.NOT_POSTED
    assert world.status("Invoice:inv-2") is Status.NOT_POSTED
    assert world.net() == {}


async def test_a_rehearsed_document_that_nobody_can_read_any_more_fails() -> None:
    world = await rehearsing()
    capture(world, invoice(1, "A"))
    await world.settle()
    capture(world, unreadable(invoice(1, "A")))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.FAILED


async def test_a_rehearsed_document_from_before_the_cutover_is_captured_when_it_comes_again_after_it() -> None:
    world = await rehearsing()
    capture(world, card_payment("500.00"))
    await world.settle()
    world.map("10", CompanySet(company="10", cutover=date(2026, 4, 1), actor="eva", at=NOW))
    await world.switch("live")
    capture(world, card_payment("100.00"))
    await world.settle()
    assert world.status("Payment:pay-1") is Status.CAPTURED
    assert world.net() == {}


async def test_a_correction_that_is_rehearsed_leaves_the_voucher_standing() -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A"))
    await world.settle()
    capture(world, invoice(1, "A", amount="80.00"))
    await world.switch("shadow")
    await world.settle()
    correct(world, "Invoice:inv-1")
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CHANGED_AFTER_POSTING
    assert len(world.commands()) == 2
    await world.switch("live")
    capture(world, invoice(1, "A", amount="80.00"), "told again")
    await world.settle()
    assert world.net() == {"1510": Decimal(100), "3010": Decimal(-100)}
    correct(world, "Invoice:inv-1", date=date(2026, 3, 31))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CORRECTED
    assert world.net() == {"1510": Decimal(80), "3010": Decimal(-80)}


@pytest.mark.parametrize("anew", [False, True])
async def test_a_change_of_u_that_is_rehearsed_is_booked_once_it_counts(*, anew: bool) -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    await world.settle()
    await world.switch("shadow")
    capture(world, card_payment("100.00"))
    await world.settle()
    assert rows(world)[-1] == ["1510 Cr 400.00", "2420 Dr 400.00"]
    await world.switch("live")
    if anew:
        await world.start_anew()
        await world.settle()
    capture(world, card_payment("50.00"))
    await world.settle()
    assert world.net() == {"1930": Decimal(500), "1510": Decimal(-450), "2420": Decimal(-50)}

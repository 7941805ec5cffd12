"""Shadow mode: what is rehearsed stands nowhere, whatever comes after it, and changes nothing of what stands."""

from datetime import date
from decimal import Decimal
from typing import Literal

import pytest

from schemas.base import DocumentType, Status
from schemas.mappings import CompanySet
from tests.support.bookkeeping import (
    World,
    after,
    capture,
    card_payment,
    correct,
    invoice,
    mapped_world,
    rows,
    unreadable,
)
from tests.support.ledger import NOW
from tests.support.memos_and_refunds import posting, refund


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
    await after(world, invoice(1, "A"), unreadable(invoice(1, "A")))
    assert world.status("Invoice:inv-1") is Status.FAILED


async def test_a_rehearsed_document_from_before_the_cutover_is_captured_when_it_comes_again_after_it() -> None:
    world = await rehearsing()
    await after(world, card_payment("500.00"))
    world.map("10", CompanySet(company="10", cutover=date(2026, 4, 1), actor="eva", at=NOW))
    await world.switch("live")
    await after(world, card_payment("100.00"))
    assert world.status("Payment:pay-1") is Status.CAPTURED
    assert world.net() == {}


async def test_a_correction_that_is_rehearsed_leaves_the_voucher_standing() -> None:
    world = await mapped_world()
    await after(world, invoice(1, "A"))
    capture(world, invoice(1, "A", amount="80.00"))
    await world.switch("shadow")
    await world.settle()
    correct(world, "Invoice:inv-1")
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CHANGED_AFTER_POSTING
    assert len(world.commands()) == 2
    await world.switch("live")
    await after(world, invoice(1, "A", amount="80.00"))
    assert world.net() == {"1510": Decimal(100), "3010": Decimal(-100)}
    correct(world, "Invoice:inv-1", date=date(2026, 3, 31))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CORRECTED
    assert world.net() == {"1510": Decimal(80), "3010": Decimal(-80)}


@pytest.mark.parametrize("anew", [False, True])
async def test_a_change_of_u_that_is_rehearsed_is_booked_once_it_counts(*, anew: bool) -> None:
    world = await mapped_world()
    await after(world, card_payment("500.00"))
    await world.switch("shadow")
    await after(world, card_payment("100.00"))
    assert rows(world)[-1] == ["1510 Cr 400.00", "2420 Dr 400.00"]
    await world.switch("live")
    if anew:
        await world.start_anew()
        await world.settle()
    await after(world, card_payment("50.00"))
    assert world.net() == {"1930": Decimal(500), "1510": Decimal(-450), "2420": Decimal(-50)}


async def rehearsed_refund() -> World:
    """A payment is rehearsed, then a refund of it; IFS would post all that is sent from now on."""
    world = await rehearsing()
    world.map("*", posting(DocumentType.REFUND))
    await world.settle()
    await after(world, card_payment("0"), refund("500.00"))
    return world


async def test_a_refund_of_a_rehearsed_payment_is_rehearsed() -> None:
    world = await rehearsed_refund()
    assert rows(world)[-1] == ["1510 Dr 500.00", "1930 Cr 500.00"]
    told = world.history("Refund:ref-1")[-1]
    assert (told.status, told.reason) == (Status.POSTED, "shadow")


async def test_a_refund_that_comes_before_its_payment_is_rehearsed_after_it() -> None:
    world = await rehearsing()
    world.map("*", posting(DocumentType.REFUND))
    await after(world, refund("500.00"), card_payment("0"))
    assert rows(world)[-1] == ["1510 Dr 500.00", "1930 Cr 500.00"]


async def test_a_refund_that_is_sent_in_shadow_mode_is_not_posted_where_the_mode_changes_before_it_is_answered() -> (
    None
):
    world = await rehearsing()
    world.map("*", posting(DocumentType.REFUND))
    await after(world, card_payment("0"))
    world.hold_answers()
    await after(world, refund("500.00"))
    await world.switch("live")
    world.answer()
    await world.settle()
    assert world.history("Refund:ref-1")[-1].reason == "shadow"
    assert world.net() == {}


async def test_a_rehearsed_refund_is_posted_when_its_payment_is() -> None:
    world = await rehearsed_refund()
    await world.switch("live")
    await world.settle()
    assert world.net() == {}
    await after(world, card_payment("0"))
    assert world.net() == {}  # 500.00 came in and went out again
    assert [posted.shadow for posted in world.posted.values()] == [True, True, False, False]
    assert world.history("Refund:ref-1")[-1].reason is None


async def test_a_refund_of_a_payment_that_was_rehearsed_alone_waits_where_vouchers_are_posted() -> None:
    world = await rehearsed_refund()
    await world.switch("live")
    await after(world, refund("500.00"))
    told = world.history("Refund:ref-1")[-1]
    assert (told.status, told.reason) == (Status.CAPTURED, "its payment is not posted")


async def test_a_rehearsed_refund_that_zuora_cancels_waits_for_its_payment_no_more() -> None:
    world = await rehearsed_refund()
    await after(world, refund("500.00", status="Canceled"))
    await world.switch("live")
    await after(world, card_payment("0"))
    assert world.status("Refund:ref-1") is Status.NOT_POSTED
    assert world.net() == {"1930": Decimal(500), "1510": Decimal(-500)}

"""Payments that are applied, unapplied and paid back after they were posted."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from schemas.base import DocumentType, Status
from schemas.mappings import PostingRuleSet
from schemas.notifications import DocumentCaptured
from schemas.requests import ReplayRequested, SettlementRecorded
from tests.support.bookkeeping import (
    World,
    account,
    ask,
    capture,
    card_payment,
    cash,
    correct,
    mapped_world,
    refused_change_of_u,
    rows,
    unapplied,
)
from tests.support.ledger import NOW


def refund(amount: str) -> DocumentCaptured:
    """A chargeback of payment pay-1."""
    return DocumentCaptured(
        record_id="Refund:ref-1",
        document_type=DocumentType.REFUND,
        document_id="ref-1",
        document_number="R-1",
        account_id="A",
        currency="EUR",
        amount=Decimal(amount),
        received_at=NOW,
        fetched_at=NOW,
        document={
            "id": "ref-1",
            "number": "R-1",
            "accountId": "A",
            "type": "External",
            "status": "Processed",
            "amount": amount,
            "refundDate": "2026-03-20",
            "paymentId": "pay-1",
            "gatewayId": None,
            "parts": [],
            "payment": card_payment("0").document,
        },
    )


async def test_a_payment_that_is_applied_and_unapplied_is_followed_by_vouchers_of_the_difference() -> None:
    world = await mapped_world()
    for u in ("500.00", "100.00", "350.00"):
        capture(world, card_payment(u))
        await world.settle()

    assert rows(world) == [
        ["1930 Dr 500.00", "2420 Cr 500.00"],
        ["1510 Cr 400.00", "2420 Dr 400.00"],
        ["1510 Dr 250.00", "2420 Cr 250.00"],
    ]
    references = [command.reference for command in world.commands()]
    assert [reference.endswith("-A") for reference in references] == [False, True, True]
    assert world.commands()[1].known_rate is not None
    assert world.status("Payment:pay-1") is Status.POSTED


async def test_all_events_of_a_payment_again_post_nothing_new() -> None:
    world = await mapped_world()
    for u in ("500.00", "100.00"):
        capture(world, card_payment(u))
        await world.settle()
    world.cursors.clear()
    await world.settle()
    assert len(world.commands()) == 2


async def test_new_state_knows_from_the_outcomes_what_is_booked() -> None:
    world = await mapped_world()
    for u in ("500.00", "100.00"):
        capture(world, card_payment(u))
        await world.settle()
    await world.start_anew()
    await world.settle()
    assert len(world.commands()) == 2
    capture(world, card_payment("350.00"))
    await world.settle()
    assert rows(world)[-1] == ["1510 Dr 250.00", "2420 Cr 250.00"]


async def test_a_change_of_u_while_the_voucher_is_on_its_way_is_booked_after_it() -> None:
    world = await mapped_world()
    world.hold_answers()
    capture(world, card_payment("500.00"))
    await world.settle()
    capture(world, card_payment("100.00"))
    await world.settle()
    assert len(world.commands()) == 1
    world.answer()
    await world.settle()
    assert rows(world)[-1] == ["1510 Cr 400.00", "2420 Dr 400.00"]


async def world_without_unapplied(*, posted_u: str, u: str) -> World:
    """A payment is posted; its change of U waits for the account of unapplied cash."""
    world = World()
    world.map("A", account("A"))
    world.map("10", cash("EUR"))
    for each in (posted_u, u):
        capture(world, card_payment(each))
        await world.settle()
    assert world.status("Payment:pay-1") is Status.MAPPING_MISSING
    return world


async def test_a_change_of_u_that_zuora_takes_back_while_it_is_held_is_never_booked() -> None:
    world = await world_without_unapplied(posted_u="0", u="100.00")
    capture(world, card_payment("0"), "applied again")
    await world.settle()
    assert world.status("Payment:pay-1") is Status.POSTED
    world.map("10", unapplied())
    await world.settle()
    assert rows(world) == [["1930 Dr 500.00", "1510 Cr 500.00"]]


async def test_a_held_change_of_u_ends_as_posted_when_both_its_sides_are_mapped_to_one_account() -> None:
    world = await world_without_unapplied(posted_u="0", u="100.00")
    world.map("10", unapplied(gl_account="1510"))
    await world.settle()
    assert world.status("Payment:pay-1") is Status.POSTED
    assert len(world.commands()) == 1


async def test_a_refused_change_of_u_that_zuora_takes_back_waits_for_nobody_any_more() -> None:
    world = await refused_change_of_u()
    capture(world, card_payment("500.00"), "unapplied again")
    await world.settle()
    assert world.status("Payment:pay-1") is Status.POSTED
    assert len(world.commands()) == 2


@pytest.mark.parametrize("refetch", [False, True])
async def test_a_refused_change_of_u_is_sent_again_when_a_person_replays_it(*, refetch: bool) -> None:
    world = await refused_change_of_u()
    capture(world, card_payment("100.00"), "told again by Zuora alone")
    await world.settle()
    assert len(world.commands()) == 2
    ask(world, "Payment:pay-1", ReplayRequested, refetch=refetch, date=date(2026, 4, 1))
    if refetch:
        await world.settle()
        capture(world, card_payment("100.00"), "fetched again")
    await world.settle()
    assert world.status("Payment:pay-1") is Status.POSTED
    assert world.commands()[-1].voucher_date == date(2026, 4, 1)
    assert rows(world)[-1] == ["1510 Cr 400.00", "2420 Dr 400.00"]


async def test_a_refused_change_of_u_that_was_settled_by_hand_is_sent_when_a_person_undoes_that() -> None:
    world = await refused_change_of_u()
    ask(world, "Payment:pay-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    assert world.status("Payment:pay-1") is Status.SETTLED_BY_HAND
    ask(world, "Payment:pay-1", ReplayRequested)
    await world.settle()
    assert world.status("Payment:pay-1") is Status.POSTED
    assert rows(world)[-1] == ["1510 Cr 400.00", "2420 Dr 400.00"]


async def test_a_refund_of_a_payment_waits_until_that_payment_is_posted() -> None:
    world = await mapped_world()
    rule = PostingRuleSet(company="*", document_type=DocumentType.REFUND, post=True, actor="eva", at=NOW)
    world.map("*", rule)
    await world.settle()
    capture(world, refund("500.00"))
    await world.settle()
    assert world.status("Refund:ref-1") is Status.CAPTURED
    capture(world, card_payment("0"))
    await world.settle()
    assert world.status("Refund:ref-1") is Status.POSTED
    assert rows(world)[-1] == ["1510 Dr 500.00", "1930 Cr 500.00"]


@pytest.mark.parametrize("anew", [False, True])
async def test_a_new_u_after_a_payment_was_brought_up_to_date_by_hand_is_shown_to_a_person(*, anew: bool) -> None:
    world = await refused_change_of_u()
    ask(world, "Payment:pay-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    if anew:
        await world.start_anew()
        await world.settle()
    capture(world, card_payment("100.00"), "told again")
    await world.settle()
    assert world.status("Payment:pay-1") is Status.SETTLED_BY_HAND

    for number, u in enumerate(("50.00", "100.00")):
        capture(world, later(card_payment(u)), f"since {number}")
        await world.settle()
        assert world.status("Payment:pay-1") is Status.CHANGED_AFTER_POSTING
    assert len(world.commands()) == 2
    correct(world, "Payment:pay-1")
    await world.settle()
    assert world.status("Payment:pay-1") is Status.CORRECTED
    assert world.net() == {"1930": Decimal(500), "1510": Decimal(-400), "2420": Decimal(-100)}


def later(document: DocumentCaptured) -> DocumentCaptured:
    """The document as it is fetched an hour later."""
    return document.model_copy(update={"fetched_at": NOW + timedelta(hours=1)})

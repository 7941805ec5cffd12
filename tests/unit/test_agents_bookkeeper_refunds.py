"""The life of refunds, memos and adjustments: what they follow, what becomes of them when that changes."""

from decimal import Decimal

import pytest

from schemas.base import DocumentType, Status
from schemas.notifications import DocumentCaptured
from schemas.requests import ReplayRequested, SettlementRecorded
from tests.support.bookkeeping import (
    DOCUMENTS,
    World,
    after,
    ask,
    card_payment,
    correct,
    mapped_world,
    product,
    rows,
    unreadable,
)
from tests.support.memos_and_refunds import adjustment, memo, memo_refund, posting, refund

CREDIT_MEMO, DEBIT_MEMO = DocumentType.CREDIT_MEMO, DocumentType.DEBIT_MEMO
BACK = ["1510 Dr 500.00", "1930 Cr 500.00"]


async def all_posting() -> World:
    """Documents of every type are posted, and mapped."""
    world = await mapped_world()
    for document_type in (DocumentType.REFUND, CREDIT_MEMO, DEBIT_MEMO, DocumentType.ADJUSTMENT):
        world.map("*", posting(document_type))
    world.map("10", product("3010").model_copy(update={"match_on": "accounting_code"}))
    await world.settle()
    return world


# --- refunds of payments --------------------------------------------------------------------------------------------


async def test_a_refund_of_a_payment_that_was_booked_by_hand_stays_captured_and_can_be_booked_by_hand_too() -> None:
    world = await all_posting()
    world.refuse.add("10")
    await after(world, card_payment("0"))
    ask(world, "Payment:pay-1", SettlementRecorded, voucher="10/M/2026/4711")
    world.refuse.clear()
    await after(world, refund("500.00"))
    assert world.status("Refund:ref-1") is Status.CAPTURED
    ask(world, "Refund:ref-1", SettlementRecorded, voucher="10/M/2026/4712")
    await world.settle()
    await after(world, refund("500.00"))
    assert world.status("Refund:ref-1") is Status.SETTLED_BY_HAND
    assert world.net() == {}


async def test_a_refund_waits_while_its_payment_is_refused_and_is_posted_once_that_is_replayed() -> None:
    world = await all_posting()
    world.refuse.add("10")
    await after(world, card_payment("0"), refund("500.00"))
    assert world.status("Refund:ref-1") is Status.CAPTURED
    world.refuse.clear()
    ask(world, "Payment:pay-1", ReplayRequested)
    await world.settle()
    assert rows(world)[-1] == BACK


async def test_a_refund_waits_while_its_payment_is_held_for_a_mapping() -> None:
    world = World()
    world.map("*", posting(DocumentType.REFUND))
    await after(world, card_payment("500.00"), refund("500.00"))
    assert world.status("Refund:ref-1") is Status.CAPTURED
    filled = await all_posting()
    for event in filled.log.all("ledger.mapping.v1"):
        world.log.append(event.topic, key=event.key, value=event.value, headers=event.headers)
    await world.settle()
    assert rows(world)[-1] == BACK


async def test_a_refund_is_posted_though_a_change_of_its_payments_u_is_held_or_refused() -> None:
    world = await all_posting()
    await after(world, card_payment("500.00"))
    world.refuse.add("10")
    await after(world, card_payment("300.00"))
    world.refuse.clear()
    await after(world, refund("200.00"))
    assert world.status("Payment:pay-1") is Status.REJECTED
    assert rows(world)[-1] == ["1510 Dr 200.00", "1930 Cr 200.00"]


async def test_a_posted_refund_stays_when_its_payment_is_corrected_and_comes_again_as_seen() -> None:
    world = await all_posting()
    changed = card_payment("0").model_copy(update={"document": card_payment("0").document | {"gatewayId": "GW2"}})
    await after(world, card_payment("0"), refund("500.00"), changed)
    correct(world, "Payment:pay-1")
    await world.settle()
    await after(world, refund("500.00"))
    assert world.status("Payment:pay-1") is Status.CORRECTED
    assert (world.status("Refund:ref-1"), len(world.commands())) == (Status.POSTED, 4)
    assert world.net() == {}


async def test_a_refund_that_comes_while_its_payment_is_being_corrected_follows_the_new_voucher() -> None:
    world = await all_posting()
    changed = card_payment("0").model_copy(update={"document": card_payment("0").document | {"gatewayId": "GW2"}})
    await after(world, card_payment("0"), changed)
    correct(world, "Payment:pay-1")
    world.hold_answers()
    await world.settle()
    world.answer_one()  # the reversal; the new voucher is on its way
    await world.settle()
    await after(world, refund("500.00"))
    assert world.status("Refund:ref-1") is Status.CAPTURED
    world.answer()
    await world.settle()
    assert rows(world)[-1] == BACK


async def test_a_refund_is_posted_under_the_account_that_its_payment_moved_to_once_that_is_corrected() -> None:
    world = await all_posting()
    await after(world, card_payment("500.00"))
    for key in ("A", "B"):
        world.say(DOCUMENTS, key, card_payment("500.00", account_id="B", former=("A",)), f"to {key}")
    await world.settle()
    await after(world, refund("500.00", account_id="B"))
    assert world.status("Refund:ref-1") is Status.CAPTURED
    correct(world, "Payment:pay-1")
    await world.settle()
    assert [command.account_id for command in world.commands()] == ["A", "A", "B", "B"]
    assert rows(world)[-1] == BACK


@pytest.mark.parametrize("document", [refund("500.00", status="Canceled"), refund("200.00")])
async def test_a_refund_that_changes_after_it_was_posted_is_corrected_on_a_persons_word(
    document: DocumentCaptured,
) -> None:
    world = await after(await all_posting(), card_payment("0"), refund("500.00"), document)
    assert world.status("Refund:ref-1") is Status.CHANGED_AFTER_POSTING
    correct(world, "Refund:ref-1")
    await world.settle()
    assert world.status("Refund:ref-1") is Status.CORRECTED
    left = Decimal(0) if document.document["status"] == "Canceled" else Decimal(200)
    assert world.net() == {"1930": Decimal(500) - left, "1510": left - 500}


async def test_a_payment_that_changed_after_posting_and_back_leaves_its_refund_as_it_is() -> None:
    world = await after(await all_posting(), card_payment("0"), refund("500.00"), unreadable(card_payment("0")))
    await after(world, card_payment("0"), refund("500.00"))
    assert len(world.commands()) == 2
    assert world.net() == {}


async def test_a_refund_out_of_what_is_unapplied_leaves_the_rest_of_it() -> None:
    world = await after(await all_posting(), card_payment("500.00"), refund("200.00"), card_payment("300.00"))
    assert world.net() == {"1930": Decimal(300), "2420": Decimal(-300)}
    await after(world, card_payment("300.00"), refund("200.00"))
    assert len(world.commands()) == 3


# --- memos, adjustments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document_type", [CREDIT_MEMO, DEBIT_MEMO])
async def test_a_memo_that_is_applied_and_unapplied_makes_no_further_voucher(document_type: DocumentType) -> None:
    world = await after(
        await all_posting(), *(memo(document_type, "50.00", applied=applied) for applied in ("0", "20.00", "0"))
    )
    assert (world.status(f"{document_type.value}:{memo(document_type, '0').document_id}"), len(world.commands())) == (
        Status.POSTED,
        1,
    )


async def test_a_memo_and_its_refund_are_posted_each_by_its_own_rule() -> None:
    world = await after(await all_posting(), memo_refund("50.00"), memo(CREDIT_MEMO, "50.00"))
    assert rows(world) == [["1510 Dr 50.00", "1930 Cr 50.00"], ["1510 Cr 50.00", "3010 Dr 50.00"]]


async def test_what_is_captured_is_posted_in_order_once_its_rule_says_so_and_what_was_cancelled_is_not() -> None:
    world = await mapped_world()
    world.map("10", product("3010").model_copy(update={"match_on": "accounting_code"}))
    await after(world, memo(CREDIT_MEMO, "50.00"), memo(DEBIT_MEMO, "60.00"), adjustment("5.00", "Charge"))
    await after(world, memo(DEBIT_MEMO, "60.00", status="Canceled"))
    for document_type in (CREDIT_MEMO, DEBIT_MEMO, DocumentType.ADJUSTMENT):
        world.map("*", posting(document_type))
    await world.settle()
    assert world.status("DebitMemo:dm-1") is Status.NOT_POSTED
    assert world.net() == {"1510": Decimal(-45), "3010": Decimal(45)}


async def test_an_adjustment_that_is_cancelled_after_it_was_posted_is_reversed_on_a_persons_word() -> None:
    charge, cancelled = adjustment("5.00", "Charge"), adjustment("5.00", "Charge", status="Canceled")
    world = await after(await all_posting(), charge, cancelled)
    assert world.status("Adjustment:adj-1") is Status.CHANGED_AFTER_POSTING
    correct(world, "Adjustment:adj-1")
    await world.settle()
    assert (world.status("Adjustment:adj-1"), world.net()) == (Status.CORRECTED, {})

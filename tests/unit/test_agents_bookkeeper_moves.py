"""Documents that move between accounts, and words that come twice or late: one of the partitions goes on, once."""

import pytest

from schemas.base import Status
from schemas.mappings import AccountMappingRemoved
from schemas.notifications import DocumentCaptured
from schemas.requests import CorrectionRequested, ReplayRequested, SettlementRecorded
from schemas.topics import HANDED_OVER
from tests.support.bookkeeping import (
    DEAD_LETTERS,
    DOCUMENTS,
    World,
    account,
    ask,
    capture,
    card_payment,
    cash,
    correct,
    mapped_world,
    unapplied,
    unreadable,
)
from tests.support.ledger import COMMANDS, NAMES, NOW

PAYMENT = "Payment:pay-1"


def moved(account_id: str, former: str, *, amount: str = "500.00") -> DocumentCaptured:
    """The payment under another account than before."""
    document = card_payment("500.00", account_id=account_id, former=(former,))
    source = document.document | {"amount": amount, "unappliedAmount": amount}
    return document.model_copy(update={"document": source})


def tell_both(world: World, document: DocumentCaptured, name: str) -> None:
    for key in ("A", "B"):
        world.say(DOCUMENTS, key, document, name)


async def corrected_move() -> World:
    """Posted under A, moved to B, corrected: posted under B."""
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    await world.settle()
    tell_both(world, moved("B", "A"), "to B")
    await world.settle()
    correct(world, PAYMENT)
    await world.settle()
    assert [command.account_id for command in world.commands()] == ["A", "A", "B"]
    return world


async def test_the_word_of_a_hand_over_again_while_its_voucher_is_on_its_way_changes_nothing() -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    tell_both(world, moved("B", "A"), "to B")
    world.hold_answers()
    await world.settle()
    world.answer()
    await world.settle()
    world.hold_answers()
    correct(world, PAYMENT)
    await world.settle()
    while world.commands()[-1].account_id != "B":
        world.answer_one()
        await world.settle()
    assert world.status(PAYMENT) is Status.POSTING
    world.rewind(NAMES.working(HANDED_OVER))
    await world.settle()
    assert world.status(PAYMENT) is Status.POSTING
    world.answer()
    await world.settle()
    assert world.status(PAYMENT) is Status.POSTED


async def test_a_reset_after_a_move_and_a_change_leaves_the_change_to_a_person() -> None:
    world = await corrected_move()
    tell_both(world, moved("B", "A", amount="300.00"), "edited")
    await world.settle()
    assert world.status(PAYMENT) is Status.CHANGED_AFTER_POSTING
    sent = len(world.log.all(COMMANDS))
    world.cursors.clear()
    await world.settle()
    assert world.status(PAYMENT) is Status.CHANGED_AFTER_POSTING
    assert len(world.log.all(COMMANDS)) == sent


async def test_a_reset_after_a_move_there_and_back_sends_nothing() -> None:
    world = await corrected_move()
    tell_both(world, moved("A", "B"), "back to A")
    await world.settle()
    correct(world, PAYMENT)
    await world.settle()
    assert [command.account_id for command in world.commands()] == ["A", "A", "B", "B", "A"]
    sent = len(world.log.all(COMMANDS))
    world.cursors.clear()
    await world.settle()
    assert world.status(PAYMENT) is Status.CORRECTED
    assert len(world.log.all(COMMANDS)) == sent


@pytest.mark.parametrize("seed", range(12))
async def test_a_held_payment_that_moves_there_and_back_before_anybody_looks_is_posted_where_it_is(seed: int) -> None:
    world = World(seed)
    await world.settle()
    for number, (account_id, former) in enumerate((("B", ()), ("A", ("B",)), ("A", ("B",)), ("B", ("A",)))):
        document = card_payment("500.00", account_id=account_id, former=former)
        fetched_at = document.fetched_at.replace(second=number)
        document = document.model_copy(update={"fetched_at": fetched_at})
        for key in ("A", "B") if former else ("B",):
            world.say(DOCUMENTS, key, document, f"move {number}")
    for name in ("A", "B"):
        world.map(name, account(name))
    for rule in (cash("EUR"), unapplied()):
        world.map("10", rule)
    await world.settle()
    assert world.status(PAYMENT) is not Status.POSTING
    if world.status(PAYMENT) is Status.CHANGED_AFTER_POSTING:  # all was mapped before the first move was read
        correct(world, PAYMENT)
        await world.settle()
    assert world.history(PAYMENT)[-1].account_id == "B"
    assert sum(world.net().values()) == 0
    assert world.net()["1930"] == 500


async def test_a_payment_that_is_gone_by_the_time_it_is_handed_over_ends_as_not_posted() -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    await world.settle()
    tell_both(world, moved("B", "A"), "to B")
    await world.settle()
    world.hold_answers()
    correct(world, PAYMENT)
    await world.settle()
    gone = moved("B", "A").model_copy(update={"gone": True, "document": {}})
    world.say(DOCUMENTS, "B", gone, "gone")
    await world.settle()
    world.answer()
    await world.settle()
    assert world.status(PAYMENT) is Status.NOT_POSTED
    assert world.net() == {}


async def test_what_moved_is_taken_back_though_its_document_went_on_elsewhere_where_nobody_here_was_told() -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    await world.settle()
    tell_both(world, moved("B", "A"), "to B")
    await world.settle()
    gone = moved("B", "A").model_copy(update={"gone": True, "document": {}})
    world.say(DOCUMENTS, "B", gone, "gone")
    await world.settle()
    posted = world.history(PAYMENT)[-1].posted_fingerprint
    ask(world, PAYMENT, CorrectionRequested, posted_fingerprint=posted, document_fingerprint="")
    await world.settle()
    assert world.net() == {}
    assert world.status(PAYMENT) is Status.NOT_POSTED


async def test_what_was_refused_is_not_sent_again_because_it_moved_there_and_back() -> None:
    world = await mapped_world()
    world.map("B", AccountMappingRemoved(account_id="B", actor="eva", at=NOW))
    world.refuse.add("10")
    capture(world, card_payment("500.00"))
    await world.settle()
    assert world.status(PAYMENT) is Status.REJECTED
    tell_both(world, moved("B", "A"), "to B")
    await world.settle()
    tell_both(world, moved("A", "B"), "back to A")
    world.refuse.clear()
    await world.settle()
    assert world.status(PAYMENT) is Status.REJECTED
    assert len(world.commands()) == 1
    ask(world, PAYMENT, ReplayRequested)
    await world.settle()
    assert world.status(PAYMENT) is Status.POSTED


async def test_what_is_gone_says_nothing_in_the_account_that_gave_the_document_away() -> None:
    world = await corrected_move()
    gone = moved("B", "A").model_copy(update={"gone": True, "document": {}})
    world.say(DOCUMENTS, "B", gone, "gone")
    await world.settle()
    world.say(DOCUMENTS, "A", gone, "gone")
    await world.settle()
    last = world.history(PAYMENT)[-1]
    assert (last.status, last.reason, last.account_id) == (Status.CHANGED_AFTER_POSTING, "gone from Zuora", "B")


async def test_what_was_booked_by_hand_is_not_posted_because_it_moves_but_when_a_person_replays_it() -> None:
    world = World()
    for name in ("A", "B"):
        world.map(name, account(name))
    capture(world, card_payment("500.00"))
    await world.settle()
    ask(world, PAYMENT, SettlementRecorded, voucher="10/M/2026/4711")
    for rule in (cash("EUR"), unapplied()):
        world.map("10", rule)
    await world.settle()
    tell_both(world, moved("B", "A"), "to B")
    await world.settle()
    assert (world.status(PAYMENT), world.commands()) == (Status.SETTLED_BY_HAND, [])
    ask(world, PAYMENT, ReplayRequested)
    await world.settle()
    assert [command.account_id for command in world.commands()] == ["B"]
    assert world.status(PAYMENT) is Status.POSTED


async def test_a_hand_over_that_finds_a_document_nobody_can_read_is_not_lost_for_the_next_that_can_be() -> None:
    world = World()
    await world.settle()
    capture(world, card_payment("500.00"))
    await world.settle()
    whole = moved("B", "A")
    tell_both(world, whole, "to B")
    tell_both(world, unreadable(whole), "unreadable")
    for topic in (DOCUMENTS, NAMES.working(HANDED_OVER)):  # partition B has read both before the word comes
        await world.handle_all([topic])
    assert world.log.all(DEAD_LETTERS) == []
    assert world.status(PAYMENT) is Status.FAILED
    tell_both(world, whole, "readable again")
    for name in ("A", "B"):
        world.map(name, account(name))
    for rule in (cash("EUR"), unapplied()):
        world.map("10", rule)
    await world.settle()
    assert world.status(PAYMENT) is Status.POSTED
    assert world.net() == {"1930": 500, "2420": -500}

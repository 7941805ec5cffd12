"""Older states of a document behind newer ones, as a collector sends them that was taken for dead."""

from typing import Any

import pytest

from schemas import topics
from schemas.base import Status
from schemas.envelope import decode
from schemas.notifications import DocumentCaptured, NotificationReceived
from streams.accounting.bookkeeping import CAME_LATE
from tests.support.bookkeeping import DOCUMENTS, World, account, capture, invoice, mapped_world, product, unreadable
from tests.support.ledger import COMMANDS, NAMES

INVOICE = "Invoice:inv-1"
FETCHES = NAMES.public(topics.NOTIFICATION)


def state_of(minute: int, amount: str, **changes: Any) -> DocumentCaptured:
    """The invoice as Zuora changed it at that minute."""
    return invoice(1, "A", amount=amount).model_copy(update={"updated_date": f"2026-03-01 12:{minute:02}:00"} | changes)


async def take(world: World, *documents: DocumentCaptured) -> None:
    for document in documents:
        capture(world, document, f"document {len(world.log.all(DOCUMENTS))}")
        await world.settle()


def asked_for(world: World) -> list[str]:
    """The documents that were asked for again."""
    return [decode(NotificationReceived, event.value).object_id for event in world.log.all(FETCHES)]


@pytest.mark.parametrize(
    "late",
    [state_of(1, "100.00"), unreadable(state_of(1, "100.00")), state_of(1, "100.00", gone=True, document={})],
    ids=["another amount", "unreadable", "gone"],
)
async def test_an_older_state_behind_a_newer_one_is_asked_for_again_and_changes_nothing(late: DocumentCaptured) -> None:
    world = await mapped_world()
    await take(world, state_of(2, "80.00"), late)
    assert (world.status(INVOICE), world.history(INVOICE)[-1].note) == (Status.POSTED, CAME_LATE)
    assert asked_for(world) == ["inv-1"]
    await take(world, state_of(2, "80.00"))

    assert (world.status(INVOICE), world.net()) == (Status.POSTED, {"1510": 80, "3010": -80})
    world.rewind(DOCUMENTS)
    await world.settle()
    assert asked_for(world) == ["inv-1"]
    await world.start_anew()
    await world.settle()
    assert (world.status(INVOICE), len(world.log.all(COMMANDS))) == (Status.POSTED, 1)


async def test_what_is_older_still_when_it_was_asked_for_again_is_what_zuora_has() -> None:
    world = await mapped_world()
    await take(world, state_of(59, "80.00"), state_of(1, "100.00"), state_of(1, "100.00"))

    assert (world.status(INVOICE), asked_for(world)) == (Status.CHANGED_AFTER_POSTING, ["inv-1"])


async def test_a_held_record_keeps_its_newer_state_and_is_released_with_it() -> None:
    world = World()
    world.map("10", product("ANL"))
    await take(world, state_of(2, "80.00"), state_of(1, "100.00"))
    assert world.status(INVOICE) is Status.MAPPING_MISSING
    world.map("A", account("A"))
    await world.settle()

    assert world.net() == {"1510": 80, "3010": -80}


async def test_an_older_state_does_not_wait_for_the_outcome_of_a_newer_one() -> None:
    world = await mapped_world()
    world.hold_answers()
    await take(world, state_of(2, "80.00"), state_of(1, "100.00"))
    world.answer()
    await world.settle()

    assert (world.status(INVOICE), world.net()) == (Status.POSTED, {"1510": 80, "3010": -80})


async def test_a_state_whose_date_has_another_form_or_none_is_taken() -> None:
    world = await mapped_world()
    await take(world, state_of(2, "80.00"), state_of(1, "90.00", updated_date="2026-03-01"))
    assert world.status(INVOICE) is Status.CHANGED_AFTER_POSTING
    assert not asked_for(world)

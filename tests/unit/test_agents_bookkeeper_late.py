"""Commands that arrive late, of a worker that was taken for dead: one voucher stands, and a person sees what came."""

import pytest

from agents.runtime import Event
from schemas.base import Status
from schemas.requests import SettlementRecorded
from schemas.topics import RELEASE
from streams.accounting.outcomes import REFUSED_LATE, SENT_LATE
from tests.support.bookkeeping import (
    DOCUMENTS,
    MAPPINGS,
    REQUESTS,
    World,
    account,
    ask,
    capture,
    correct,
    invoice,
    product,
)
from tests.support.ledger import COMMANDS, NAMES
from tests.support.memory_log import MemoryWork

INVOICE = "Invoice:inv-1"


async def held() -> World:
    """An invoice of 100.00 whose account is not mapped yet."""
    world = World()
    world.map("10", product("ANL"))
    capture(world, invoice(1, "A"))
    await world.settle()
    return world


async def frozen_with_a_voucher() -> World:
    """The invoice was released by a worker whose command has not arrived yet when another takes over."""
    world = await held()
    world.map("A", account("A"))
    await world.handle_all([MAPPINGS])
    await freeze_at(world, NAMES.working(RELEASE))
    return world


async def freeze_at(world: World, topic: str) -> None:
    """Let the worker be taken for dead while the commands that follow from the next event are under way."""
    event: Event | None = world.next_event([topic])
    assert event is not None
    sent_before = len(world.log.topics[COMMANDS][0])
    world._enter(event.partition)
    await world.bookkeeper.on_event(event, MemoryWork(world.log, event.partition))  # type: ignore[arg-type]
    await world.freeze(sent_before)
    assert world.late


async def take_newer(world: World, **changes: str) -> None:
    """Let the next worker meet a newer state of the invoice before all else."""
    capture(world, invoice(1, "A", **changes), f"newer {changes}")
    await world.handle_all([DOCUMENTS])


async def go_on(world: World) -> None:
    """Carry everything to its end; no start reads what was said."""
    while (event := world.next_event()) is not None or world._ifs():
        if event is not None:
            await world.handle(event)


async def sends_nothing_under_a_new_app_id(world: World) -> bool:
    sent, status = len(world.log.all(COMMANDS)), world.status(INVOICE)
    await world.start_anew()
    await world.settle()
    return (len(world.log.all(COMMANDS)), world.status(INVOICE)) == (sent, status)


@pytest.mark.parametrize("newer", [{"status": "Draft"}, {"amount": "0.00"}])
async def test_a_voucher_that_arrives_after_zuora_took_it_back_is_told_and_a_person_reverses_it(
    newer: dict[str, str],
) -> None:
    world = await frozen_with_a_voucher()
    await take_newer(world, **newer)
    await go_on(world)
    assert world.status(INVOICE) is Status.NOT_POSTED
    world.deliver_late()
    await go_on(world)

    posted, changed = world.history(INVOICE)[-2:]
    assert (posted.status, posted.note) == (Status.POSTED, SENT_LATE)
    assert changed.status is Status.CHANGED_AFTER_POSTING
    correct(world, INVOICE)
    await go_on(world)
    assert world.net() == {}
    assert await sends_nothing_under_a_new_app_id(world)


async def test_a_voucher_that_arrives_after_the_newer_one_is_refused_and_changes_nothing() -> None:
    world = await frozen_with_a_voucher()
    await take_newer(world, amount="80.00")
    await go_on(world)
    world.deliver_late()
    await go_on(world)
    assert len(world.refused) == 1
    await world.start()  # which finds the late command in the log, and that it is answered
    await go_on(world)

    assert (world.status(INVOICE), world.net()) == (Status.POSTED, {"1510": 80, "3010": -80})
    assert world.history(INVOICE)[-1].note == REFUSED_LATE
    await take_newer(world, amount="70.00")
    assert world.status(INVOICE) is Status.CHANGED_AFTER_POSTING
    assert await sends_nothing_under_a_new_app_id(world)


async def test_a_voucher_that_arrives_before_the_newer_one_stands_and_a_person_corrects_it() -> None:
    world = await frozen_with_a_voucher()
    world.hold_answers()
    world.deliver_late()
    await take_newer(world, amount="80.00")
    await go_on(world)
    assert [command.document_offset for command in world.commands()] == [0, 1]
    world.answer()
    await go_on(world)

    assert (world.status(INVOICE), world.net()) == (Status.CHANGED_AFTER_POSTING, {"1510": 100, "3010": -100})
    correct(world, INVOICE)
    await go_on(world)
    assert (world.status(INVOICE), world.net()) == (Status.CORRECTED, {"1510": 80, "3010": -80})
    assert await sends_nothing_under_a_new_app_id(world)


async def test_a_late_copy_of_a_command_changes_nothing_though_its_voucher_was_reversed_since() -> None:
    world = await frozen_with_a_voucher()
    await go_on(world)  # the same event leads to the same command
    await take_newer(world, amount="80.00")
    correct(world, INVOICE)
    await go_on(world)
    sent = len(world.commands())
    assert (world.status(INVOICE), world.net()) == (Status.CORRECTED, {"1510": 80, "3010": -80})
    world.deliver_late()
    await world.start()
    await go_on(world)

    assert (world.status(INVOICE), len(world.commands())) == (Status.CORRECTED, sent)
    await take_newer(world, amount="70.00")
    correct(world, INVOICE)
    await go_on(world)
    assert world.net() == {"1510": 70, "3010": -70}
    assert await sends_nothing_under_a_new_app_id(world)


async def test_a_late_copy_of_a_reversal_reverses_nothing_else() -> None:
    world = await held()
    world.map("A", account("A"))
    await go_on(world)
    await take_newer(world, amount="80.00")
    correct(world, INVOICE)
    await freeze_at(world, REQUESTS)
    await go_on(world)
    assert (world.status(INVOICE), world.net()) == (Status.CORRECTED, {"1510": 80, "3010": -80})
    world.deliver_late()
    await world.start()
    await go_on(world)

    assert (world.status(INVOICE), world.net()) == (Status.CORRECTED, {"1510": 80, "3010": -80})
    assert await sends_nothing_under_a_new_app_id(world)


async def test_a_reversal_that_arrives_though_zuora_took_the_change_back_is_followed_by_the_document_as_it_is() -> None:
    world = await held()
    world.map("A", account("A"))
    await go_on(world)
    await take_newer(world, amount="80.00")
    correct(world, INVOICE)
    await freeze_at(world, REQUESTS)
    await take_newer(world, amount="100.00")
    await go_on(world)
    assert world.status(INVOICE) is Status.POSTED
    world.deliver_late()
    await go_on(world)

    assert (world.status(INVOICE), world.net()) == (Status.CORRECTED, {"1510": 100, "3010": -100})
    assert await sends_nothing_under_a_new_app_id(world)


async def test_a_voucher_that_arrives_after_a_person_booked_it_by_hand_is_for_that_person_to_see() -> None:
    world = await frozen_with_a_voucher()
    ask(world, INVOICE, SettlementRecorded, voucher="M 2026 77")
    await world.handle_all([REQUESTS])
    assert world.status(INVOICE) is Status.SETTLED_BY_HAND
    world.deliver_late()
    await go_on(world)

    last = world.history(INVOICE)[-1]
    assert (last.status, last.note) == (Status.CHANGED_AFTER_POSTING, SENT_LATE)
    assert last.reason == "in IFS as well: booked by hand as M 2026 77: as told"


async def test_a_voucher_that_arrives_after_its_document_was_posted_in_another_account_is_refused_silently() -> None:
    world = await frozen_with_a_voucher()
    world.map("B", account("B"))
    document = invoice(1, "B").model_copy(update={"former_account_ids": ("A",)})
    for key in ("A", "B"):
        world.say(DOCUMENTS, key, document, "to B")
    await world.handle_all([DOCUMENTS])
    await go_on(world)
    assert (world.status(INVOICE), world.history(INVOICE)[-1].account_id) == (Status.POSTED, "B")
    world.deliver_late()
    await world.start()
    await go_on(world)

    assert len(world.refused) == 1
    assert (world.status(INVOICE), world.history(INVOICE)[-1].account_id) == (Status.POSTED, "B")
    assert await sends_nothing_under_a_new_app_id(world)

"""What was said before a crash that kept it from the tables: it is read in the log, and nothing is sent beside it."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from agents.bookkeeper.said import NOTED_EVERY_SECONDS
from agents.runtime import Event
from schemas.base import Status
from schemas.envelope import decode_any
from schemas.errors import LogUnavailableError
from schemas.topics import HANDED_OVER, POSTING_PROGRESS, RELEASE
from schemas.vouchers import PostingProgressed, PostVoucher, VoucherSubject
from streams.accounting.forgotten import take_up_sent
from streams.accounting.record_state import RecordState, Sent
from streams.clocks import steady_seconds
from streams.log.reader import Position
from tests.support.bookkeeping import (
    DOCUMENTS,
    MAPPINGS,
    REQUESTS,
    World,
    account,
    capture,
    correct,
    invoice,
    product,
    unreadable,
)
from tests.support.ledger import COMMANDS, NAMES, VOUCHERS
from tests.support.memory_log import MemoryWork

INVOICE = "Invoice:inv-1"


async def held_and_released() -> tuple[World, Event]:
    """An invoice whose account has just been mapped, and the word by which it is released."""
    world = World()
    world.map("10", product("ANL"))
    capture(world, invoice(1, "A"))
    await world.settle()
    world.map("A", account("A"))
    await world.handle_all([MAPPINGS])
    return world, next_of(world, NAMES.working(RELEASE))


def next_of(world: World, topic: str) -> Event:
    event = world.next_event([topic])
    assert event is not None
    return event


async def handle_and_crash(world: World, event: Event) -> None:
    """Handle an event of which all is sent, and nothing that is written outlives the crash."""
    world._enter(event.partition)
    await world.bookkeeper.on_event(event, MemoryWork(world.log, event.partition))  # type: ignore[arg-type]
    await world.start()


def tell_of_move(world: World) -> None:
    document = invoice(1, "B").model_copy(update={"former_account_ids": ("A",)})
    for key in ("A", "B"):
        world.say(DOCUMENTS, key, document, "to B")


async def test_a_newer_state_that_comes_first_after_the_crash_waits_for_the_voucher_that_was_sent() -> None:
    world, released = await held_and_released()
    await handle_and_crash(world, released)
    capture(world, invoice(1, "A", amount="80.00"), "newer")
    await world.handle_all([DOCUMENTS])
    await world.settle()

    assert len(world.commands()) == 1
    assert world.status(INVOICE) is Status.CHANGED_AFTER_POSTING
    correct(world, INVOICE)
    await world.settle()
    assert world.net() == {"1510": 80, "3010": -80}


async def test_a_document_that_moves_first_after_the_crash_is_not_posted_in_both_accounts() -> None:
    world, released = await held_and_released()
    world.map("B", account("B"))
    await handle_and_crash(world, released)
    tell_of_move(world)
    await world.handle_all([DOCUMENTS])
    await world.settle()

    assert [command.account_id for command in world.commands()] == ["A"]
    assert world.status(INVOICE) is Status.CHANGED_AFTER_POSTING


async def test_what_was_handed_over_before_the_crash_is_not_released_where_it_was() -> None:
    world, _ = await held_and_released()
    world.map("B", account("B"))
    await world.handle_all([MAPPINGS])
    tell_of_move(world)
    moved = next(event for event in world.log.all(DOCUMENTS) if event.key == b"A" and event.headers["ce_id"] == b"to B")
    await handle_and_crash(world, moved)
    assert len(world.log.all(NAMES.working(HANDED_OVER))) == 1
    await world.handle_all([NAMES.working(RELEASE)])
    await world.settle()

    assert [command.account_id for command in world.commands()] == ["B"]
    assert world.net() == {"1510": 100, "3010": -100}


async def test_what_was_sent_upon_a_refusal_goes_on_when_that_refusal_is_met_again() -> None:
    world = World()
    world.map("10", product("ANL"))
    world.map("A", account("A"))
    world.refuse.add("10")
    world.hold_answers()
    for amount in ("100.00", "80.00"):
        capture(world, invoice(1, "A", amount=amount))
        await world.settle()
    world.answer_one()
    world.refuse.clear()
    await handle_and_crash(world, next_of(world, VOUCHERS))
    assert len(world.commands()) == 2
    capture(world, invoice(1, "A", amount="70.00"))
    await world.handle_all([DOCUMENTS])
    world.answer()
    await world.settle()

    assert len(world.commands()) == 2
    assert world.status(INVOICE) is Status.CHANGED_AFTER_POSTING
    assert world.net() == {"1510": 80, "3010": -80}


async def test_a_state_that_comes_back_first_after_the_crash_waits_for_the_reversal_that_was_sent() -> None:
    world, _ = await held_and_released()
    await world.settle()
    capture(world, invoice(1, "A", amount="80.00"))
    await world.settle()
    world.hold_answers()
    correct(world, INVOICE)
    await handle_and_crash(world, next_of(world, REQUESTS))
    capture(world, invoice(1, "A"), "as it was posted")
    await world.handle_all([DOCUMENTS])
    world.answer()
    await world.settle()

    assert [type(command).__name__ for command in world.commands()] == ["PostVoucher", "ReverseVoucher", "PostVoucher"]
    assert world.status(INVOICE) is Status.CORRECTED
    assert world.net() == {"1510": 100, "3010": -100}


async def test_an_outcome_that_is_met_again_after_the_crash_is_told_after_what_came_before_it_then() -> None:
    world, released = await held_and_released()
    await world.handle(released)
    world.answer_one()
    await handle_and_crash(world, next_of(world, VOUCHERS))
    capture(world, unreadable(invoice(1, "A")))
    await world.handle_all([DOCUMENTS])
    await world.settle()

    assert world.status(INVOICE) is Status.POSTED


async def test_what_others_wrote_among_the_commands_is_passed_by() -> None:
    world, released = await held_and_released()
    await world.handle(released)
    ours = world.log.all(COMMANDS)[0]
    command = decode_any(ours.headers, ours.value)
    assert isinstance(command, PostVoucher)
    world.say(COMMANDS, "10", command.model_copy(update={"command_id": "another", "app_id": "another"}))
    for value in (b"", b"[]", b"{}", b"\xff"):
        world.log.append(COMMANDS, key=b"10", value=value, headers=ours.headers)
    await world.start()
    state = world.bookkeeper._partitions[released.partition].tables.records
    world._enter(released.partition)
    assert RecordState.from_json("A", state[f"A/{INVOICE}"]).command == command.command_id


async def test_up_to_where_all_is_in_the_tables_is_noted_with_the_ends_of_the_time_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, released = await held_and_released()
    now = steady_seconds()
    monkeypatch.setattr(world.said, "_steady", lambda: now)
    partition = world.bookkeeper._partitions[released.partition]
    await world.handle(released)
    noted = []
    for _ in range(3):
        now += NOTED_EVERY_SECONDS
        world._enter(released.partition)
        await world.said.note(partition)
        world._keep()
        noted.append((partition.said or {})[COMMANDS, 0])
    assert noted == [0, 1, 1]


async def test_a_log_that_does_not_tell_its_ends_leaves_what_was_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    world, released = await held_and_released()
    partition = world.bookkeeper._partitions[released.partition]
    before = dict(partition.said or {})

    async def silent(_: Collection[str]) -> Mapping[Position, int]:
        raise LogUnavailableError("no answer")

    monkeypatch.setattr(world.said, "_read_ends", silent)
    monkeypatch.setattr(world.said, "_steady", lambda: 1e12)
    await world.handle(released)
    assert partition.said == before
    assert len(world.commands()) == 1


SENT = Sent("command-of-the-log", "INV1-R1", "f", "10")


def known(status: Status, **more: Any) -> RecordState:
    return RecordState(status=status, account_id="A", received_at="", updated_at="", **more)


@pytest.mark.parametrize(
    "state",
    [
        known(Status.POSTED, last_command="command-of-t"),
        known(Status.POSTED, reference="INV1-R1"),
        known(Status.POSTING, command=SENT.command_id),
    ],
    ids=["answered since", "answered, of an earlier release", "on its way, of an earlier release"],
)
def test_a_command_that_the_state_knows_changes_nothing(state: RecordState) -> None:
    assert take_up_sent(state, SENT) is None


@pytest.mark.parametrize(
    "state",
    [RecordState.blank("A"), known(Status.REJECTED, last_command="before", reference="INV1-R1")],
    ids=["nothing is known", "a replay of what was refused"],
)
def test_a_command_that_the_state_does_not_know_is_on_its_way(state: RecordState) -> None:
    taken = take_up_sent(state, SENT)
    assert taken is not None
    assert (taken.command, taken.reference, taken.status) == (SENT.command_id, SENT.reference, Status.POSTING)
    assert take_up_sent(taken, SENT) is None
    assert RecordState.from_json("A", taken.to_json()) == taken


def test_what_follows_a_command_on_its_way_is_kept_until_its_outcome() -> None:
    taken = take_up_sent(known(Status.POSTING, command="first", last_command="first"), SENT)
    assert taken is not None
    assert (taken.command, taken.forgotten) == ("first", SENT)
    assert RecordState.from_json("A", taken.to_json()) == taken


@pytest.mark.parametrize("progress", [True, False])
async def test_a_record_of_which_all_was_forgotten_is_told_of_by_its_number_before_its_document_is_met_again(
    progress: bool,  # noqa: FBT001 - a table's column
) -> None:
    world = World()
    world.map("10", product("ANL"))
    world.map("A", account("A"))
    await world.settle()
    capture(world, invoice(1, "A"))
    await handle_and_crash(world, next_of(world, DOCUMENTS))
    command = world.commands()[0]
    if progress:
        facts = {name: getattr(command, name) for name in VoucherSubject.model_fields}
        lost = PostingProgressed(**facts, progress="uncertain", reason="answer lost", at=world.now)
        world.say(NAMES.working(POSTING_PROGRESS), "A", lost)
        await world.handle_all([NAMES.working(POSTING_PROGRESS)])
        assert world.status(INVOICE) is Status.UNCERTAIN
    world.answer_one()
    await world.handle_all([VOUCHERS])

    told = world.history(INVOICE)[-1]
    assert (told.status, told.document_number, told.amount) == (Status.POSTED, "INV00001", 100)
    await world.settle()
    assert (world.status(INVOICE), len(world.commands())) == (Status.POSTED, 1)

"""What people ask for between the pieces of a release: about what it has passed, and about what is still to come."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest

from agents.bookkeeper import bookkeeper
from agents.runtime import Event
from schemas import topics
from schemas.base import Status
from schemas.requests import ReplayRequested, SettlementRecorded
from schemas.vouchers import PostVoucher, ReverseVoucher
from streams.log.partitions import partition_of
from tests.support.bookkeeping import (
    DEAD_LETTERS,
    DOCUMENTS,
    MAPPINGS,
    PARTITIONS,
    REQUESTS,
    World,
    account,
    ask,
    capture,
    card_payment,
    cash,
    correct,
    invoice,
    product,
    unapplied,
)
from tests.support.ledger import COMMANDS, NAMES, VOUCHERS

CHART_COPIES, RELEASES = NAMES.working(topics.CHART_COPY), NAMES.working(topics.RELEASE)
NOTIFICATIONS = NAMES.public(topics.NOTIFICATION)
NUMBERS = range(1, 7)
HERE = partition_of(b"A", PARTITIONS)
NEIGHBOUR = next(name for name in map(str, range(100)) if partition_of(name.encode(), PARTITIONS) == HERE)
"""An account whose records are released by the same pieces as those of account A."""
A_DAY = date(2026, 4, 1)


@pytest.fixture(autouse=True, params=[1, 2], ids=["one at a time", "two at a time"])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookkeeper, "RELEASED_AT_ONCE", request.param)


def record(number: int) -> str:
    return f"Invoice:inv-{number}"


def account_of(number: int) -> str:
    """Every third invoice is the neighbour's."""
    return NEIGHBOUR if number % 3 == 0 else "A"


async def held_world(numbers: Iterable[int] = NUMBERS) -> World:
    """Invoices of two accounts wait for the article that all of them sell."""
    world = World()
    world.map("10", product("ANL", gl_account="3999").model_copy(update={"match_value": "OTHER"}))
    world.map("10", cash("EUR"))
    for name in ("A", NEIGHBOUR):
        world.map(name, account(name))
    for number in numbers:
        capture(world, invoice(number, account_of(number)))
    await world.settle()
    return world


async def in_release(pieces: int, world: World | None = None) -> World:
    """The article is mapped, and so many pieces of the release have gone."""
    world = world or await held_world()
    world.map("10", product("ANL"))
    await world.handle_all([MAPPINGS])
    await world.handle_all([CHART_COPIES])
    for _ in range(pieces):
        await next_piece(world)
    return world


async def next_piece(world: World) -> None:
    released: list[Event] = world.log.topics[RELEASES][HERE]
    await world.handle(released[world.cursors[RELEASES, HERE]])


def sent(world: World) -> list[str]:
    """Every command's record, in their order; a reversal with a sign."""
    return [
        f"-{command.record_id}" if isinstance(command, ReverseVoucher) else command.record_id
        for command in world.commands()
    ]


def of_account(world: World, name: str) -> list[str]:
    return [command.record_id for command in world.commands() if command.account_id == name]


def in_order(numbers: Iterable[int], name: str) -> list[str]:
    return [record(number) for number in numbers if account_of(number) == name]


async def end(world: World) -> None:
    """Let all go on, and see that nothing of it is said again: not after a reset, and not by new state."""
    world.answer()
    await world.settle()
    partitions = [world.bookkeeper._partitions[number] for number in range(PARTITIONS)]
    assert [partition.waiting.running for partition in partitions] == [{}, {}, {}]
    assert not [name for partition in partitions for name in partition.waiting.places]
    assert world.log.all(DEAD_LETTERS) == []
    commands, statuses = (
        len(world.log.all(COMMANDS)),
        {record(number): world.status(record(number)) for number in NUMBERS},
    )
    world.cursors.clear()
    await world.settle()
    assert len(world.log.all(COMMANDS)) == commands
    assert {name: world.status(name) for name in statuses} == statuses
    await world.start_anew()
    await world.settle()
    assert len(world.log.all(COMMANDS)) == commands


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("pieces", [0, 1, 2])
@pytest.mark.parametrize("is_answered", [False, True])
async def test_what_is_settled_by_hand_between_two_pieces_is_not_posted_and_all_others_are_in_their_order(
    number: int, pieces: int, *, is_answered: bool
) -> None:
    world = await in_release(pieces)
    gone = sent(world)
    if is_answered:
        while world._answer_next():
            await world.handle_all([VOUCHERS])
    before = world.status(record(number))
    ask(world, record(number), SettlementRecorded, voucher="10/M/2026/4711")
    await world.handle_all([REQUESTS])

    settled = [] if record(number) in gone else [number]
    if not settled:
        assert world.history(record(number))[-1].note == f"settlement refused: the record is {before}"
    await end(world)
    posted = [one for one in NUMBERS if one not in settled]
    for name in ("A", NEIGHBOUR):
        assert of_account(world, name) == in_order(posted, name)
    assert sorted(one.record_id for one in world.posted.values()) == [record(one) for one in posted]
    for one in settled:
        assert world.status(record(one)) is Status.SETTLED_BY_HAND


async def test_all_that_a_release_has_still_to_let_out_may_be_settled_and_it_comes_to_its_end() -> None:
    world = await in_release(1)
    gone = sent(world)
    for number in NUMBERS:
        ask(world, record(number), SettlementRecorded, voucher="10/M/2026/4711")
    await world.handle_all([REQUESTS])
    await end(world)
    assert sent(world) == gone


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("pieces", [0, 1, 2])
@pytest.mark.parametrize("day", [None, A_DAY])
async def test_a_replay_between_two_pieces_overtakes_nothing_and_sends_nothing_twice(
    number: int, pieces: int, day: date | None
) -> None:
    world = await in_release(pieces)
    gone = sent(world)
    ask(world, record(number), ReplayRequested, date=day)
    await world.handle_all([REQUESTS])
    if record(number) in gone:
        assert world.history(record(number))[-1].note == "replay: nothing to do for posting"
    await end(world)
    for name in ("A", NEIGHBOUR):
        assert of_account(world, name) == in_order(NUMBERS, name)
    (command,) = [command for command in world.commands() if command.record_id == record(number)]
    moved_to = A_DAY if day and record(number) not in gone else date(2026, 3, 1)
    assert command.voucher_date == moved_to


@pytest.mark.parametrize("comes", ["before its turn", "after it"])
@pytest.mark.parametrize("amount", ["100.00", "80.00"])
async def test_a_fresh_fetch_that_is_asked_for_between_two_pieces_keeps_its_place_and_is_posted_once(
    comes: str, amount: str
) -> None:
    world = await in_release(1)
    ask(world, record(4), ReplayRequested, refetch=True, date=A_DAY)
    await world.handle_all([REQUESTS])
    assert len(world.log.all(NOTIFICATIONS)) == 1
    if comes == "after it":
        await world.handle_all([RELEASES])
    capture(world, invoice(4, "A", amount=amount), "fetched anew")
    await world.handle_all([DOCUMENTS])
    await world.settle()
    changed = comes == "after it" and amount == "80.00"
    assert world.status(record(4)) is (Status.CHANGED_AFTER_POSTING if changed else Status.POSTED)
    await end(world)
    assert of_account(world, "A") == in_order(NUMBERS, "A")
    (command,) = [command for command in world.commands() if command.record_id == record(4)]
    assert command.voucher_date == A_DAY
    assert world.posted[command.command_id].amount == (100 if comes == "after it" else int(float(amount)))


@pytest.mark.parametrize(("amount", "status"), [("100.00", Status.POSTED), ("80.00", Status.CHANGED_AFTER_POSTING)])
async def test_a_fresh_fetch_of_what_a_release_has_just_sent_is_made_and_only_compared(
    amount: str, status: Status
) -> None:
    world = await in_release(1)
    ask(world, record(1), ReplayRequested, refetch=True, date=A_DAY)
    await world.handle_all([REQUESTS])
    assert len(world.log.all(NOTIFICATIONS)) == 1
    assert world.history(record(1))[-1].note == "fetched anew, and compared, since the record is posting: as told"
    capture(world, invoice(1, "A", amount=amount), "fetched anew")
    await world.handle_all([DOCUMENTS])
    await end(world)
    assert world.status(record(1)) is status
    assert sent(world).count(record(1)) == 1


async def test_what_was_settled_between_two_pieces_and_is_replayed_before_its_turn_is_posted_in_its_turn() -> None:
    world = await in_release(1)
    for wish, more in ((SettlementRecorded, {"voucher": "10/M/2026/4711"}), (ReplayRequested, {})):
        ask(world, record(4), wish, **more)
        await world.handle_all([REQUESTS])
    await end(world)
    assert of_account(world, "A") == in_order(NUMBERS, "A")
    assert world.status(record(4)) is Status.POSTED


@pytest.mark.parametrize("pieces", [0, 1])
async def test_the_newer_state_of_what_was_settled_and_waits_its_turn_upon_a_replay_is_posted_in_its_turn(
    pieces: int,
) -> None:
    world = World()
    for rule in (product("ANL"), cash("EUR"), unapplied()):
        world.map("10", rule)
    for number in NUMBERS:
        capture(world, invoice(number, "A"))
    capture(world, card_payment("0.00"))
    await world.settle()
    world.map("A", account("A"))
    await world.handle_all([MAPPINGS])
    for _ in range(pieces):
        await next_piece(world)
    for name in ("Payment:pay-1", record(4)):
        for wish, more in ((SettlementRecorded, {"voucher": "10/M/2026/4711"}), (ReplayRequested, {"date": A_DAY})):
            ask(world, name, wish, **more)
            await world.handle_all([REQUESTS])
    capture(world, card_payment("500.00"), "newer U")
    capture(world, invoice(4, "A", amount="80.00"), "newer")
    await world.handle_all([DOCUMENTS])
    await end(world)
    assert world.nets()["Payment:pay-1"] == {"1930": 500, "2420": -500}
    assert world.nets()[record(4)] == {"1510": 80, "3010": -80}
    assert of_account(world, "A") == [*map(record, NUMBERS), "Payment:pay-1"]
    dates = {command.record_id: command.voucher_date for command in world.commands()}
    assert {name for name, day in dates.items() if day == A_DAY} == {"Payment:pay-1", record(4)}


async def test_what_is_refused_in_a_release_and_replayed_before_its_end_is_sent_once_more() -> None:
    world = await in_release(0)
    world.refuse.add("10")
    await next_piece(world)
    assert world._answer_next()
    await world.handle_all([VOUCHERS])
    assert world.status(record(1)) is Status.REJECTED
    world.refuse.clear()
    ask(world, record(1), ReplayRequested)
    await world.handle_all([REQUESTS])
    assert sent(world).count(record(1)) == 2  # nothing of its account is ahead of it
    await end(world)
    assert list(dict.fromkeys(of_account(world, "A"))) == in_order(NUMBERS, "A")
    assert len(of_account(world, "A")) == len(in_order(NUMBERS, "A")) + 1
    assert world.net() == {"1510": 600, "3010": -600}


async def corrected_in_release(place: int, pieces: int) -> World:
    """Invoice 7 was posted; so many held ones came before it changed; it is corrected between two pieces."""
    world = await held_world(range(1, place + 1))
    capture(world, invoice(7, "A", sku="OTHER"))
    await world.settle()
    capture(world, invoice(7, "A", sku="OTHER", amount="80.00"), "changed")
    await world.settle()
    for number in range(place + 1, 7):
        capture(world, invoice(number, account_of(number)))
    await world.settle()
    assert world.status(record(7)) is Status.CHANGED_AFTER_POSTING
    await in_release(pieces, world)
    correct(world, record(7))
    await world.handle_all([REQUESTS])
    assert sent(world)[-1] == f"-{record(7)}"
    while world._answer_next():
        await world.handle_all([VOUCHERS])
    return world


@pytest.mark.parametrize("place", [1, 3, 6])
@pytest.mark.parametrize("pieces", [0, 1, 2])
async def test_a_correction_between_two_pieces_takes_back_at_once_and_posts_anew_in_its_documents_turn(
    place: int, pieces: int
) -> None:
    world = await corrected_in_release(place, pieces)
    await end(world)
    posted = [one.record_id for one in world.commands()[1:] if isinstance(one, PostVoucher) and one.account_id == "A"]
    gone = [name for name in posted[: posted.index(record(7))] if name != record(7)]
    ahead = in_order(range(1, place + 1), "A")
    assert [name for name in posted if name != record(7)] == in_order(NUMBERS, "A")
    assert gone[: len(ahead)] == ahead
    assert len([one for one in world.posted.values() if one.record_id == record(7)]) == 3
    assert world.nets()[record(7)] == {"1510": 80, "3999": -80}
    assert world.status(record(7)) is Status.CORRECTED


@pytest.mark.parametrize("wish", [SettlementRecorded, ReplayRequested])
async def test_what_is_taken_back_and_waits_its_turn_in_a_release_can_be_asked_about_and_is_posted_once(
    wish: type[Any],
) -> None:
    world = await corrected_in_release(6, 1)
    assert world.status(record(7)) is Status.CORRECTED
    ask(world, record(7), wish, **({"voucher": "x"} if wish is SettlementRecorded else {}))
    await world.handle_all([REQUESTS])
    assert "corrected" in (world.history(record(7))[-1].note or "")
    await end(world)
    assert world.nets()[record(7)] == {"1510": 80, "3999": -80}
    assert sent(world).count(record(7)) == 2


async def test_a_correction_of_what_the_same_release_has_posted_takes_its_turn_in_it() -> None:
    world = await in_release(1)
    while world._answer_next():
        await world.handle_all([VOUCHERS])
    capture(world, invoice(1, "A", amount="80.00"), "changed")
    await world.handle_all([DOCUMENTS])
    correct(world, record(1))
    await world.handle_all([REQUESTS])
    while world._answer_next():
        await world.handle_all([VOUCHERS])
    await end(world)
    of_a = of_account(world, "A")
    assert (of_a.count(record(1)), of_a[-1]) == (3, record(1))
    assert [name for name in of_a if name != record(1)] == in_order(NUMBERS[1:], "A")
    assert world.nets()[record(1)] == {"1510": 80, "3010": -80}


async def test_a_change_of_u_that_waits_its_turn_in_a_release_is_not_settled_and_booked_once() -> None:
    """Its record is posted while it waits, so that there is nothing that could be settled."""
    world = await u_waits_in_release()
    for wish, more in ((SettlementRecorded, {"voucher": "x"}), (ReplayRequested, {})):
        ask(world, "Payment:pay-1", wish, **more)
    await world.handle_all([REQUESTS])
    assert world.status("Payment:pay-1") is Status.POSTED
    await end(world)
    assert of_account(world, "A") == ["Payment:pay-1", *in_order(NUMBERS, "A"), "Payment:pay-1"]
    assert world.nets()["Payment:pay-1"] == {"1930": 500, "1510": -400, "2420": -100}


async def u_waits_in_release() -> World:
    world = await held_world()
    world.map("10", unapplied())
    capture(world, card_payment("0.00"))
    await world.settle()
    assert world.status("Payment:pay-1") is Status.POSTED
    await in_release(1, world)
    capture(world, card_payment("100.00"), "u")
    await world.handle_all([DOCUMENTS])
    return world


async def test_a_change_of_u_without_its_mapping_is_settled_between_two_pieces_and_not_booked() -> None:
    world = await held_world()
    for u in ("0.00", "100.00"):
        capture(world, card_payment(u))
        await world.settle()
    assert world.status("Payment:pay-1") is Status.MAPPING_MISSING
    world.map("10", unapplied())
    await in_release(1, world)
    ask(world, "Payment:pay-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.handle_all([REQUESTS])
    await end(world)
    assert world.status("Payment:pay-1") is Status.SETTLED_BY_HAND
    assert of_account(world, "A") == ["Payment:pay-1", *in_order(NUMBERS, "A")]

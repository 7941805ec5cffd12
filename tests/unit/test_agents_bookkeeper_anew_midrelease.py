"""A new app id that is begun in the midst of a release: what the old one sent stands, what it had not let out is sent.

The old one is stopped first. Most of the stories let its poster finish, as deploy/README asks for: so the log has the
outcome of each of its commands, whether its bookkeeper has read that or not.
"""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from agents.bookkeeper import bookkeeper
from agents.bookkeeper.bookkeeper import captured_in
from schemas import topics
from schemas.base import Status
from schemas.mappings import AccountMappingRemoved
from schemas.requests import CorrectionRequested, ReplayRequested, SettlementRecorded
from schemas.vouchers import VoucherPosted
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
from tests.support.ledger import NAMES, NOW, VOUCHERS

CHART_COPIES, RELEASES = NAMES.working(topics.CHART_COPY), NAMES.working(topics.RELEASE)
HERE = partition_of(b"A", PARTITIONS)
NUMBERS = range(1, 7)
A_DAY = date(2026, 4, 1)


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookkeeper, "RELEASED_AT_ONCE", 1)


def record(number: int) -> str:
    return f"Invoice:inv-{number}"


async def held_world() -> World:
    world = World()
    for key, mapping in (("A", account("A")), ("10", cash("EUR")), ("10", unapplied())):
        world.map(key, mapping)
    world.map("10", product("OTHER", gl_account="3999"))
    for number in NUMBERS:
        capture(world, invoice(number, "A"))
    await world.settle()
    return world


async def in_release(pieces: int, world: World | None = None) -> World:
    """The article is mapped, and so many pieces of the release have gone; none is answered."""
    world = world or await held_world()
    world.map("10", product("ANL"))
    await world.handle_all([MAPPINGS])
    await world.handle_all([CHART_COPIES])
    for _ in range(pieces):
        await world.handle(world.log.topics[RELEASES][HERE][world.cursors[RELEASES, HERE]])
    return world


async def answer(world: World, *, told: int, untold: int | None = None) -> None:
    """Let IFS answer so many commands of which the bookkeeper learns, then so many (None: all) of which it does not."""
    for _ in range(told):
        assert world._answer_next()
    await world.handle_all([VOUCHERS])
    while untold is None or untold > 0:
        if not world._answer_next():
            break
        untold = None if untold is None else untold - 1


def standing(world: World) -> dict[str, VoucherPosted]:
    """Return what stands in IFS or was reversed there; one that is there already is found by its reference."""
    found: dict[str, VoucherPosted] = {}
    for posted in world.posted.values():
        assert found.setdefault(posted.reference, posted).rows == posted.rows
    return found


def net(world: World) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for posted in standing(world).values():
        for row in posted.rows:
            sums[row.account] = (
                sums.get(row.account, Decimal(0)) + (row.debit or Decimal(0)) - (row.credit or Decimal(0))
            )
    return {name: amount for name, amount in sums.items() if amount}


async def begin_anew(world: World) -> None:
    """Begin under a new app id, whose collector fetches everything once more when the log has been read."""
    await world.start_anew()
    await world.settle()
    captured = {document.record_id: document for document in map(captured_in, world.log.all(DOCUMENTS))}
    for number, document in enumerate(captured.values()):
        capture(world, document, f"fetched once more {number} {len(world.log.all(DOCUMENTS))}")
    await world.settle()
    assert world.log.all(DEAD_LETTERS) == []


@pytest.mark.parametrize("pieces", range(7))
@pytest.mark.parametrize("share", ["none told", "half told", "all told"])
async def test_new_state_in_the_midst_of_a_release_posts_what_was_still_to_come_and_nothing_twice(
    pieces: int, share: str
) -> None:
    world = await in_release(pieces)
    gone = [command.command_id for command in world.commands()]
    assert len(gone) == pieces
    await answer(world, told={"none told": 0, "half told": pieces // 2, "all told": pieces}[share])
    await begin_anew(world)

    assert [command.record_id for command in world.commands()] == [record(number) for number in NUMBERS]
    assert [command.command_id for command in world.commands()][:pieces] == gone
    assert sorted(posted.record_id for posted in standing(world).values()) == [record(number) for number in NUMBERS]
    assert net(world) == {"1510": 600, "3010": -600}
    assert {world.status(record(number)) for number in NUMBERS} == {Status.POSTED}


@pytest.mark.parametrize("pieces", [1, 3, 6])
async def test_new_state_sends_again_under_the_same_reference_what_has_no_outcome_yet(pieces: int) -> None:
    """The old one's poster was stopped before it had answered: IFS is looked into, and has each voucher once."""
    world = await in_release(pieces)
    await answer(world, told=pieces // 3, untold=pieces // 3)
    await begin_anew(world)
    assert len(standing(world)) == len(NUMBERS)
    assert net(world) == {"1510": 600, "3010": -600}
    assert {world.status(record(number)) for number in NUMBERS} == {Status.POSTED}


async def test_new_state_goes_on_before_the_mapping_that_began_the_release_had_come_to_all_partitions() -> None:
    world = await held_world()
    world.map("10", product("ANL"))
    await world.handle_all([MAPPINGS])
    await begin_anew(world)
    assert net(world) == {"1510": 600, "3010": -600}


async def test_new_state_holds_what_the_release_had_not_let_out_when_its_mapping_is_gone_again() -> None:
    world = await in_release(2)
    world.map("A", AccountMappingRemoved(account_id="A", actor="eva", at=NOW))
    await answer(world, told=1)
    await begin_anew(world)
    assert net(world) == {"1510": 200, "3010": -200}
    assert world.status(record(3)) is Status.MAPPING_MISSING
    world.map("A", account("A"))
    await world.settle()
    assert net(world) == {"1510": 600, "3010": -600}
    assert [command.record_id for command in world.commands()] == [record(number) for number in NUMBERS]


async def test_new_state_sends_what_was_sent_under_the_mapping_of_its_day_not_again_under_todays() -> None:
    world = await in_release(3)
    world.map("10", product("ANL", gl_account="3999"))
    await answer(world, told=1)
    await begin_anew(world)
    assert net(world) == {"1510": 600, "3010": -300, "3999": -300}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("is_handled", [False, True])
async def test_new_state_honours_a_settlement_of_what_was_still_to_come_whether_the_old_one_had_read_it_or_not(
    number: int, *, is_handled: bool
) -> None:
    world = await in_release(3)
    ask(world, record(number), SettlementRecorded, voucher="10/M/2026/4711")
    if is_handled:
        await world.handle_all([REQUESTS])
    await answer(world, told=1)
    await begin_anew(world)
    is_settled = number > 3  # what was on its way could not be: its outcome came later
    expected = [one for one in NUMBERS if not (is_settled and one == number)]
    assert [command.record_id for command in world.commands()] == [record(one) for one in expected]
    assert world.status(record(number)) is (Status.SETTLED_BY_HAND if is_settled else Status.POSTED)
    assert net(world) == {"1510": 100 * len(expected), "3010": -100 * len(expected)}


@pytest.mark.parametrize("is_handled", [False, True])
async def test_new_state_keeps_the_date_that_was_given_to_what_was_still_to_come(*, is_handled: bool) -> None:
    world = await in_release(2)
    ask(world, record(4), ReplayRequested, date=A_DAY)
    if is_handled:
        await world.handle_all([REQUESTS])
    await answer(world, told=1)
    await begin_anew(world)
    dates = [command.voucher_date for command in world.commands()]
    assert dates == [A_DAY if number == 4 else date(2026, 3, 1) for number in NUMBERS]


@pytest.mark.parametrize("told", [0, 1, 3])
async def test_new_state_posts_the_newer_state_of_what_was_still_to_come_and_shows_that_of_what_was_sent(
    told: int,
) -> None:
    world = await in_release(3)
    for number in (2, 5):
        capture(world, invoice(number, "A", amount="80.00"), f"newer {number}")
    if told:
        await world.handle_all([DOCUMENTS])
    await answer(world, told=told)
    await begin_anew(world)
    assert world.status(record(2)) is Status.CHANGED_AFTER_POSTING
    assert net(world) == {"1510": 580, "3010": -580}
    correct(world, record(2))
    await world.settle()
    assert net(world) == {"1510": 560, "3010": -560}


async def test_new_state_posts_nothing_of_what_was_cancelled_before_its_turn_came() -> None:
    world = await in_release(2)
    for number in (1, 4):
        capture(world, invoice(number, "A", status="Draft"), f"cancelled {number}")
    await answer(world, told=1)
    await begin_anew(world)
    assert world.status(record(1)) is Status.CHANGED_AFTER_POSTING
    assert world.status(record(4)) is Status.NOT_POSTED
    assert net(world) == {"1510": 500, "3010": -500}


@pytest.mark.parametrize("told", [0, 1, 2])
async def test_new_state_in_the_midst_of_a_correction_in_a_release_posts_once_what_was_taken_back(told: int) -> None:
    world = await held_world()
    capture(world, invoice(7, "A", sku="OTHER"))
    await world.settle()
    capture(world, invoice(7, "A", sku="OTHER", amount="80.00"), "changed")
    await world.settle()
    await in_release(1, world)
    correct(world, record(7))
    await world.handle_all([REQUESTS])
    await answer(world, told=told)
    await begin_anew(world)
    assert net(world) == {"1510": 680, "3010": -600, "3999": -80}
    assert world.status(record(7)) is Status.CORRECTED


@pytest.mark.parametrize("pieces", [0, 2])
@pytest.mark.parametrize("told", [0, 1])
async def test_new_state_books_a_change_of_u_that_waited_its_turn_in_the_release_once(pieces: int, told: int) -> None:
    world = await held_world()
    capture(world, card_payment("0.00"))
    await world.settle()
    await in_release(pieces, world)
    capture(world, card_payment("100.00"), "u")
    await world.handle_all([DOCUMENTS])
    await answer(world, told=min(told, pieces))
    await begin_anew(world)
    assert net(world) == {"1510": 200, "1930": 500, "2420": -100, "3010": -600}
    assert [command.record_id for command in world.commands()].count("Payment:pay-1") == 2


async def test_new_state_sends_a_refused_voucher_that_a_person_replayed_in_the_release_once_more() -> None:
    world = await in_release(1)
    world.refuse.add("10")
    await answer(world, told=1)
    assert world.status(record(1)) is Status.REJECTED
    world.refuse.clear()
    ask(world, record(1), ReplayRequested)
    await begin_anew(world)
    assert net(world) == {"1510": 600, "3010": -600}
    assert [command.record_id for command in world.commands()].count(record(1)) == 2


async def test_a_second_new_app_id_in_the_midst_of_the_firsts_own_release_is_no_other() -> None:
    world = await in_release(2)
    world.map("A", AccountMappingRemoved(account_id="A", actor="eva", at=NOW))
    await answer(world, told=1)
    await begin_anew(world)
    world.map("A", account("A"))
    await world.handle_all([MAPPINGS])
    for _ in range(2):
        await world.handle(world.log.topics[RELEASES][HERE][world.cursors[RELEASES, HERE]])
    await answer(world, told=1)
    await begin_anew(world)
    assert [command.record_id for command in world.commands()] == [record(number) for number in NUMBERS]
    assert net(world) == {"1510": 600, "3010": -600}


@pytest.mark.parametrize(
    ("wish", "more"),
    [
        (SettlementRecorded, {"voucher": "10/M/2026/4711"}),
        (ReplayRequested, {}),
        (ReplayRequested, {"date": A_DAY}),
        (ReplayRequested, {"refetch": True}),
        (CorrectionRequested, {"posted_fingerprint": "f", "document_fingerprint": "f"}),
    ],
)
async def test_a_wish_that_new_state_meets_before_it_has_met_the_document_is_parked_and_may_be_asked_again(
    wish: type[Any], more: dict[str, Any]
) -> None:
    """Of a record with several documents it knows by then which is the newest, and nothing else."""
    world = await held_world()
    capture(world, invoice(5, "A", amount="80.00"), "newer")
    await in_release(2, world)
    await answer(world, told=1)
    await world.start_anew()
    ask(world, record(5), wish, **more)
    await world.handle_all([REQUESTS])
    (letter,) = world.log.all(DEAD_LETTERS)
    assert b"has not been read again yet" in letter.headers["dlq.reason"]
    await world.settle()
    assert world.status(record(5)) is Status.POSTED
    assert net(world) == {"1510": 580, "3010": -580}
    ask(world, record(5), SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    assert world.history(record(5))[-1].note == "settlement refused: the record is posted"

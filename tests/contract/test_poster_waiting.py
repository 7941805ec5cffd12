"""Trouble waits beside the road: its account waits in order, all others go on, and one command makes one voucher."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest

from agents.poster.budget import UNRECORDED_MOST
from agents.poster.poster import Poster
from agents.poster.state import SPENT_KEY, Spent, written
from schemas.base import Model, utc_now
from schemas.requests import PostingPaused, PostingResumed
from schemas.vouchers import PostVoucher, VoucherPosted
from tests.support.fakes import CrashError
from tests.support.posting import Desk, DeskWork, command, open_desk
from tests.support.waiting import eventually

EVERYTHING: dict[str, dict[str, Any]] = {
    "unavailable": {"kind": "status", "status": 503, "body": "<html>maintenance</html>", "times": 1_000_000},
    "over the limit": {"kind": "rate-limit", "seconds": 0.01, "times": 1_000_000},
    "no answers": {"kind": "drop", "times": 1_000_000},
}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


def of_account(account: str, number: int = 1, **changes: Any) -> PostVoucher:
    return command(f"INV{account}{number}-AAAABBBBCCCCDDDDEEEE", account_id=account, **changes)


def references(outcomes: Sequence[Model]) -> list[str]:
    return [outcome.reference.split("-")[0] for outcome in outcomes if isinstance(outcome, VoucherPosted)]


def in_room(desk: Desk) -> int:
    return sum(key.startswith("waiting/") for key in desk.waiting)


def one_voucher_each(desk: Desk, commands: Sequence[PostVoucher]) -> bool:
    return all(len(desk.vouchers(each.reference)) == 1 for each in commands) and not desk.sandbox.ledger.duplicates()


@pytest.mark.parametrize("fault", ["drop", "locked", "commit-late"])
async def test_trouble_of_one_account_holds_up_its_own_commands_only(desk: Desk, fault: str) -> None:
    commands = [of_account("A"), of_account("A", 2), of_account("B"), of_account("A", 3), of_account("C")]
    desk.fault(fault, seconds=0.5)
    order = references(await desk.post(*commands))

    assert order[0] in {"INVB1", "INVA1"} if fault == "locked" else order[:2] == ["INVB1", "INVC1"]
    assert [name for name in order if name.startswith("INVA")] == ["INVA1", "INVA2", "INVA3"]
    assert one_voucher_each(desk, commands)


async def test_others_do_not_wait_for_the_settle_time_of_an_uncertain_voucher(desk: Desk) -> None:
    started = asyncio.get_running_loop().time()
    desk.fault("drop")
    async with desk.poster(settle_seconds=1.5) as poster:
        await desk.hand(poster, of_account("A"))
        for number in range(1, 6):
            await desk.hand(poster, of_account("B", number))
        assert references(desk.outcomes) == [f"INVB{number}" for number in range(1, 6)]
        assert asyncio.get_running_loop().time() - started < 1.5
        await desk.until_nobody_waits(poster)

    assert asyncio.get_running_loop().time() - started >= 1.5
    assert references(desk.outcomes)[-1] == "INVA1"
    assert desk.progress == ["uncertain", "posting"]


async def test_a_refusal_of_the_first_lets_the_next_of_the_account_go_on(desk: Desk) -> None:
    refused = of_account("A", rows=(command().rows[0].model_copy(update={"account": "9999"}), *command().rows[1:]))
    desk.fault("locked", times=1)
    outcomes = await desk.post(of_account("A", 2), refused, of_account("A", 3))

    assert references(outcomes) == ["INVA2", "INVA3"]
    assert [type(outcome).__name__ for outcome in outcomes] == ["VoucherPosted", "VoucherRejected", "VoucherPosted"]


async def test_a_command_that_comes_again_while_it_waits_does_not_wait_twice(desk: Desk) -> None:
    desk.fault("locked")
    async with desk.poster() as poster:
        await desk.hand(poster, of_account("A"))
        await desk.hand(poster, of_account("A"))
        assert in_room(desk) <= 1
        await desk.until_nobody_waits(poster)
    assert one_voucher_each(desk, [of_account("A")])


async def test_a_command_that_came_twice_together_behind_one_that_waits_does_not_wait_twice(desk: Desk) -> None:
    desk.fault("locked")
    twice = of_account("A", 2)
    async with desk.poster(batch_size=50) as poster:
        await desk.hand(poster, of_account("A"))
        await desk.hand(poster, twice, twice, of_account("A", 3))
        assert in_room(desk) == 3
        await desk.until_nobody_waits(poster)
    assert references(desk.outcomes) == ["INVA1", "INVA2", "INVA3"]


async def test_when_the_room_is_full_no_more_commands_are_taken_until_there_is_room(desk: Desk) -> None:
    desk.fault("locked", times=1_000_000)
    commands = [of_account(name) for name in "ABC"]
    async with desk.poster(most_waiting=2) as poster:
        await desk.hand(poster, commands[0])
        await desk.hand(poster, commands[1])
        handing = asyncio.create_task(desk.hand(poster, commands[2]))
        done, _ = await asyncio.wait({handing}, timeout=0.3)
        assert (done, in_room(desk), desk.outcomes) == (set(), 2, [])

        desk.sandbox.faults.clear()
        await asyncio.wait_for(handing, 30)
        await desk.until_nobody_waits(poster)
    assert one_voucher_each(desk, commands)


# --- crashes ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def opened(desk: Desk) -> AsyncIterator[DeskWork]:
    yield DeskWork(desk.table, desk.waiting, crash_at=0)


async def test_who_waits_is_taken_up_by_the_next_poster(desk: Desk) -> None:
    desk.fault("commit-late", seconds=0.3)
    async with desk.poster() as poster:
        await desk.hand(poster, of_account("A"))
        await desk.hand(poster, of_account("A", 2))
        assert in_room(desk) == 2

    async with desk.poster() as poster:
        assert poster.seconds_until_due is None
        await poster.before_events(frozenset({0}), cast("Any", lambda _: opened(desk)))
        assert poster.seconds_until_due is not None
        await desk.until_nobody_waits(poster)
    assert references(desk.outcomes) == ["INVA1", "INVA2"]
    assert (desk.posts, one_voucher_each(desk, [of_account("A"), of_account("A", 2)])) == (2, True)


async def test_a_crash_after_the_outcome_and_before_the_room_is_left_tells_the_outcome_again(desk: Desk) -> None:
    desk.fault("locked")
    async with desk.poster() as poster:
        await desk.hand(poster, of_account("A"))
        room = dict(desk.waiting)
        await desk.until_nobody_waits(poster)
    desk.waiting.durable = room  # as if the last writes were lost
    async with desk.poster() as poster:
        await desk.tick(poster)
        await desk.until_nobody_waits(poster)

    assert references(desk.outcomes) == ["INVA1", "INVA1"]
    assert len(set(desk.ids)) == 1
    assert one_voucher_each(desk, [of_account("A")])


async def test_what_was_broken_off_is_read_from_the_table_again(desk: Desk) -> None:
    desk.fault("locked")
    async with desk.poster() as poster:
        await desk.hand(poster, of_account("A"))
        room = dict(desk.waiting)
        assert room

        async def is_due() -> bool:
            return poster.seconds_until_due == 0

        await eventually(is_due)  # then A's turn comes before B's
        with pytest.raises(CrashError):
            await desk.hand(poster, of_account("B"), crash_at=3)  # A's intent and outcome are written, B's intent not
        desk.waiting.update(room)  # the same process goes on: what A's leaving wrote was dropped with B's event
        await desk.hand(poster, of_account("B"))
        await desk.until_nobody_waits(poster)

    assert desk.in_room == 0
    assert set(references(desk.outcomes)) == {"INVA1", "INVB1"}
    assert one_voucher_each(desk, [of_account("A"), of_account("B")])


FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "drop"},
    {"kind": "commit-then-drop"},
    {"kind": "commit-then-504"},
    {"kind": "commit-late", "seconds": 0.1},
    {"kind": "rate-limit", "seconds": 0.01},
    {"kind": "locked", "times": 3},
    {"kind": "drop", "method": "GET"},
    {"kind": "status", "method": "GET", "status": 503, "times": 2},
)


@pytest.mark.parametrize("seed", range(4))
async def test_faults_and_crashes_while_many_wait_leave_one_voucher_each_in_order(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - chooses faults, guards no secret
    commands = [of_account(chance.choice("ABCD"), number) for number in range(20)]
    open_commands = list(commands)
    while open_commands or desk.in_room_durably:
        with suppress(CrashError):
            async with desk.poster(settle_seconds=0.3) as poster:
                while open_commands:
                    for fault in chance.sample(FAULTS, chance.randrange(2)):
                        desk.fault(**fault)
                    await desk.hand(poster, open_commands[0], crash_at=chance.choice([0, 0, 0, 1, 2, 3]))
                    open_commands.pop(0)
                desk.sandbox.faults.clear()
                await desk.tick(poster)
                await desk.until_nobody_waits(poster, crash_at=chance.choice([0, 1, 2]))

    firsts = list(dict.fromkeys(references(desk.outcomes)))
    for account in "ABCD":
        wanted = [each.reference.split("-")[0] for each in commands if each.account_id == account]
        assert [name for name in firsts if name.startswith(f"INV{account}")] == wanted
    assert one_voucher_each(desk, commands)


# --- all of IFS is down -----------------------------------------------------------------------------------------------


async def hand_all(desk: Desk, poster: Poster, commands: Sequence[PostVoucher]) -> None:
    for each in commands:
        await desk.hand(poster, each)


@pytest.mark.parametrize("fault", EVERYTHING.values(), ids=EVERYTHING.keys())
async def test_when_all_of_ifs_is_down_the_commands_stay_in_their_topic_and_all_goes_on_afterwards(
    desk: Desk, fault: dict[str, Any]
) -> None:
    commands = [of_account(f"A{number}-") for number in range(40)]
    desk.sandbox.faults.order(fault)
    desk.table.durable[SPENT_KEY] = written(Spent(requests={}))  # not the half that a first poster takes as spent
    async with desk.poster() as poster:
        handing = asyncio.create_task(hand_all(desk, poster, commands))
        done, _ = await asyncio.wait({handing}, timeout=1.0)
        # Three to know, then one with each fourth probe, and these come every 50 ms here.
        assert (done, desk.outcomes) == (set(), [])
        assert 0 < in_room(desk) <= 12

        desk.sandbox.faults.clear()
        await asyncio.wait_for(handing, 30)
        await desk.until_nobody_waits(poster)
    assert len(desk.outcomes) == 40
    assert all(len(desk.vouchers(each.reference)) == 1 for each in commands)


async def test_while_others_write_without_end_all_wait_beside_the_road_and_none_is_in_doubt(desk: Desk) -> None:
    commands = [of_account(f"A{number}-") for number in range(20)]
    desk.fault("other-writer", times=1_000_000)
    desk.table.durable[SPENT_KEY] = written(Spent(requests={}))
    async with desk.poster() as poster:
        await asyncio.wait_for(hand_all(desk, poster, commands), 30)
        assert (desk.outcomes, in_room(desk), desk.progress) == ([], 20, [])
        asked = desk.sandbox.traffic.total
        desk.sandbox.faults.clear()
        await desk.until_nobody_waits(poster)
    assert asked <= 12 * len(commands)  # a few tries each, then it waits: nothing spins
    assert len(desk.outcomes) == len(commands)
    assert one_voucher_each(desk, commands)


async def test_a_limit_lower_than_configured_is_learnt_and_asked_less_of(desk: Desk) -> None:
    desk.fault("rate-limit", seconds=0.2)
    desk.fault("rate-limit", seconds=0.2)
    commands = [of_account(name) for name in "ABC"]
    started = asyncio.get_running_loop().time()
    await desk.post(*commands)

    assert desk.budget.configured * 0.2 < desk.budget.limit < desk.budget.configured * 0.75
    assert asyncio.get_running_loop().time() - started >= 0.4  # nobody else asks while IFS wants to be left alone
    assert one_voucher_each(desk, commands)


async def test_a_poster_that_waits_for_ifs_can_be_stopped_at_any_moment(desk: Desk) -> None:
    desk.sandbox.faults.order(EVERYTHING["unavailable"])
    async with desk.poster() as poster:
        handing = asyncio.create_task(hand_all(desk, poster, [of_account(f"A{number}-") for number in range(40)]))
        await asyncio.wait({handing}, timeout=0.3)
        handing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(handing, 5)


# --- a paused company -------------------------------------------------------------------------------------------------


async def test_a_paused_company_waits_in_the_room_and_the_others_go_on(desk: Desk) -> None:
    desk.pauses.apply(PostingPaused(company="10", actor="ann", at=utc_now(), reason="audit"))
    commands = [of_account("A"), of_account("B", company="40", currency="EUR"), of_account("A", 2)]
    async with desk.poster() as poster:
        await hand_all(desk, poster, commands)
        assert (references(desk.outcomes), in_room(desk), poster.seconds_until_due) == (["INVB1"], 2, None)
        assert desk.posts == 1

        desk.pauses.apply(PostingResumed(company="10", actor="ann", at=utc_now(), reason="over"))
        await desk.until_nobody_waits(poster)
    assert references(desk.outcomes) == ["INVB1", "INVA1", "INVA2"]


async def test_a_room_full_of_a_paused_company_empties_when_it_is_resumed(desk: Desk) -> None:
    desk.pauses.apply(PostingPaused(company="10", actor="ann", at=utc_now(), reason="audit"))
    commands = [of_account(name) for name in "ABCD"]
    async with desk.poster(most_waiting=2) as poster:
        handing = asyncio.create_task(hand_all(desk, poster, commands))

        async def waiting() -> int:
            return in_room(desk)

        await eventually(waiting, lambda many: many == 2)
        desk.pauses.apply(PostingResumed(company="10", actor="ann", at=utc_now(), reason="over"))
        await asyncio.wait_for(handing, 30)
        await desk.until_nobody_waits(poster)
    assert one_voucher_each(desk, commands)


async def test_a_poster_that_gets_its_partition_back_counts_what_another_spent_meanwhile(desk: Desk) -> None:
    async with desk.poster() as poster:
        await desk.hand(poster, of_account("A"))
        now = int(utc_now().timestamp())
        desk.table[SPENT_KEY] = written(Spent(requests={now: 700}))

        await poster.before_events(frozenset({0}), cast("Any", lambda _: opened(desk)))
        await desk.hand(poster, of_account("A", 2))

        assert await desk.budget.spent() >= 700 + UNRECORDED_MOST

"""A clock that is wrong, or put right, while a POST is in doubt: never a second voucher, and nobody waits for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, cast

import pytest

from schemas.vouchers import PostVoucher
from tests.support.fakes import CrashError
from tests.support.posting import Desk, DeskWork, command, open_desk, the_posted

HOUR = timedelta(hours=1)
WAYS = ("voucher-set", "entry-assistant")


def of_account(account: str) -> PostVoucher:
    return command(f"INV{account}-AAAABBBBCCCCDDDDEEEE", account_id=account)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
async def test_a_clock_that_jumps_while_ifs_books_late_makes_no_second_voucher(way: str, jump: timedelta) -> None:
    async with open_desk(posting=way) as desk, desk.poster(settle_seconds=1.5) as poster:
        desk.fault("commit-late", seconds=0.7)
        await desk.hand(poster, command())
        desk.clock_is_wrong_by = jump
        await desk.until_nobody_waits(poster)

        assert the_posted(desk.outcomes).found
        assert (desk.posts, len(desk.vouchers())) == (1, 1)
        assert desk.progress == ["uncertain"]


async def test_a_clock_that_jumps_while_ifs_books_a_batch_late_makes_no_second_voucher() -> None:
    async with open_desk() as desk, desk.poster(settle_seconds=1.5, batch_size=50) as poster:
        desk.sandbox.faults.order({"kind": "commit-late", "path": "batch", "method": "POST", "seconds": 0.7})
        commands = [of_account(name) for name in "ABC"]
        await desk.hand(poster, *commands)
        assert desk.in_room == 3
        desk.clock_is_wrong_by = HOUR
        await desk.until_nobody_waits(poster)

        assert [len(desk.vouchers(each.reference)) for each in commands] == [1, 1, 1]
        assert (desk.progress, desk.sandbox.ledger.duplicates()) == (["uncertain"] * 3, [])


@pytest.mark.parametrize("way", WAYS)
async def test_the_next_poster_on_a_machine_whose_clock_is_ahead_waits_until_ifs_has_given_up(way: str) -> None:
    async with open_desk(posting=way) as desk:
        desk.fault("commit-late", seconds=0.7)
        with suppress(CrashError):
            await desk.post(command(), crash_at=2, settle_seconds=1.5)
        desk.clock_is_wrong_by = HOUR
        posted = the_posted(await desk.post(command(), settle_seconds=1.5))

        assert (posted.found, desk.posts, len(desk.vouchers())) == (True, 1, 1)


async def test_how_long_a_post_has_been_in_doubt_outlives_the_poster() -> None:
    async with open_desk() as desk:
        desk.fault("drop")
        async with desk.poster(settle_seconds=600) as poster:
            await desk.hand(poster, command())
            desk.passed_unseen += 400
            await tick_until_looked(desk, poster)
        desk.passed_unseen = -5000  # another machine, which has not been up so long
        async with desk.poster(settle_seconds=600) as poster:
            await tick_until_looked(desk, poster)
            assert desk.outcomes == []
            desk.passed_unseen += 201
            await desk.until_nobody_waits(poster)

        assert not the_posted(desk.outcomes).found
        assert desk.progress == ["uncertain", "posting"]


async def test_a_post_is_never_as_old_as_the_one_before_it() -> None:
    async with open_desk() as desk:
        desk.fault("drop")
        async with desk.poster(settle_seconds=600) as poster:
            await desk.hand(poster, command())
            desk.passed_unseen += 599
            await tick_until_looked(desk, poster)
            desk.passed_unseen += 2
            desk.fault("commit-late", seconds=60)
            with pytest.raises(CrashError):  # after the second POST, before anything of it is told
                await desk.tick(poster, crash_at=4)
        assert desk.posts == 1  # the first was cut off on its way
        async with desk.poster(settle_seconds=600) as poster:
            await tick_until_looked(desk, poster)
            desk.passed_unseen += 10
            await tick_until_looked(desk, poster)
        assert desk.posts == 1  # the first was cut off on its way


async def test_those_behind_in_an_account_are_in_doubt_as_long_as_the_first_also_for_the_next_poster() -> None:
    async with open_desk() as desk:
        desk.sandbox.faults.order({"kind": "drop", "path": "batch", "method": "POST"})
        commands = [command(f"INV{number}-AAAABBBBCCCCDDDDEEEE", account_id="A") for number in (1, 2, 3)]
        async with desk.poster(settle_seconds=600, batch_size=50) as poster:
            await desk.hand(poster, *commands)
        async with desk.poster(settle_seconds=600) as poster:
            await poster.before_events(frozenset({0}), cast("Any", lambda _: opened(desk)))
            desk.passed_unseen += 603  # a batch of three settles for two seconds more
            await desk.until_nobody_waits(poster)
        assert [len(desk.vouchers(each.reference)) for each in commands] == [1, 1, 1]


@asynccontextmanager
async def opened(desk: Desk) -> AsyncIterator[DeskWork]:
    yield DeskWork(desk.table, desk.waiting)


async def tick_until_looked(desk: Desk, poster: object) -> None:
    """Tick until the poster has looked once more."""
    looks = desk.looks
    while desk.looks == looks:
        await desk.tick(poster)  # type: ignore[arg-type]


async def test_those_that_wait_are_tried_again_in_time_though_the_clock_was_set_back() -> None:
    async with open_desk() as desk, desk.poster() as poster:
        desk.fault("locked")
        await desk.hand(poster, command())
        assert desk.in_room == 1
        desk.clock_is_wrong_by = -HOUR
        await desk.until_nobody_waits(poster)
    assert len(desk.vouchers()) == 1


@pytest.mark.parametrize("many", [1, 2])
@pytest.mark.parametrize("frozen", ["wall", "steady"])
async def test_an_intent_that_is_old_by_either_clock_is_written_anew(
    many: int, frozen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts_at_first: list[int] = []
    async with open_desk() as desk, desk.poster(batch_size=50) as poster:
        confirmed = DeskWork.confirmed

        async def slowly(work: DeskWork) -> None:
            await confirmed(work)
            if not posts_at_first and any(key.startswith("command/") for key in desk.table):
                posts_at_first.append(desk.posts)
                desk.clock_is_wrong_by += timedelta(seconds=20 if frozen == "steady" else 0)
                desk.passed_unseen += 20 if frozen == "wall" else 0

        monkeypatch.setattr(DeskWork, "confirmed", slowly)
        await desk.hand(poster, *(of_account(f"A{number}") for number in range(many)))
        intents = sum(key.startswith("command/") for key in desk.table)
        assert (posts_at_first, len(desk.outcomes), desk.posts, intents) == ([0], many, many, many)

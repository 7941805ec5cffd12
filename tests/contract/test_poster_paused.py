"""The stop button: the poster obeys before every request, and everything waits."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from schemas.base import utc_now
from schemas.requests import PostingPaused, PostingResumed
from tests.support.posting import Desk, DeskWork, command, open_desk, the_posted
from tests.support.waiting import eventually


def paused(company: str = "*") -> PostingPaused:
    return PostingPaused(company=company, actor="ann", at=utc_now(), reason="month end")


def resumed(company: str = "*") -> PostingResumed:
    return PostingResumed(company=company, actor="bob", at=utc_now(), reason="done")


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


def requests(desk: Desk) -> int:
    return sum(desk.sandbox.traffic.by_endpoint.values())


@pytest.mark.parametrize("company", ["*", "10"])
async def test_nothing_is_asked_of_ifs_while_posting_is_paused_and_all_goes_on_when_resumed(
    desk: Desk, company: str
) -> None:
    desk.pauses.apply(paused(company))
    posting = asyncio.create_task(desk.post(command()))
    done, _ = await asyncio.wait({posting}, timeout=0.3)
    assert (done, requests(desk), desk.sent) == (set(), 0, [])

    desk.pauses.apply(resumed(company))
    the_posted(await asyncio.wait_for(posting, 30))
    assert len(desk.vouchers()) == 1


async def test_a_pause_of_another_company_holds_up_nothing(desk: Desk) -> None:
    desk.pauses.apply(paused("20"))
    the_posted(await asyncio.wait_for(desk.post(command()), 30))


async def test_what_is_paused_takes_nothing_of_what_may_be_asked_for_others(desk: Desk) -> None:
    desk.pauses.apply(paused("10"))
    async with desk.poster() as poster:
        for number in range(5):
            await desk.hand(poster, command(f"INV{number}-AAAABBBBCCCCDDDDEEEE", account_id=f"A{number}"))
        half = desk.budget.limit // 2  # which a first poster takes as spent by another
        assert (await desk.budget.spent(), desk.in_room) == (half, 5)


async def test_a_pause_between_the_look_and_the_post_is_obeyed(desk: Desk) -> None:
    desk.fault("slow", method="GET", seconds=0.3)  # the look is under way when the order comes
    posting = asyncio.create_task(desk.post(command()))

    async def looking() -> int:
        return desk.looks

    await eventually(looking)
    desk.pauses.apply(paused())
    done, _ = await asyncio.wait({posting}, timeout=0.6)
    assert (done, desk.posts) == (set(), 0)

    desk.pauses.apply(resumed())
    the_posted(await asyncio.wait_for(posting, 30))
    assert (desk.posts, desk.looks) == (1, 2)


async def test_an_order_that_comes_while_the_intent_is_written_is_obeyed_and_leaves_no_doubt(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm = DeskWork.confirmed

    async def confirmed(work: DeskWork) -> None:
        await confirm(work)
        if not desk.pauses.all_paused and not desk.sent and desk.posts == 0:
            desk.pauses.apply(paused())

    monkeypatch.setattr(DeskWork, "confirmed", confirmed)
    posting = asyncio.create_task(desk.post(command()))
    done, _ = await asyncio.wait({posting}, timeout=0.5)
    assert (done, desk.posts) == (set(), 0)

    monkeypatch.setattr(DeskWork, "confirmed", confirm)
    desk.pauses.apply(resumed())
    the_posted(await asyncio.wait_for(posting, 30))
    assert (desk.posts, desk.progress) == (1, [])


async def test_an_uncertain_voucher_is_not_even_looked_for_while_paused_and_is_found_afterwards(desk: Desk) -> None:
    desk.fault("commit-then-drop")

    def is_heard() -> bool:
        desk.pauses.apply(paused())  # the order comes when the POST is as good as sent
        return True

    desk.is_heard = is_heard  # type: ignore[method-assign]
    posting = asyncio.create_task(desk.post(command()))

    async def booked() -> int:
        return desk.posts

    await eventually(booked)
    await asyncio.wait({posting}, timeout=0.6)
    before = requests(desk)
    done, _ = await asyncio.wait({posting}, timeout=0.3)
    assert (done, requests(desk)) == (set(), before)

    desk.pauses.apply(resumed())
    posted = the_posted(await asyncio.wait_for(posting, 30))
    assert (posted.found, desk.posts, len(desk.vouchers())) == (True, 1, 1)


async def test_a_waiting_poster_can_be_stopped_at_any_moment(desk: Desk) -> None:
    desk.pauses.apply(paused())
    posting = asyncio.create_task(desk.post(command()))
    await asyncio.wait({posting}, timeout=0.2)
    posting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(posting, 5)
    assert requests(desk) == 0

"""Accounting periods that are closed, not there yet, or closed while a voucher is on its way."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from schemas.base import Model
from schemas.vouchers import PostVoucher, VoucherPosted, VoucherRejected
from tests.support.fakes import CrashError
from tests.support.posting import Desk, command, open_desk, reversal_of, the_posted, the_rejected

JULY = (2026, 7)
"""The period of the commands' usual date, 2026-07-03."""
CLOSED = "period-not-open-for-user-group"


@pytest.fixture(params=["voucher-set", "entry-assistant"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with open_desk(posting=request.param) as opened:
        yield opened


@pytest.fixture
async def voucher_set() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


def close(desk: Desk, period: tuple[int, int] = JULY) -> None:
    desk.sandbox.companies["10"].closed_periods.add(period)


def reopen(desk: Desk, period: tuple[int, int] = JULY) -> None:
    desk.sandbox.companies["10"].closed_periods.discard(period)


def close_once_booked(desk: Desk) -> None:
    """Close July in the moment in which the next voucher is booked."""
    book = desk.sandbox.ledger.book

    def book_and_close(*voucher: Any) -> Any:
        close(desk)
        return book(*voucher)

    desk.sandbox.ledger.book = book_and_close  # type: ignore[method-assign,assignment]


def again(first: PostVoucher, **changes: Any) -> PostVoucher:
    """What a replay sends: another command of the same reference."""
    return first.model_copy(update={"command_id": f"replay of {first.command_id} {changes}"} | changes)


def voucher(account: str, **changes: Any) -> PostVoucher:
    return command(f"INV{account}-AAAABBBBCCCCDDDDEEEE", account_id=account, **changes)


def told(outcomes: list[Model]) -> list[tuple[str, str]]:
    """What came of whom, by account."""
    return [
        (one.account_id, type(one).__name__) for one in outcomes if isinstance(one, VoucherPosted | VoucherRejected)
    ]


def dates(desk: Desk) -> list[str]:
    """The dates of all vouchers in IFS."""
    return [str(one.header["VoucherDate"]) for one in desk.sandbox.ledger.vouchers.values()]


# --- before a POST ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "reason", "words"),
    [
        (date(2026, 7, 3), CLOSED, "period 2026-07 is not open for user group INT in company 10"),
        (date(2028, 2, 29), "accounting-year-missing", "no accounting period of company 10 has 2028-02-29"),
        (date(2001, 1, 1), "accounting-year-missing", "no accounting period of company 10 has 2001-01-01"),
    ],
)
async def test_who_is_rejected_for_a_period_is_told_what_to_do_and_a_replay_with_a_date_posts_once(
    desk: Desk, day: date, reason: str, words: str
) -> None:
    close(desk)
    bad, behind = command(voucher_date=day, rate_date=day), command("INV2-A", voucher_date=date(2026, 8, 1))
    first, second = await desk.post(bad, behind)
    rejected = the_rejected([first])

    assert (rejected.reason, rejected.message, desk.posts) == (reason, words, 1)
    assert "then replay the record, or replay it with a date in an open period." in rejected.advice
    assert isinstance(second, VoucherPosted), "who is behind in the account does not wait"

    moved = again(bad, voucher_date=date(2026, 8, 31))
    await desk.post(moved, moved)
    assert told(desk.outcomes)[2:] == [("A1", "VoucherPosted")] * 2
    assert len(desk.vouchers(bad.reference)) == 1
    assert dates(desk) == ["2026-08-01", "2026-08-31"]


@pytest.mark.parametrize("day", [date.min, date.max])
async def test_no_date_is_too_odd_to_be_rejected_and_passed(desk: Desk, day: date) -> None:
    outcomes = await desk.post(command(voucher_date=day, rate_date=day), command("INV2-A"))
    assert told(outcomes) == [("A1", "VoucherRejected"), ("A1", "VoucherPosted")]
    assert f"is not valid on {day}" in the_rejected(outcomes[:1]).message


async def test_a_period_that_is_opened_later_takes_the_same_voucher_on_its_own_day(desk: Desk) -> None:
    close(desk)
    async with desk.poster() as poster:  # the same poster, which has read the periods already
        await desk.hand(poster, command())
        the_rejected(desk.outcomes)
        reopen(desk)
        await desk.hand(poster, again(command()))
    assert told(desk.outcomes) == [("A1", "VoucherRejected"), ("A1", "VoucherPosted")]
    assert dates(desk) == ["2026-07-03"]


async def test_a_year_that_is_made_later_takes_the_same_voucher_on_its_leap_day(desk: Desk) -> None:
    company, leap_day = desk.sandbox.companies["10"], date(2028, 2, 29)
    async with desk.poster() as poster:
        await desk.hand(poster, command(voucher_date=leap_day))
        the_rejected(desk.outcomes)
        company.years.add(2028)
        company.voucher_types["M"].years.add(2028)
        await desk.hand(poster, again(command(voucher_date=leap_day)))
    assert told(desk.outcomes)[-1] == ("A1", "VoucherPosted")
    assert [(each.key[2], each.header["VoucherDate"]) for each in desk.vouchers()] == [(2028, "2028-02-29")]


async def test_a_year_without_numbers_for_its_vouchers_is_told_as_such(desk: Desk) -> None:
    desk.sandbox.companies["10"].years.add(2028)
    rejected = the_rejected(await desk.post(command(voucher_date=date(2028, 2, 29))))
    assert (rejected.reason, desk.vouchers()) == ("number-series-missing", [])


async def test_the_last_day_of_a_year_and_the_first_go_to_their_own_years(desk: Desk) -> None:
    close(desk, (2027, 1))
    last, first = voucher("A1", voucher_date=date(2026, 12, 31)), voucher("A2", voucher_date=date(2027, 1, 1))
    assert told(await desk.post(last, first)) == [("A1", "VoucherPosted"), ("A2", "VoucherRejected")]
    reopen(desk, (2027, 1))
    close(desk, (2026, 12))
    posted = (await desk.post(again(first)))[-1]
    assert isinstance(posted, VoucherPosted)
    assert (posted.accounting_year, posted.voucher_date) == (2027, date(2027, 1, 1))
    assert dates(desk) == ["2026-12-31", "2027-01-01"]


async def test_who_must_take_back_a_voucher_of_a_closed_period_is_not_told_to_replay(desk: Desk) -> None:
    first = the_posted(await desk.post(command()))
    close(desk)
    rejected = (await desk.post(reversal_of(first)))[-1]
    assert isinstance(rejected, VoucherRejected)
    assert rejected.reason == CLOSED
    assert "replay" not in rejected.advice
    assert "then correct the record, or correct it with a date in an open period." in rejected.advice

    moved = reversal_of(first, command_id="corrected again", voucher_date=date(2026, 8, 1))
    await desk.post(moved)
    assert told(desk.outcomes)[-1] == ("A1", "VoucherReversed")
    assert dates(desk) == ["2026-07-03", "2026-08-01"]


# --- between the check and the POST -----------------------------------------------------------------------------------


async def test_a_period_that_closes_after_it_was_read_rejects_in_the_words_of_ifs_and_costs_nobody_else(
    desk: Desk,
) -> None:
    async with desk.poster() as poster:
        await desk.hand(poster, voucher("A1"))
        close(desk)
        await desk.hand(poster, voucher("A2"), voucher("A2b", voucher_date=date(2026, 8, 1)))
        await desk.until_nobody_waits(poster)
        rejected = desk.outcomes[1]
        assert isinstance(rejected, VoucherRejected)
        assert (rejected.reason, rejected.code) == (CLOSED, "ORA-20110 UserGroupPeriod.USRGRPPER")
        reopen(desk)
        await desk.hand(poster, again(voucher("A2")))
    assert told(desk.outcomes) == [
        ("A1", "VoucherPosted"),
        ("A2", "VoucherRejected"),
        ("A2b", "VoucherPosted"),
        ("A2", "VoucherPosted"),
    ]
    assert dates(desk) == ["2026-07-03", "2026-08-01", "2026-07-03"]
    assert not desk.sandbox.ledger.duplicates()
    assert not desk.sandbox.drafts


@pytest.mark.parametrize("is_read_before", [True, False])
async def test_one_voucher_of_a_closed_period_costs_a_batch_nothing(voucher_set: Desk, *, is_read_before: bool) -> None:
    desk = voucher_set
    many = [voucher(f"A{n}x", voucher_date=date(2026, 7 if n == 4 else 8, 3)) for n in range(9)]
    async with desk.poster(batch_size=50) as poster:
        if is_read_before:
            await desk.hand(poster, voucher("first"))
        close(desk)
        await desk.hand(poster, *many)
        await desk.until_nobody_waits(poster)
    of_many = [one for one in told(desk.outcomes) if one[0] != "first"]
    assert sorted(of_many) == [(f"A{n}x", "VoucherRejected" if n == 4 else "VoucherPosted") for n in range(9)]
    assert [len(desk.vouchers(each.reference)) for each in many] == [0 if n == 4 else 1 for n in range(9)]
    [rejected] = [one for one in desk.outcomes if isinstance(one, VoucherRejected)]
    assert rejected.reason == CLOSED


# --- while a POST is in doubt -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["commit-then-drop", "commit-then-504"])
@pytest.mark.parametrize("dies", [False, True])
async def test_a_voucher_that_is_there_is_found_though_its_period_closed_since(
    desk: Desk, kind: str, *, dies: bool
) -> None:
    desk.fault(kind)
    close_once_booked(desk)
    if dies:
        with pytest.raises(CrashError):
            await desk.post(command(), crash_at=2)  # the intent is durable, the answer's effect is not told
    assert the_posted(await desk.post(command())).found
    assert (len(desk.vouchers()), desk.sandbox.counts["booked"]) == (1, 1)


async def test_a_voucher_that_comes_late_is_found_though_its_period_closed_since(desk: Desk) -> None:
    desk.fault("commit-late", seconds=0.5, status=504)
    async with desk.poster(settle_seconds=2) as poster:
        await desk.hand(poster, command())
        assert desk.progress == ["uncertain"]
        close(desk)
        await desk.until_nobody_waits(poster)
    assert the_posted(desk.outcomes).found
    assert len(desk.vouchers()) == 1


async def test_only_what_is_proven_absent_is_rejected_for_its_period(desk: Desk) -> None:
    desk.fault("drop")
    async with desk.poster() as poster:
        await desk.hand(poster, command())
        assert (desk.progress, desk.outcomes) == (["uncertain"], [])
        close(desk)
        await desk.tick(poster)
        assert desk.outcomes == [], "nobody says no while the POST may still be done"
    async with desk.poster() as poster:  # another, which reads the periods anew
        await desk.until_nobody_waits(poster)
    assert (the_rejected(desk.outcomes).reason, desk.vouchers()) == (CLOSED, [])
    assert told(await desk.post(again(command(), voucher_date=date(2026, 8, 1))))[-1] == ("A1", "VoucherPosted")
    assert dates(desk) == ["2026-08-01"]


async def test_a_batch_whose_answer_is_lost_is_found_whole_though_its_period_closed_since(voucher_set: Desk) -> None:
    desk, many = voucher_set, [voucher(f"A{n}x") for n in range(5)]
    desk.fault("commit-then-drop")
    close_once_booked(desk)
    async with desk.poster(batch_size=50) as poster:
        await desk.hand(poster, *many)
        await desk.until_nobody_waits(poster)
    assert [kind for _, kind in told(desk.outcomes)] == ["VoucherPosted"] * 5
    assert desk.sandbox.counts["booked"] == len(desk.sandbox.ledger.vouchers) == 5


async def test_a_batch_that_was_never_done_is_rejected_voucher_by_voucher_once_that_is_proven(
    voucher_set: Desk,
) -> None:
    desk, many = voucher_set, [voucher(f"A{n}x", voucher_date=date(2026, 7 + n % 2, 3)) for n in range(4)]
    desk.fault("drop")
    async with desk.poster(batch_size=50) as poster:
        await desk.hand(poster, *many)
        assert desk.outcomes == []
    close(desk)
    await asyncio.wait_for(desk.post(batch_size=50), 30)
    assert sorted(told(desk.outcomes)) == [
        (f"A{n}x", "VoucherPosted" if n % 2 else "VoucherRejected") for n in range(4)
    ]
    assert dates(desk) == ["2026-08-03", "2026-08-03"]

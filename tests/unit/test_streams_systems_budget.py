"""Requests in any window, and at a time."""

import asyncio
import time

import pytest

from streams.systems.budget import RateBudget, Slots


async def test_no_window_ever_holds_more_than_the_limit() -> None:
    budget = RateBudget(20, window_seconds=1)
    times: list[float] = []

    async def ask() -> None:
        await budget.acquire()
        times.append(time.time())

    await asyncio.gather(*(ask() for _ in range(50)))

    # The 21st after any request comes a whole window later; 5 ms for the time between being let through and noting it.
    assert all(later - earlier >= 0.995 for earlier, later in zip(times, times[20:], strict=False))
    assert times[-1] - times[0] < 2.5


async def test_a_budget_that_shrinks_counts_what_was_spent_before() -> None:
    budget = RateBudget(10, window_seconds=60)
    for _ in range(5):
        await budget.acquire()

    budget.shrink(5)

    assert budget.limit == 5
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(budget.acquire(), 0.05)
    budget.shrink(None)
    await asyncio.wait_for(budget.acquire(5), 10)
    assert await budget.spent() == 10


async def test_a_budget_never_grows_beyond_what_is_configured() -> None:
    budget = RateBudget(10)

    budget.shrink(1000)

    assert budget.limit == 10


async def test_the_limit_follows_a_share_and_is_at_least_one() -> None:
    share = 0.5
    budget = RateBudget(lambda: 10 * share)

    assert budget.limit == 5
    share = 0.0
    assert budget.limit == 1


async def test_the_past_of_someone_else_counts_as_spent_and_passes() -> None:
    budget = RateBudget(3, window_seconds=1)

    await budget.spend_as_past(100)
    began = time.monotonic()
    await budget.acquire()

    assert time.monotonic() - began > 0.9


@pytest.mark.parametrize("jump", [-3600, 3600], ids=["back", "forward"])
async def test_a_clock_that_is_set_lets_nobody_exceed_the_limit_and_stops_nobody_for_longer_than_a_window(
    jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = RateBudget(3, window_seconds=1)
    await budget.acquire(3)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    began = time.monotonic()

    await asyncio.wait_for(budget.acquire(), 10)
    assert time.monotonic() - began > 0.9  # what was spent stays spent


async def test_more_than_a_window_holds_goes_in_portions() -> None:
    budget = RateBudget(2, window_seconds=1)
    began = time.monotonic()

    await budget.acquire(3)

    assert 0.9 < time.monotonic() - began < 2


async def test_slots_let_so_many_in_at_a_time_in_order() -> None:
    slots, inside, most, order = Slots(3), 0, 0, []

    async def enter(number: int) -> None:
        nonlocal inside, most
        async with slots:
            order.append(number)
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(enter(number) for number in range(20)))

    assert most == 3
    assert order == list(range(20))


async def test_a_cancelled_waiter_loses_no_slot() -> None:
    slots = Slots(1)

    async def enter() -> None:
        async with slots:
            await asyncio.sleep(0)

    async with slots:
        waiting = [asyncio.create_task(enter()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    waiting[1].cancel()  # the slot is being handed to it in this very moment

    await asyncio.wait_for(waiting[2], 10)
    await asyncio.wait_for(enter(), 10)


async def test_slots_that_shrink_let_nobody_in_until_enough_have_left() -> None:
    limit = 2
    slots = Slots(lambda: limit)
    await slots.__aenter__()
    await slots.__aenter__()
    limit = 1
    third = asyncio.create_task(slots.__aenter__())

    await slots.__aexit__(None, None, None)
    await asyncio.sleep(0)

    assert not third.done()
    await slots.__aexit__(None, None, None)
    await asyncio.wait_for(third, 10)

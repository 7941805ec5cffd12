"""The rate goes down at once and comes back slowly, and never above what is configured."""

import asyncio

import pytest

from streams.systems.budget import RateBudget
from streams.systems.governor import BELOW, BURST_SECONDS, DECREASE, LOWEST, Governor


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_refusal_after_few_requests_lowers_the_limit_by_its_share_and_a_burst_once(clock: Clock) -> None:
    budget = RateBudget(1_000)
    governor = Governor(budget, clock=clock)
    for _ in range(5):
        await governor.refused(None)
    assert budget.limit == 1_000 * DECREASE

    clock.now += BURST_SECONDS
    await governor.refused(None)
    assert budget.limit == 490


async def test_what_the_last_minute_held_is_what_the_far_side_takes(clock: Clock) -> None:
    budget = RateBudget(1_000)
    governor = Governor(budget, clock=clock)
    await budget.acquire(800)
    await governor.refused(None)
    assert budget.limit == 800 * BELOW


async def test_the_limit_never_goes_below_its_floor(clock: Clock) -> None:
    budget = RateBudget(1_000)
    governor = Governor(budget, clock=clock)
    for _ in range(50):
        await governor.refused(None)
        clock.now += BURST_SECONDS
    assert budget.limit == 1_000 * LOWEST


async def test_the_limit_comes_back_slowly_and_then_fast_and_stops_at_what_is_configured(clock: Clock) -> None:
    budget = RateBudget(1_000)
    governor = Governor(budget, clock=clock)
    await governor.refused(None)
    limits = []
    for _ in range(7):
        clock.now += 60
        governor.answered()
        limits.append(budget.limit)
    assert limits == [707, 721, 749, 805, 917, 1_000, 1_000]


@pytest.mark.parametrize("real", [300, 400, 700])
async def test_a_real_limit_below_the_configured_one_is_used_and_seldom_passed(clock: Clock, real: int) -> None:
    """Played in steps of a second against a far side that counts a sliding minute; a poster asks all that it may."""
    limit, taken, asked = 1_000, [0] * 60, [0] * 60
    budget = PlayedBudget(limit, asked)
    governor = Governor(budget, clock=clock)
    answers = refusals = useful = 0
    held_until = 0.0
    for second in range(3_600):
        clock.now += 1
        taken.append(0)
        asked.append(0)
        for _ in range(20):
            if clock.now < held_until or sum(asked[-60:]) >= budget.limit:
                break
            answers += 1
            asked[-1] += 1
            if sum(taken[-60:]) >= real:
                refusals += 1
                held_until = clock.now + 1
                await governor.refused(1.0)
                continue
            taken[-1] += 1
            useful += second >= 600
            governor.answered()

    assert refusals / answers < 0.005
    assert useful / 50 >= 0.93 * real


class PlayedBudget(RateBudget):
    """A budget whose spending the test keeps."""

    def __init__(self, limit: int, asked: list[int]) -> None:
        super().__init__(limit)
        self._asked = asked

    async def spent(self) -> int:
        return sum(self._asked[-60:])


async def test_a_share_that_changes_bounds_what_was_learnt(clock: Clock) -> None:
    share = 1_000.0
    budget = RateBudget(lambda: share)
    governor = Governor(budget, clock=clock)
    await governor.refused(None)
    share = 100.0
    assert budget.limit == 100
    governor.answered()
    assert budget.limit == 100


async def test_requests_are_held_back_as_long_as_was_asked_for() -> None:
    governor = Governor(RateBudget(1_000))
    loop = asyncio.get_running_loop()
    await asyncio.wait_for(governor.admit(), 0.05)

    await governor.refused(0.3)
    started = loop.time()
    await governor.refused(0.1)  # a shorter wait does not cut the longer one
    await asyncio.gather(governor.admit(), governor.admit())
    assert loop.time() - started >= 0.29


async def test_who_waits_already_waits_longer_when_the_far_side_asks_for_more() -> None:
    governor = Governor(RateBudget(1_000))
    loop = asyncio.get_running_loop()
    governor.hold(0.05)
    started, waiting = loop.time(), asyncio.create_task(governor.admit())
    await asyncio.sleep(0)
    governor.hold(0.3)
    await waiting
    assert loop.time() - started >= 0.29

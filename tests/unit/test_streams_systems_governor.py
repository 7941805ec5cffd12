"""The rate goes down at once and comes back slowly, and never above what is configured."""

import asyncio

import pytest

from streams.systems.budget import RateBudget
from streams.systems.governor import BURST_SECONDS, DECREASE, LOWEST, Governor


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_each_refusal_lowers_the_limit_by_its_share_and_a_burst_of_them_once(clock: Clock) -> None:
    budget = RateBudget(1_000)
    governor = Governor(budget, clock=clock)
    for _ in range(5):
        governor.refused(None)
    assert budget.limit == 1_000 * DECREASE

    clock.now += BURST_SECONDS
    governor.refused(None)
    assert budget.limit == 490


def test_the_limit_never_goes_below_its_floor(clock: Clock) -> None:
    budget = RateBudget(1_000)
    governor = Governor(budget, clock=clock)
    for _ in range(50):
        governor.refused(None)
        clock.now += BURST_SECONDS
    assert budget.limit == 1_000 * LOWEST


def test_the_limit_comes_back_a_twentieth_in_a_minute_and_stops_at_what_is_configured(clock: Clock) -> None:
    budget = RateBudget(1_000)
    governor = Governor(budget, clock=clock)
    governor.refused(None)
    limits = []
    for _ in range(7):
        clock.now += 60
        governor.answered()
        limits.append(budget.limit)
    assert limits == pytest.approx([750, 800, 850, 900, 950, 1_000, 1_000], abs=1)


def test_a_share_that_changes_bounds_what_was_learnt(clock: Clock) -> None:
    share = 1_000.0
    budget = RateBudget(lambda: share)
    governor = Governor(budget, clock=clock)
    governor.refused(None)
    share = 100.0
    assert budget.limit == 100
    governor.answered()
    assert budget.limit == 100


async def test_requests_are_held_back_as_long_as_was_asked_for() -> None:
    governor = Governor(RateBudget(1_000))
    loop = asyncio.get_running_loop()
    await asyncio.wait_for(governor.admit(), 0.05)

    governor.refused(0.3)
    started = loop.time()
    governor.refused(0.1)  # a shorter wait does not cut the longer one
    await asyncio.gather(governor.admit(), governor.admit())
    assert loop.time() - started >= 0.29

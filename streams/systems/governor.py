"""Finds the rate that a far side really takes: down at once when it says "too many", up again slowly.

Additive increase, multiplicative decrease, as TCP does it (RFC 5681, 3.1). What is configured stays the most.
Others may share the far side's limit, so the real one can be lower and can change.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from streams.systems.budget import RateBudget

DECREASE = 0.7
"""Share of the limit that is left after a 429; from 950 a real limit of 200 is found after five."""
BURST_SECONDS = 10.0
"""All 429 within it tell of the same overload, and count once."""
INCREASE_PER_SECOND = 0.05 / 60
"""Share of the configured limit that comes back: a twentieth in a minute, all of it in 20 minutes."""
LOWEST = 0.05
"""Share of the configured limit that is always left: less would tell nothing about the far side any more."""

log = structlog.get_logger(__name__)


class Governor:
    """Sets a budget's limit by what the far side answers, and holds requests back as long as it asks for."""

    def __init__(self, budget: RateBudget, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._limit: float | None = None
        self._changed_at = float("-inf")
        self._refused_at = float("-inf")
        self._held_until = float("-inf")

    async def admit(self) -> None:
        """Return when the far side may be asked again; at once unless it has just asked for a wait."""
        seconds = self._held_until - self._clock()
        if seconds > 0:
            await asyncio.sleep(seconds)

    def refused(self, retry_after: float | None) -> None:
        """Note a 429, and the seconds that it asks us to wait."""
        now = self._clock()
        self._held_until = max(self._held_until, now + (retry_after or 0.0))
        if now - self._refused_at < BURST_SECONDS:
            return
        configured = self._budget.configured
        self._limit = max(LOWEST * configured, DECREASE * min(self._budget.limit, configured))
        self._refused_at = self._changed_at = now
        self._budget.shrink(round(self._limit))
        log.warning("asked too much; fewer requests from now on", limit=self._budget.limit, retry_after=retry_after)

    def answered(self) -> None:
        """Note any other answer: the limit comes back with the time."""
        if self._limit is None:
            return
        now, configured = self._clock(), self._budget.configured
        self._limit += (now - self._changed_at) * INCREASE_PER_SECOND * configured
        self._changed_at = now
        if self._limit >= configured:
            self._limit = None
            log.info("the configured limit holds again", limit=configured)
        self._budget.shrink(None if self._limit is None else round(self._limit))

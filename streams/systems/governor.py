"""Finds the rate that a far side really takes: down at once when it says "too many", up again by probing.

Multiplicative decrease as TCP does it (RFC 5681, 3.1), and an increase that begins slowly and doubles, as CUBIC's does
beyond the last loss (RFC 9438, 4.2): most of the time is spent just below the real limit, and a limit that was lifted
is found within minutes. What is configured stays the most. Others may share the far side's limit, so the real one can
be lower and can change.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from streams.systems.budget import RateBudget

DECREASE = 0.7
"""Share of the limit that is left after a 429 at least; from 950 a real limit of 200 is found after five."""
BELOW = 0.95
"""Share of what the last minute held when a 429 came: that is what the far side takes, and a little less is asked."""
BURST_SECONDS = 10.0
"""All 429 within it tell of the same overload, and count once."""
INCREASE_SHARE = 0.01
"""Share of itself by which the limit grows in the first minute after a 429; twice that in the next, and so on.

So it passes the real limit after two to three minutes, whatever that is; a limit of 400 that was lifted is back at
1,000 after seven."""
INCREASE_SECONDS = 60.0
LOWEST = 0.05
"""Share of the configured limit that is always left: less would tell nothing about the far side any more."""
_MOST_DOUBLINGS = 12.0
"""By then a twentieth of the configured limit has become more than all of it."""

log = structlog.get_logger(__name__)


class Governor:
    """Sets a budget's limit by what the far side answers, and holds requests back as long as it asks for."""

    def __init__(self, budget: RateBudget, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._limit: float | None = None
        self._from = 0.0
        self._refused_at = float("-inf")
        self._held_until = float("-inf")

    async def admit(self) -> None:
        """Return when the far side may be asked again; at once unless it has just asked for a wait."""
        while (seconds := self._held_until - self._clock()) > 0:  # noqa: ASYNC110 - more may be asked meanwhile
            await asyncio.sleep(seconds)

    def hold(self, retry_after: float | None) -> None:
        """Ask nothing for the seconds that the far side asks for."""
        self._held_until = max(self._held_until, self._clock() + (retry_after or 0.0))

    async def refused(self, retry_after: float | None) -> None:
        """Note a 429, and the seconds that it asks us to wait."""
        now = self._clock()
        self.hold(retry_after)
        if now - self._refused_at < BURST_SECONDS:
            return
        configured = self._budget.configured
        limit, held = self._budget.limit, await self._budget.spent()
        learnt = min(max(BELOW * held, DECREASE * limit), BELOW * limit)
        self._limit = self._from = max(LOWEST * configured, learnt)
        self._refused_at = now
        self._budget.shrink(round(self._limit))
        log.warning("asked too much; fewer requests from now on", limit=self._budget.limit, retry_after=retry_after)

    def answered(self) -> None:
        """Note any other answer: the limit comes back with the time."""
        if self._limit is None:
            return
        configured = self._budget.configured
        minutes = (self._clock() - self._refused_at) / INCREASE_SECONDS
        growth = 2.0 ** min(minutes, _MOST_DOUBLINGS) - 1.0
        self._limit = self._from * (1.0 + growth * INCREASE_SHARE)
        if self._limit >= configured:
            self._limit = None
            log.info("the configured limit holds again", limit=configured)
        self._budget.shrink(None if self._limit is None else round(self._limit))

"""The rate budget across a change of posters: what the one before spent in the last minute, from the table."""

from collections.abc import Callable
from datetime import datetime

from agents.poster.metrics import BUDGET_LIMIT, BUDGET_SPENT
from agents.poster.state import SPENT_KEY, Spent, minute_before, written
from agents.runtime import StateTable
from streams.systems.budget import RateBudget

UNRECORDED_MOST = 20
"""Requests that a predecessor may have made since the last record: a few steps of a few requests."""
STEPS_PER_RECORD = 5
SECONDS_PER_RECORD = 5.0


class RecordedBudget:
    """Writes down what is spent, and takes over what a predecessor spent.

    A table without a record belongs to a poster that starts for the first time under its app id: nothing of its own is
    under way, but under another app id a poster may have just stopped. Half of the budget is taken as spent then. All
    of it would let every new set-up wait a full minute before its first voucher; should the other half be too much,
    IFS answers 429 and is obeyed.
    """

    def __init__(self, budget: RateBudget, table: StateTable, clock: Callable[[], datetime]) -> None:
        self._budget = budget
        self._table = table
        self._clock = clock
        self._taken_over = False
        self._steps = 0
        self._recorded_at: datetime | None = None

    async def take_over(self) -> None:
        """Count what was spent before us; the first call does, later ones return at once."""
        if self._taken_over:
            return
        self._taken_over = True
        value = self._table.get(SPENT_KEY)
        if value is None:
            await self._budget.spend_as_past(self._budget.limit // 2)
            return
        spent = Spent.model_validate_json(value)
        if minute_before(self._clock(), spent):
            await self._budget.spend_as_past(spent.requests + UNRECORDED_MOST)

    async def record(self, *, at_once: bool = False) -> None:
        """Write down what the last minute holds: `at_once`, else every few steps and every few seconds."""
        now = self._clock()
        self._steps += 1
        is_old = self._recorded_at is None or (now - self._recorded_at).total_seconds() >= SECONDS_PER_RECORD
        if at_once or is_old or self._steps >= STEPS_PER_RECORD:
            self._steps, self._recorded_at = 0, now
            spent = await self._budget.spent()
            BUDGET_SPENT.set(spent)
            BUDGET_LIMIT.set(self._budget.limit)
            self._table[SPENT_KEY] = written(Spent(at=now, requests=spent))

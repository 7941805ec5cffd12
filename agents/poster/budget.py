"""The rate budget across a change of posters: what the one before spent in the last minute, from the table."""

from collections.abc import Callable
from datetime import datetime

from agents.poster.metrics import BUDGET_LIMIT, BUDGET_SPENT
from agents.poster.state import SPENT_KEY, Spent, written
from agents.runtime import StateTable
from streams.systems.budget import WINDOW_SECONDS
from streams.systems.ifs.service import Service

BUCKET_SECONDS = 5
UNRECORDED_MOST = 20
"""Requests that a predecessor may have made since its last record that Kafka confirmed."""
RECORD_AT_ONCE = 15
"""Requests that are not recorded: then they are, and confirmed, also where one command takes many, such as a long
draft. A usual voucher takes less between its records."""
STEPS_PER_RECORD = 5


class RecordedBudget:
    """Writes down what is spent, and takes over what a predecessor spent.

    A table without a record belongs to a poster that starts for the first time under its app id: nothing of its own is
    under way, but under another app id a poster may have just stopped. Half of the budget is taken as spent then. All
    of it would let every new set-up wait a full minute before its first voucher; should the other half be too much,
    IFS answers 429 and is obeyed.
    """

    def __init__(self, service: Service, table: StateTable, clock: Callable[[], datetime]) -> None:
        self._service = service
        self._table = table
        self._clock = clock
        self._requests: dict[int, int] | None = None
        self._counted = 0
        self._steps = 0

    async def take_over(self) -> None:
        """Count what was spent before us; the first call does, and the next one after `forget`."""
        if self._requests is not None:
            return
        value = self._table.get(SPENT_KEY)
        self._requests = {} if value is None else Spent.model_validate_json(value).requests
        self._forget_old()
        self._counted = self._service.requests
        budget = self._service.budget
        if value is None:
            await budget.spend_as_past(budget.limit // 2)
        elif self._requests:
            await budget.spend_as_past(sum(self._requests.values()) + UNRECORDED_MOST)

    def forget(self) -> None:
        """Take over once more: another poster may have had the table in between, and spent from the same budget."""
        self._requests = None

    @property
    def is_behind(self) -> bool:
        """Whether so many requests are not recorded that a successor might count too few."""
        return self._requests is not None and self._service.requests - self._counted >= RECORD_AT_ONCE

    async def record(self, *, at_once: bool = False) -> None:
        """Write down what the last minute holds: `at_once`, else every few steps."""
        self._steps += 1
        if self._requests is None or (not at_once and self._steps < STEPS_PER_RECORD):
            return
        self._steps = 0
        bucket = self._now() // BUCKET_SECONDS * BUCKET_SECONDS
        made, self._counted = self._service.requests - self._counted, self._service.requests
        self._requests[bucket] = self._requests.get(bucket, 0) + made
        self._forget_old()
        self._table[SPENT_KEY] = written(Spent(requests=self._requests))
        BUDGET_SPENT.set(await self._service.budget.spent())
        BUDGET_LIMIT.set(self._service.budget.limit)

    def _forget_old(self) -> None:
        oldest = self._now() - WINDOW_SECONDS - BUCKET_SECONDS
        self._requests = {bucket: made for bucket, made in (self._requests or {}).items() if bucket >= oldest}

    def _now(self) -> int:
        return int(self._clock().timestamp())

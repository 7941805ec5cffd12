"""How fast the poster gets on: told to Prometheus, and written down now and then for `posting status`."""

from collections.abc import Callable
from datetime import datetime, timedelta

from agents.poster.metrics import SECONDS_UNTIL_CLEAR
from agents.poster.state import written
from agents.runtime import StateTable
from schemas.topics import POSTING_PACE
from streams.posting_status import Pace, requests_expected
from streams.systems.ifs.service import Service

RECORD_EVERY = timedelta(seconds=10)
FORGOTTEN_PER_TURN = 0.02
"""Of what earlier turns took: the last fifty count, so faults and half full batches are told as they are now."""


class PaceRecord:
    """Counts the requests that outcomes took, and how long; the rate limit is the one that holds now."""

    def __init__(self, service: Service, table: StateTable, *, batch_size: int, clock: Callable[[], datetime]) -> None:
        self._service = service
        self._table = table
        self._batch_size = batch_size
        self._clock = clock
        self._recorded_at = clock()
        self._requests = self._outcomes = self._seconds = 0.0

    def carried(self, requests: int, outcomes: int, seconds: float) -> None:
        """Note what a turn took and how many commands it brought to their outcomes."""
        kept = 1 - FORGOTTEN_PER_TURN
        self._requests = self._requests * kept + requests
        self._outcomes = self._outcomes * kept + outcomes
        self._seconds = self._seconds * kept + seconds

    def record(self) -> None:
        """Write the pace down, now and then; only inside a handler."""
        now = self._clock()
        if self._outcomes and now - self._recorded_at >= RECORD_EVERY:
            self._recorded_at = now
            self._table[POSTING_PACE] = written(self._pace(now))

    def tell(self, backlog: int) -> None:
        """Tell Prometheus when a backlog will be clear."""
        pace = self._pace(self._clock())
        SECONDS_UNTIL_CLEAR.set(pace.seconds_for(backlog, pace.requests_per_minute))

    def _pace(self, now: datetime) -> Pace:
        expected = requests_expected(self._batch_size)
        return Pace(
            requests_per_minute=self._service.budget.limit,
            requests_per_voucher=round(self._requests / self._outcomes, 3) if self._outcomes else expected,
            seconds_per_request=round(self._seconds / self._requests, 4) if self._requests else 0.0,
            at=now,
        )

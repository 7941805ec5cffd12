"""How fast the poster gets on: told to Prometheus, and written down now and then for `posting status`."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from agents.poster.metrics import BACKLOG, SECONDS_UNTIL_CLEAR
from agents.poster.state import written
from agents.runtime import StateTable
from schemas.topics import POSTING_PACE
from streams.posting_status import Backlog, Pace, requests_expected
from streams.systems.ifs.service import Service

RECORD_EVERY_SECONDS = 5.0
LATELY_SECONDS = 15.0
"""Of work, which are all that counts of the speed: so long after IFS became slow, or quick again, that is what is told.
Of 1.5 s a request they are ten. A mean that fades away would count the hundreds of quick ones before for minutes."""
FORGOTTEN_PER_TURN = 0.02
"""Of what earlier turns took: the last fifty count, so faults and half full batches are told as they are now. Of a slow
IFS the last 15 s would not do: they can be full of what is read beside the vouchers once in some minutes."""


class Speed:
    """How long a request took in the last seconds of work. Whole turns count, for a look is quicker than a POST."""

    def __init__(self, turns: Iterable[tuple[float, int]] = ()) -> None:
        self._turns: deque[tuple[float, int]] = deque()
        self._seconds, self._requests = 0.0, 0
        for turn in turns:
            self.add(*turn)

    def add(self, seconds: float, requests: int) -> None:
        """Note how long a turn worked, for how many requests."""
        self._turns.append((seconds, requests))
        self._seconds += seconds
        self._requests += requests
        while self._seconds - self._turns[0][0] >= LATELY_SECONDS:
            seconds, requests = self._turns.popleft()
            self._seconds -= seconds
            self._requests -= requests

    @property
    def seconds_per_request(self) -> float:
        """The mean; 0 where nothing is known."""
        return self._seconds / self._requests if self._requests else 0.0

    def at_best(self, seconds: float, requests: int) -> float:
        """Return the mean, or if that is more what it will be at best after a turn that has lasted so long already."""
        return max(self.seconds_per_request, Speed([*self._turns, (seconds, requests)]).seconds_per_request)


@dataclass(slots=True)
class Turn:
    """What a turn takes; whoever carries it says how many commands came to their outcomes."""

    seconds: float
    requests: int
    answered: int
    outcomes: int = 0


class PaceRecord:
    """Counts the requests that outcomes took, and how long; the rate limit is the one that holds now."""

    def __init__(
        self,
        service: Service,
        table: StateTable,
        *,
        batch_size: int,
        clock: Callable[[], datetime],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._table = table
        self._batch_size = batch_size
        self._clock = clock
        self._steady = steady
        self._recorded_at = steady()
        self._requests = self._outcomes = 0.0
        self._speed = Speed()
        self._begun: Turn | None = None

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Count what a turn takes, unless nothing of it is answered: a pause or an outage tells nothing of the pace."""
        begun = self._begun = self._counted()
        try:
            yield begun
        finally:
            self._begun, took = None, self._since(begun)
            if took.answered:
                self._add(took)

    def record(self) -> bool:
        """Write the pace down, now and then; True where that was done. Only inside a handler."""
        now = self._steady()
        if not self._outcomes or now - self._recorded_at < RECORD_EVERY_SECONDS:
            return False
        self._recorded_at = now
        self._table[POSTING_PACE] = written(self.now())
        return True

    def tell(self, backlog: Backlog) -> None:
        """Tell Prometheus the backlog and when it will be clear: never, infinite seconds, where all of it is held."""
        BACKLOG.set(backlog.commands)
        pace = self.now()
        seconds = backlog.seconds_until_clear(pace, pace.requests_per_minute)
        SECONDS_UNTIL_CLEAR.set(math.inf if seconds is None else seconds)

    def now(self) -> Pace:
        """Return the pace as it is now, the turn under way counted."""
        return Pace(
            requests_per_minute=self._service.budget.limit,
            requests_per_voucher=self._requests_per_voucher(),
            seconds_per_request=round(self._seconds_per_request(), 4),
            at=self._clock(),
        )

    def _requests_per_voucher(self) -> float:
        if not self._outcomes:
            return requests_expected(self._batch_size)
        return round(self._requests / self._outcomes, 3)

    def _seconds_per_request(self) -> float:
        if self._begun is None:
            return self._speed.seconds_per_request
        under_way = self._since(self._begun)
        return self._speed.at_best(under_way.seconds, under_way.answered + 1)

    def _counted(self) -> Turn:
        service = self._service
        return Turn(self._steady() - service.idle_seconds, service.requests, service.answered)

    def _since(self, begun: Turn) -> Turn:
        now = self._counted()
        return Turn(
            now.seconds - begun.seconds, now.requests - begun.requests, now.answered - begun.answered, begun.outcomes
        )

    def _add(self, took: Turn) -> None:
        kept = 1 - FORGOTTEN_PER_TURN
        self._requests = self._requests * kept + took.requests
        self._outcomes = self._outcomes * kept + took.outcomes
        self._speed.add(took.seconds, took.answered)

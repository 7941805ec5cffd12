"""Counts requests as the far sides do: a sliding window for the rate, and how many are under way at once."""

import time
from collections import Counter, deque
from collections.abc import Callable

from deploy.sandbox.exact import Json


class Traffic:
    """Admits or refuses requests, and remembers the peaks that a client should have kept below."""

    def __init__(
        self,
        requests_per_window: int,
        concurrency: int = 0,
        window_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.requests_per_window = requests_per_window
        self.concurrency = concurrency
        self.window_seconds = window_seconds
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget all that was counted; what is under way stays counted."""
        self._arrived: deque[float] = deque()
        self._admitted: deque[float] = deque()
        self.total = 0
        self.refused_for_rate = 0
        self.refused_for_concurrency = 0
        self.peak_per_window = 0
        self.under_way = getattr(self, "under_way", 0)
        self.peak_under_way = self.under_way
        self.by_endpoint: Counter[str] = Counter()

    def arrive(self, endpoint: str) -> None:
        """Count a request that has come in, whatever becomes of it."""
        now = self._clock()
        self.total += 1
        self.by_endpoint[endpoint] += 1
        self._arrived.append(now)
        self._expire(self._arrived, now)
        self.peak_per_window = max(self.peak_per_window, len(self._arrived))

    def rate_wait_seconds(self) -> float:
        """Admit one request and return 0, or return the seconds until the window has room again.

        A limit of 0 admits all.
        """
        now = self._clock()
        self._expire(self._admitted, now)
        if self.requests_per_window and len(self._admitted) >= self.requests_per_window:
            self.refused_for_rate += 1
            return max(self._admitted[0] + self.window_seconds - now, 0.001)
        self._admitted.append(now)
        return 0.0

    def enter(self) -> bool:
        """Count a request as under way; False when as many as allowed are under way already."""
        if self.concurrency and self.under_way >= self.concurrency:
            self.refused_for_concurrency += 1
            return False
        self.under_way += 1
        self.peak_under_way = max(self.peak_under_way, self.under_way)
        return True

    def leave(self) -> None:
        """End of a request that entered."""
        self.under_way -= 1

    def remaining(self) -> int:
        """Requests that the window would still admit now."""
        self._expire(self._admitted, self._clock())
        return max(self.requests_per_window - len(self._admitted), 0)

    def report(self) -> Json:
        """The counters, as `/_sandbox/requests` gives them."""
        return {
            "total": self.total,
            "refusedForRate": self.refused_for_rate,
            "refusedForConcurrency": self.refused_for_concurrency,
            "peakPerWindow": self.peak_per_window,
            "windowSeconds": self.window_seconds,
            "limitPerWindow": self.requests_per_window,
            "peakConcurrency": self.peak_under_way,
            "byEndpoint": dict(sorted(self.by_endpoint.items())),
        }

    def _expire(self, times: deque[float], now: float) -> None:
        while times and times[0] <= now - self.window_seconds:
            times.popleft()

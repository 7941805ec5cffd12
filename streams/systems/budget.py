"""How much may be asked of a far side: requests in any minute, and requests at a time."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from limits.aio.storage import MemoryStorage

from streams.clocks import steady_seconds

WINDOW_SECONDS = 60
_KEY = "requests"
_SHORTEST_NAP_SECONDS = 0.001
LARGEST_SLEW_SECONDS = 1.0
"""Between two looks at the clock: more is no adjusting any more, somebody has set it."""


class RateBudget:
    """Never more than the limit in any window of `window_seconds`, wherever the window begins.

    The limit may change while it is in use (a share of partitions, a far side under load): what was spent stays spent.
    """

    def __init__(self, limit_per_window: int | Callable[[], float], *, window_seconds: int = WINDOW_SECONDS) -> None:
        self._configured = limit_per_window if callable(limit_per_window) else lambda: limit_per_window
        self._window_seconds = window_seconds
        self._shrunk_to: int | None = None
        # The storage is asked directly, not through a strategy: its key would change with the limit and forget.
        self._storage = MemoryStorage()
        self._queue = asyncio.Lock()
        self._clocks_apart = time.time() - steady_seconds()

    @property
    def configured(self) -> int:
        """Requests per window that may never be exceeded; at least 1."""
        return max(1, int(self._configured()))

    @property
    def limit(self) -> int:
        """Requests per window that hold now; at least 1."""
        return self.configured if self._shrunk_to is None else min(self.configured, self._shrunk_to)

    def shrink(self, limit: int | None) -> None:
        """Hold to `limit` requests per window from now on, never more than is configured; None lifts it."""
        self._shrunk_to = None if limit is None else max(1, limit)

    async def acquire(self, n: int = 1) -> None:
        """Wait until `n` more requests fit, first come first served; more than a whole window's go in portions."""
        async with self._queue:
            while n > 0:
                await self._heed_clock()
                portion = min(n, self.limit)
                if await self._spend(portion):
                    n -= portion
                else:
                    await asyncio.sleep(await self._seconds_until_room())

    async def spend_as_past(self, n: int) -> None:
        """Count `n` requests, at most a window's limit, as just made: by someone before us whom we cannot ask."""
        spent = min(n, self.limit) - await self.spent()
        if spent > 0:
            await self._spend(spent)

    async def spent(self) -> int:
        """Return how many requests the window that ends now holds."""
        _, count = await self._storage.get_moving_window(_KEY, self.limit, self._window_seconds)
        return int(count)

    async def _spend(self, n: int) -> bool:
        return bool(await self._storage.acquire_entry(_KEY, self.limit, self._window_seconds, n))

    async def _heed_clock(self) -> None:
        """Count as spent now what was spent before somebody set the clock.

        Set back, what was spent would lie ahead, perhaps by hours. Set forward, it is too old to be told any more: a
        whole window's is taken.
        """
        apart = time.time() - steady_seconds()
        if abs(apart - self._clocks_apart) > LARGEST_SLEW_SECONDS:
            spent = min(await self.spent(), self.limit) if apart < self._clocks_apart else self.limit
            await self._storage.reset()
            await self._spend(spent)
        self._clocks_apart = apart

    async def _seconds_until_room(self) -> float:
        oldest, _ = await self._storage.get_moving_window(_KEY, self.limit, self._window_seconds)
        # The storage counts in wall-clock time; a clock set back must not make this sleep longer than a window.
        left = float(oldest) + self._window_seconds - time.time()
        return min(max(left, _SHORTEST_NAP_SECONDS), float(self._window_seconds))


class Slots:
    """At most so many at a time, first come first served; the number may change while in use and is at least 1."""

    def __init__(self, limit: int | Callable[[], float]) -> None:
        self._limit = limit if callable(limit) else lambda: limit
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self._busy < self._now() and not self._waiting:
            self._busy += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # handed over and cancelled in the same moment
                self._release()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _now(self) -> int:
        return max(1, int(self._limit()))

    def _release(self) -> None:
        self._busy -= 1
        while self._waiting and self._busy < self._now():
            turn = self._waiting.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)

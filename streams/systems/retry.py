"""Trying again: how long to wait is data, and one loop does the waiting."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar, cast

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_before_delay, stop_never

from schemas.base import utc_now
from schemas.errors import ConnectorError

T = TypeVar("T")
OnWait = Callable[[ConnectorError, float], None]
"""Told before each wait: the error, and the seconds until the next try."""

LONGEST_RETRY_AFTER_SECONDS = 3600.0
"""A far side that asks for more is asked again after an hour."""
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
"""Whole seconds by the RFC; proxies are seen to send fractions."""
_HIGHEST_POWER = 30
"""Beyond it the wait is at its longest anyway, and 2 to the power would overflow a float after weeks of trouble."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """Waits in seconds that double from `first` to `longest`, each up to `jitter` (a share of it) longer.

    Jitter only adds: the server's Retry-After is the least wait, and many that failed together must not come together.
    """

    first: float = 1.0
    longest: float = 60.0
    jitter: float = 0.25

    def wait(self, attempt: int, retry_after: float | None = None) -> float:
        """Return the seconds to wait after the `attempt`-th failure (from 1)."""
        doubled = min(self.longest, self.first * 2.0 ** min(max(attempt - 1, 0), _HIGHEST_POWER))
        least = max(doubled, min(retry_after or 0.0, LONGEST_RETRY_AFTER_SECONDS))
        return least * (1 + random.random() * self.jitter)  # noqa: S311 - spreads load, guards no secret


async def persevere(
    call: Callable[[], Awaitable[T]],
    *,
    back_off: BackOff,
    give_up_after_seconds: float | None = None,
    on_wait: OnWait | None = None,
) -> T:
    """Await `call` again and again while it raises an error that is `retriable`; return its first result.

    Without `give_up_after_seconds` there is no end; with it, the last error is raised once the next try would begin
    later than that. Any other error passes at once. Can be cancelled at any moment.
    """

    def wait(state: RetryCallState) -> float:
        return back_off.wait(state.attempt_number, getattr(_error_of(state), "retry_after", None))

    def tell(state: RetryCallState) -> None:
        if on_wait:
            on_wait(cast("ConnectorError", _error_of(state)), state.upcoming_sleep)

    async def once() -> T:
        return await call()  # tenacity awaits coroutine functions only, and a lambda is none

    attempts = AsyncRetrying(
        retry=retry_if_exception(_is_retriable),
        wait=wait,
        stop=stop_never if give_up_after_seconds is None else stop_before_delay(give_up_after_seconds),
        before_sleep=tell,
        sleep=asyncio.sleep,
        reraise=True,
    )
    return await attempts(once)


def _is_retriable(error: BaseException) -> bool:
    return isinstance(error, ConnectorError) and error.retriable


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (a number or an HTTP date, RFC 9110 10.2.3).

    None without one, or with one that cannot be read; never negative, at most an hour.
    """
    value = headers.get("Retry-After", "").strip()
    seconds = float(value) if _SECONDS.fullmatch(value) else _until(value, now or utc_now())
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _until(http_date: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()

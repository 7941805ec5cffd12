"""Wakes the poster when a command in the waiting room is due: its table can only be written inside a handler."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from streams import background

POLL_SECONDS = 0.5
LOST_AFTER_SECONDS = 60.0
"""A tick that was not handled by then may have gone to another poster, or its handler waits: another one harms none."""

log = structlog.get_logger(__name__)


class Ticker:
    """Appends a tick to the poster's own topic whenever something is due, one at a time."""

    def __init__(
        self,
        *,
        seconds_until_due: Callable[[], float | None],
        append: Callable[[], Awaitable[object]],
    ) -> None:
        self._seconds_until_due = seconds_until_due
        self._append = append
        self._handled = asyncio.Event()

    def handled(self) -> None:
        """Be told that a tick was handled."""
        self._handled.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tick for as long as the context is open."""
        async with background.running(self._run()):
            yield

    async def _run(self) -> None:
        while True:
            left = self._seconds_until_due()
            if left is None or left > 0:
                await asyncio.sleep(POLL_SECONDS if left is None else min(POLL_SECONDS, left))
            else:
                await self._tick()

    async def _tick(self) -> None:
        self._handled.clear()
        try:
            await self._append()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try comes
            log.warning("those that wait cannot be woken; tried again", why=str(error))
            await asyncio.sleep(POLL_SECONDS)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOST_AFTER_SECONDS):
                await self._handled.wait()

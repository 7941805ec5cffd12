"""Reading IFS Cloud for as long as it takes."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from agents.poster.metrics import TROUBLE
from schemas.errors import ConnectorError
from streams.systems.retry import BackOff, persevere

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Asking:
    """Reads, and tries again without end while IFS is in trouble; what trying cannot heal is raised."""

    def __init__(self, back_off: BackOff) -> None:
        self._back_off = back_off

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` reads."""
        return await persevere(call, back_off=self._back_off, on_wait=_note_trouble)


def _note_trouble(error: ConnectorError, seconds: float) -> None:
    TROUBLE.labels(type(error).__name__).inc()
    log.warning("IFS is asked again", error=str(error), in_seconds=round(seconds, 1))

"""What was read of IFS Cloud's basic data, remembered for some minutes."""

import time
from collections.abc import Hashable
from typing import Generic, TypeVar

KEPT_SECONDS = 300.0
"""How long what was read is taken for true: what is changed in IFS counts at the latest five minutes later."""
MOST_KEPT = 10_000

T = TypeVar("T")


class Kept(Generic[T]):
    """Remembers values for some time, minutes if nothing else is said, at most so many; the oldest go first."""

    def __init__(self, seconds: float = KEPT_SECONDS) -> None:
        self._seconds = seconds
        self._values: dict[Hashable, tuple[float, T]] = {}

    def get(self, key: Hashable) -> T | None:
        """Return what is remembered, None if nothing is."""
        until, value = self._values.get(key, (0.0, None))
        return value if time.monotonic() < until else None

    def put(self, key: Hashable, value: T) -> T:
        """Remember a value from now on, and return it."""
        self._values.pop(key, None)
        while len(self._values) >= MOST_KEPT:
            self._values.pop(next(iter(self._values)))
        self._values[key] = (time.monotonic() + self._seconds, value)
        return value

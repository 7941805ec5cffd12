"""The clock that nobody sets, for whatever must not be taken as older or younger than it is."""

import time

_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The monotonic clock of Linux stands still while a machine sleeps, and Kafka's session or a POST at IFS do not."""


def steady_seconds() -> float:
    """Return seconds from some beginning; they only ever run, on Linux also while the machine sleeps."""
    return time.clock_gettime(_CLOCK)

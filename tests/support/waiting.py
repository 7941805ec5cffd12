"""Waiting for a condition instead of for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(probe: Callable[[], Awaitable[T]], until: Callable[[T], object] = bool, seconds: float = 60) -> T:
    """Ask `probe` again and again until its answer satisfies `until`, return that answer.

    Fails with the last answer when that takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not until(answer := await probe()):
        assert time.monotonic() < deadline, f"not within {seconds} s; the last answer was {answer!r}"
        await asyncio.sleep(0.05)
    return answer


def eventually_now(probe: Callable[[], T], until: Callable[[T], object] = bool, seconds: float = 60) -> T:
    """Do what `eventually` does in tests that are not asynchronous."""
    deadline = time.monotonic() + seconds
    while not until(answer := probe()):
        assert time.monotonic() < deadline, f"not within {seconds} s; the last answer was {answer!r}"
        time.sleep(0.05)
    return answer

"""Waiting and trying again."""

import asyncio
from datetime import UTC, datetime

import pytest

from schemas.errors import ConnectorError, RefusedError, TroubleError, UncertainError
from streams.systems.retry import LONGEST_RETRY_AFTER_SECONDS, BackOff, persevere, retry_after_seconds

AT_ONCE = BackOff(first=0, longest=0, jitter=0)


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (6, 10), (100_000, 10)],
)
def test_waits_double_up_to_the_longest(attempt: int, seconds: float) -> None:
    assert BackOff(first=1, longest=10, jitter=0).wait(attempt) == seconds


def test_the_server_s_retry_after_is_the_least_wait() -> None:
    back_off = BackOff(first=1, longest=10, jitter=0.5)

    waits = [back_off.wait(1, retry_after=120) for _ in range(200)]

    assert min(waits) >= 120
    assert max(waits) <= 180
    assert len(set(waits)) > 100


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("0.5", 0.5),
        (" 7 ", 7.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2099 11:00:00 GMT", LONGEST_RETRY_AFTER_SECONDS),
        ("99999999999999999999", LONGEST_RETRY_AFTER_SECONDS),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("²", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    assert retry_after_seconds({"Retry-After": value}, now=now) == seconds


async def test_trouble_is_tried_again_until_it_is_over() -> None:
    answers: list[object] = [TroubleError("503"), TroubleError("503", retry_after=0), "done"]
    waits: list[tuple[str, float]] = []

    async def call() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    result = await persevere(call, back_off=AT_ONCE, on_wait=lambda error, seconds: waits.append((str(error), seconds)))

    assert result == "done"
    assert waits == [("503", 0.0), ("503", 0.0)]


@pytest.mark.parametrize("error", [RefusedError("no"), UncertainError("lost"), ValueError("a fault of ours")])
async def test_what_is_not_retriable_passes_at_once(error: Exception) -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(type(error)):
        await persevere(call, back_off=AT_ONCE)
    assert calls == 1


async def test_gives_up_before_a_wait_that_would_be_too_long_and_raises_the_last_error() -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise TroubleError(f"trouble {calls}", retry_after=600)

    with pytest.raises(TroubleError, match="trouble 1"):
        await persevere(call, back_off=AT_ONCE, give_up_after_seconds=5)
    assert calls == 1


async def test_a_wait_can_be_cancelled() -> None:
    waiting = asyncio.Event()

    async def call() -> None:
        raise TroubleError("503")

    def tell(_: ConnectorError, __: float) -> None:
        waiting.set()

    task = asyncio.create_task(persevere(call, back_off=BackOff(first=3600, longest=3600), on_wait=tell))
    await waiting.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)

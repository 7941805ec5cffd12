"""The clock that nobody sets: it also runs while the machine sleeps, and what must not be late goes by it."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

import agents.runtime.app
from agents.runtime.app import StreamApp
from streams.clocks import steady_seconds

ASLEEP_SECONDS = 300


def slept(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """Let the machine have slept: the clock that stands still meanwhile tells nothing of it."""
    monkeypatch.setattr(module, "steady_seconds", lambda: steady_seconds() + ASLEEP_SECONDS)


def test_it_only_runs_and_counts_the_time_that_a_machine_slept() -> None:
    before = time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    assert before <= (first := steady_seconds()) <= steady_seconds()
    assert first - before < ASLEEP_SECONDS


def test_a_heartbeat_from_before_the_machine_slept_is_an_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    app = StreamApp.__new__(StreamApp)
    thread = SimpleNamespace(heartbeat_at=steady_seconds())
    app._faust = SimpleNamespace(consumer=SimpleNamespace(_thread=thread))  # type: ignore[assignment]
    assert app.seconds_since_heartbeat < 1
    slept(monkeypatch, agents.runtime.app)
    assert app.seconds_since_heartbeat >= ASLEEP_SECONDS

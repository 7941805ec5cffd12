"""Workers and ingress as an orchestrator keeps them: whoever ends is started again, and every end is accounted for."""

import asyncio
import os
import re
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agents.demo.children import ChildError, Children

DOCUMENTED_ENDS = {69, 71, 73, 74, 75, 76}
"""Exit codes of deploy/README.md after which a process is to be started again. 70 is none of them here: nothing in
these runs makes posting unsafe, so it would be a fault of the program."""
RESTART_SECONDS = 0.5
STOP_SECONDS = 20.0
"""A worker needs up to five, by its own clock; the machine may be busy."""
TRACEBACK = re.compile(r"^Traceback \(most recent call last\)(?:.*\n){1,40}", re.MULTILINE)


@dataclass
class Kept:
    """A process that is kept running."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    loses: Path | None = None
    """A folder that is gone whenever it starts: a worker without a volume."""
    process: asyncio.subprocess.Process | None = None
    expected: set[int] = field(default_factory=set)
    """Exit codes that what was done to it may have."""
    busy: bool = False
    """It is frozen, or told to stop: other acts leave it alone."""


class Orchestrator:
    """Keeps processes running, and is the one that harms them."""

    def __init__(self, children: Children, kept: list[Kept]) -> None:
        self.children = children
        self.kept = {one.name: one for one in kept}
        self.done: Counter[str] = Counter()
        self.own_ends: Counter[int] = Counter()
        """Processes that ended by themselves, by exit code."""
        self.stops: list[float] = []
        self._resting = False

    async def keep_all(self) -> None:
        """Keep all processes running until cancelled; each that ends as it may is started again.

        Raises:
            AssertionError: one ended with a code that nothing here explains.

        """
        async with asyncio.TaskGroup() as tasks:
            for one in self.kept.values():
                tasks.create_task(self._keep(one))

    async def _keep(self, one: Kept) -> None:
        while True:
            if one.loses:
                shutil.rmtree(one.loses, ignore_errors=True)
            one.expected = set()
            process = await self.children.start(one.name, *one.arguments, environment=one.environment)
            one.process = process
            # Nobody reads its standard output: the little that there is fits into the pipe.
            code = await process.wait()
            self.children.forget(process)
            if code not in one.expected:
                self.own_ends[code] += 1
                assert code in DOCUMENTED_ENDS, f"{one.name} ended by itself with {code}: {self.last_words(one.name)}"
                await asyncio.sleep(RESTART_SECONDS)

    def last_words(self, name: str) -> str:
        """Return the end of a process's log."""
        return "\n".join(self.children.log(name).read_text(errors="replace").splitlines()[-15:])

    def running(self) -> list[str]:
        """Return those that can be harmed; while all are on their way back, all."""
        alive = [one.name for one in self.kept.values() if one.process and one.process.returncode is None]
        return alive or list(self.kept)

    async def kill(self, name: str) -> None:
        """Kill it, in whatever it is doing."""
        one = self.kept[name]
        if one.process and one.process.returncode is None and not one.busy:
            self.done["killed"] += 1
            one.expected |= {-signal.SIGKILL}
            _signal(one.process, signal.SIGKILL)

    async def stop(self, name: str) -> None:
        """Ask it to stop, and see how long it takes."""
        one = self.kept[name]
        process = one.process
        if process is None or process.returncode is not None or one.busy:
            return
        began, one.busy = time.monotonic(), True
        # One that is still importing has nothing in hand, and ends by the signal itself. A kill may be on its way.
        one.expected |= {0, -signal.SIGTERM}
        _signal(process, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        finally:
            one.busy = False
        self.stops.append(time.monotonic() - began)
        self.done["stopped"] += 1

    async def freeze(self, name: str, seconds: float) -> None:
        """Let it sleep for so long, with its connections open and its work half done, and wake it."""
        one = self.kept[name]
        process = one.process
        if process is None or process.returncode is not None or one.busy:
            return
        one.busy = True
        _signal(process, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            _signal(process, signal.SIGCONT)
            one.busy = False
        self.done["frozen"] += 1

    def tracebacks(self) -> list[str]:
        """Return the tracebacks in the logs of all processes."""
        logs = {name: self.children.log(name) for name in self.kept}
        return [
            f"{name}: {found.group()}"
            for name, log in logs.items()
            for found in TRACEBACK.finditer(log.read_text(errors="replace"))
        ]

    def figures(self) -> str:
        """Tell what was done, and how processes ended by themselves."""
        done = ", ".join(f"{count} {what}" for what, count in sorted(self.done.items()))
        ended = ", ".join(f"{count} with {code}" for code, count in sorted(self.own_ends.items()))
        return f"{done}, ended by themselves: {ended or 'none'}, slowest stop {max(self.stops, default=0):.1f} s"


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal by the id.

    asyncio's own way looks first whether the process has ended: if it just has, that takes its exit code away from who
    waits for it, who is told 255.
    """
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)


async def insist(children: Children, *words: str, environment: dict[str, str], seconds: float = 240) -> str:
    """Run one of our commands until it succeeds: a person tries again when the broker was away.

    Raises:
        ChildError: it did not succeed in `seconds`.

    """
    until = time.monotonic() + seconds
    while True:
        try:
            return await children.run(*words, environment=environment)
        except ChildError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.5)

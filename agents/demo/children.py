"""Child processes of the demonstration: started, awaited, ended by their ids."""

import asyncio
import ctypes
import os
import random
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from schemas.errors import ConnectorError

START_SECONDS = 120
"""How long a child may take to be ready; the broker's jars are fetched from the registry in that time."""
STOP_SECONDS = 10
POLL_SECONDS = 0.1
LINES_SHOWN = 5
"""Lines of a child's log that are shown when it failed."""
FREE_PORTS = range(10_000, 15_000)
"""Below Linux's ports for outgoing connections (32768 and up), one of which could take a port before its child does,
and below those among which the local broker looks for its own."""
PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent dies, however it dies."""


class ChildError(ConnectorError):
    """A process of the demonstration did not start, or ended too early."""


@dataclass(frozen=True)
class Child:
    """A running process; one that `carries` others is ended after them."""

    name: str
    process: asyncio.subprocess.Process
    carries: bool


class Children:
    """Processes that end with the demonstration, however that ends."""

    def __init__(self, folder: Path, root: Path) -> None:
        """Keep each child's log in `folder`; `root` is the project's folder, where the children run."""
        self._folder = folder
        self._root = root
        self._running: list[Child] = []
        self._afterwards: list[Callable[[], Awaitable[None]]] = []
        folder.mkdir(parents=True, exist_ok=True)

    async def start(
        self, name: str, *arguments: str, environment: Mapping[str, str], carries: bool = False
    ) -> asyncio.subprocess.Process:
        """Start `python -m …` with these arguments; its standard error goes to its log."""
        with self.log(name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *arguments,
                cwd=self._root,
                env=clean_environment() | dict(environment),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demonstration, which ends them in order
                preexec_fn=_end_with_parent(),
            )
        self._running.append(Child(name, process, carries))
        return process

    async def facts(self, name: str, process: asyncio.subprocess.Process) -> dict[str, Any]:
        """Return the JSON line that a child prints once it answers.

        Raises:
            ChildError: it ended before, or took too long; the end of its log tells why.

        """
        if process.stdout is None:
            raise ChildError(f"{name} has no standard output")
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise ChildError(f"{name} did not start: {self._last_words(name)}")
        facts: dict[str, Any] = orjson.loads(line)
        return facts

    async def ready(self, name: str, process: asyncio.subprocess.Process, url: str) -> None:
        """Wait until a child says on `/readyz` that it can do its work.

        Raises:
            ChildError: it ended before, or took too long; the end of its log tells why.

        """
        async with aiohttp.ClientSession() as session:
            for _ in range(int(START_SECONDS / POLL_SECONDS)):
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{url}/readyz", timeout=aiohttp.ClientTimeout(5)) as answer:
                        if answer.status == 200:
                            return
                if process.returncode is not None:
                    break
                await asyncio.sleep(POLL_SECONDS)
        raise ChildError(f"{name} did not get ready: {self._last_words(name)}")

    async def run(self, *arguments: str, environment: Mapping[str, str]) -> str:
        """Run one of our own commands to its end and return what it printed.

        Raises:
            ChildError: it failed; its own line tells why.

        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            cwd=self._root,
            env=clean_environment() | dict(environment),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            printed, complained = await process.communicate()
        finally:
            await _end(process)
        if process.returncode:
            raise ChildError(f"`{' '.join(arguments)}` failed: {complained.decode().strip()}")
        return printed.decode()

    def check(self) -> None:
        """Check that all are running.

        Raises:
            ChildError: one has ended; the end of its log tells why.

        """
        for child in self._running:
            if child.process.returncode is not None:
                words = self._last_words(child.name)
                raise ChildError(f"{child.name} ended with {child.process.returncode}: {words}")

    def forget(self, process: asyncio.subprocess.Process) -> None:
        """Leave a child to whoever ends it."""
        self._running = [child for child in self._running if child.process is not process]

    def afterwards(self, action: Callable[[], Awaitable[None]]) -> None:
        """Have something done once all have ended."""
        self._afterwards.append(action)

    async def stop(self) -> None:
        """End all, those that carry others last; one that does not listen is killed."""
        for carries in (False, True):
            await asyncio.gather(*(_end(child.process) for child in self._running if child.carries is carries))
        self._running.clear()
        while self._afterwards:
            await self._afterwards.pop()()

    def log(self, name: str) -> Path:
        """Return where a child's log is."""
        return self._folder / f"{name.replace(' ', '-').lower()}.log"

    def _last_words(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-LINES_SHOWN:]) or "it said nothing"


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _end_with_parent() -> Callable[[], None] | None:
    """Return what a child does before it becomes the program: ask for a SIGTERM when we die. Linux only."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: after the fork nothing may be loaded any more
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without our own settings: the demonstration makes its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ZIFS_")}


def free_port(preferred: int = 0) -> int:
    """Return `preferred` where it is free on this machine, else another."""
    others = random.sample(FREE_PORTS, k=100)
    for port in [preferred, *others] if preferred else others:
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise ChildError("no free port on this machine")

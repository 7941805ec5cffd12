"""A process of several apps: it runs until it is told to stop, or until something cannot be guaranteed."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from agents.runtime.app import StreamApp
from agents.runtime.failure import describe
from schemas.errors import ConnectorError, LogDeniedError, LogUnavailableError, SettingsError, TopicsError, UsageError
from streams.log.producer import LogProducer

log = structlog.get_logger(__name__)

STOP_SECONDS = 5.0
"""From SIGTERM to the end of the process."""

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h


async def run_process(
    apps: Sequence[StreamApp],
    producer: LogProducer,
    *,
    on_ready: Callable[[], None] | None = None,
    stop_seconds: float = STOP_SECONDS,
) -> int:
    """Start the producer and all apps, run until SIGTERM or SIGINT, stop all; return the exit code.

    0 after a signal, 2 when settings, topics or rights are wrong, 69 when Kafka cannot be reached; in the latter two
    cases one line on stderr says why. What happens in between and cannot be guaranteed ends the process by itself
    (ExitCode).
    """
    _collect_garbage_rarely()
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    exit_code = EXIT_OK
    starting = asyncio.create_task(_start(apps, producer))
    stop_wanted = asyncio.create_task(told_to_stop.wait())
    try:
        await asyncio.wait({starting, stop_wanted}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            if on_ready is not None:
                on_ready()
        await stop_wanted
    except ConnectorError as error:
        exit_code = refuse(error)
    finally:
        stop_wanted.cancel()
        _end_anyway_after(stop_seconds, exit_code)
        if not await _stop(apps, producer, starting):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exit_code)  # threads that are still leaving would end in tracebacks when the loop closes
    return exit_code


def _collect_garbage_rarely() -> None:
    """Look for cycles among what is made from here on, and every 100,000 objects instead of every 700.

    The records of a read are many objects that live briefly, and in no cycle: looking for one took a third of the time
    that reading a changelog takes.
    """
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


async def _start(apps: Sequence[StreamApp], producer: LogProducer) -> None:
    await producer.start()
    await asyncio.gather(*(app.start() for app in apps))
    log.info("ready", apps=[app.app_id for app in apps])


async def _stop(apps: Sequence[StreamApp], producer: LogProducer, starting: "asyncio.Task[None]") -> bool:
    """Stop all; False if a framework's thread is still running."""
    began = time.monotonic()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting}, timeout=0.5)
    left = await asyncio.gather(*(app.stop() for app in apps))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):  # everything that matters is confirmed by now
            await producer.stop()
    log.info("stopped", seconds=round(time.monotonic() - began, 1))
    return all(left)


def refuse(error: ConnectorError) -> int:
    """Say in one line why the process does not start; return its exit code: 2, 69 or 1."""
    sys.stderr.write(f"zuora-ifs: {error}\n")
    log.error("not started", reason=describe(error))
    if isinstance(error, SettingsError | TopicsError | UsageError | LogDeniedError):
        return EXIT_USAGE
    return EXIT_UNAVAILABLE if isinstance(error, LogUnavailableError) else 1


def _end_anyway_after(seconds: float, exit_code: int) -> None:
    """End in time if threads keep the process alive: all that matters is committed in the first seconds of a stop."""
    timer = threading.Timer(seconds, os._exit, (exit_code,))
    timer.daemon = True
    timer.start()

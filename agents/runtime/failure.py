"""Fail-stop: what cannot be guaranteed ends the process at once, and Kafka gives its work to another.

Nothing that is not confirmed is ever committed, so an end at any moment loses nothing.
"""

import os
import sys
import traceback
from enum import IntEnum
from typing import NoReturn

import structlog

from schemas.errors import ConnectorError, LogUnavailableError
from streams.log.denied import denial, said

log = structlog.get_logger(__name__)


class ExitCode(IntEnum):
    """Why a process ended itself; 70 is EX_SOFTWARE of sysexits.h, the others are next to it."""

    HANDLER = 70
    SOURCE_JUMPED = 71
    LOG = 74
    STUCK = 73
    CHANGELOG = 75
    FRAMEWORK = 76


def describe(error: BaseException) -> str:
    """Name an error without its payload: the message of our own errors, of others the type and the place only."""
    if isinstance(error, ConnectorError):
        return f"{type(error).__name__}: {error}"
    if denial(error):
        return said(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def code_of(error: BaseException) -> ExitCode:
    """Return the exit code for what a handler raised: Kafka that is away while it reads is no fault of the handler."""
    return ExitCode.LOG if isinstance(error, LogUnavailableError) else ExitCode.HANDLER


def end_process(line: str, code: ExitCode, error: BaseException | None = None) -> NoReturn:
    """Say why in one line on stderr and in the log, then end without any clean-up that could commit or write."""
    if error is not None:
        line = f"{line}: {describe(error)}"
        # Frames name files and lines only, never values: a payload must not reach the log.
        frames = traceback.extract_tb(error.__traceback__)
        log.error("process ends", reason=line, exit_code=int(code), frames=[f"{f.filename}:{f.lineno}" for f in frames])
    else:
        log.error("process ends", reason=line, exit_code=int(code))
    sys.stderr.write(f"zuora-ifs: {line}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(code))

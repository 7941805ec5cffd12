"""Logs of every process: structured, on standard error, without secrets."""

import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

SECRET_NAME = re.compile(
    r"secret|passw|token|authorization|credential|cookie|api_?key|private_?key|vault_?key", re.IGNORECASE
)
MASK = "***"

# Libraries that tell of every heartbeat or request at INFO.
QUIET_LOGGERS = ("aiokafka", "faust", "mode", "aiohttp.access", "asyncio")

REPEATED_SECONDS = 60.0
"""A line of these libraries that was said is not said again for so long: while Kafka is away each of its clients would
say the same three lines ten times a second."""
MOST_REMEMBERED = 1_000


class SaidOnce(logging.Filter):
    """Lets the same line of a library that repeats itself through once a minute; our own always."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[tuple[str, int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is to be said; lines that differ in their arguments only are the same."""
        if record.name.partition(".")[0] not in QUIET_LOGGERS:
            return True
        line, now = (record.name, record.levelno, str(record.msg)), time.monotonic()
        if now - self._said_at.get(line, -REPEATED_SECONDS) < REPEATED_SECONDS:
            return False
        if len(self._said_at) >= MOST_REMEMBERED:
            self._said_at.clear()
        self._said_at[line] = now
        return True


def configure_logging(log_format: Literal["console", "json"], level: int = logging.INFO) -> None:
    """Send all logs of this process, the libraries' too, to standard error, as lines for people or as JSON."""
    shared = _shared_processors()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(SaidOnce())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(log_format)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide the value of every key that is named like a secret, however deep it lies."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: Any) -> Any:
    if SECRET_NAME.search(name) and value is not None and not isinstance(value, bool):
        return MASK
    if isinstance(value, Mapping):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", inner) for inner in value]
    return value


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        mask_secrets,
    ]


def _renderers(log_format: Literal["console", "json"]) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    # The richer formatters print local variables, and with them secrets.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _json(value: object, default: Any = str, **_options: object) -> str:
    return orjson.dumps(value, default=default, option=orjson.OPT_NON_STR_KEYS).decode()

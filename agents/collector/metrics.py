"""What the collector counts, for Prometheus."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import structlog
from prometheus_client import Counter, Histogram

from schemas.base import DocumentType
from schemas.errors import ConnectorError

FETCH_SECONDS = Histogram(
    "zuora_ifs_collector_fetch_seconds",
    "Time to fetch a document from Zuora whole, waiting for a turn and trying again included",
    ["document_type"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
OUTCOMES = Counter(
    "zuora_ifs_collector_notifications",
    "Notifications by what came of them",
    ["document_type", "outcome"],
)
WAITS = Counter("zuora_ifs_collector_zuora_waits", "Times that a request to Zuora has to be tried again", ["error"])
WAIT_SECONDS = Counter("zuora_ifs_collector_zuora_wait_seconds", "Time waited before trying again")

_log = structlog.get_logger("collector")


def count(document_type: DocumentType | None, outcome: str) -> None:
    """Count what came of a notification."""
    OUTCOMES.labels(document_type.value if document_type else "unknown", outcome).inc()


@contextmanager
def fetch_timed(document_type: DocumentType) -> Iterator[None]:
    """Measure a fetch, whether it succeeds or not."""
    began = monotonic()
    try:
        yield
    finally:
        FETCH_SECONDS.labels(document_type.value).observe(monotonic() - began)


def on_zuora_wait(error: ConnectorError, seconds: float) -> None:
    """Count and log a wait before a request to Zuora is tried again; for the client's `on_wait`."""
    WAITS.labels(type(error).__name__).inc()
    WAIT_SECONDS.inc(seconds)
    _log.warning("Zuora is asked again later", error=str(error), wait_seconds=round(seconds, 1))

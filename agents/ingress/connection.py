"""A producer that connects by itself, and again after trouble: ingress starts and stays up while Kafka is away."""

import asyncio
import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from schemas.errors import LogError, LogUnavailableError
from streams.log.producer import Header, LogProducer, RecordRefusedError
from streams.settings import KafkaSettings

log = structlog.get_logger(__name__)

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 5.0
"""Between attempts to connect; a broker that is back is found within this time."""

RENEW_AFTER_SECONDS = 60.0
"""After so long without a single confirmation, while some were asked for, the producer is replaced: it may have been
told of a fatal error (fenced), and never confirms again by itself."""

YOUNGEST_SECONDS = 1.0
"""A producer is replaced at once when Kafka refuses a record, for it would be refused all others of that partition; but
not more often than this, where all are refused."""

TROUBLE_SECONDS = 30.0
"""For so long after Kafka did not confirm a callout, and confirmed none since, trouble is told of. No longer: who sends
no callouts here for that reason would never see it end."""

CLOSE_SECONDS = 1.0
"""What closing may take. Nothing is lost with it: who was told 200 has their confirmation already."""


class Log(Protocol):
    """What ingress needs of Kafka; `LogProducer` is one."""

    async def send_and_confirm(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Sequence[Header] = (),
        timeout_seconds: float = 10,
    ) -> object:
        """Return once all in-sync replicas have the record, else raise a `LogError`."""

    async def partitions(self, topic: str) -> int:
        """Return the number of a topic's partitions, 0 if there is no such topic, else raise a `LogError`."""


class LogConnection:
    """A `Log` over a `LogProducer` that it starts, and replaces when nothing is confirmed any more."""

    def __init__(self, kafka: KafkaSettings, *, client_id: str) -> None:
        self._kafka = kafka
        self._client_id = client_id
        self._connected: asyncio.Future[LogProducer] | None = None
        self._worn_out = asyncio.Event()
        self._unconfirmed_since: float | None = None
        self._unconfirmed_at = 0.0
        self._keeper: asyncio.Task[None] | None = None

    @property
    def keeper(self) -> "asyncio.Task[None]":
        """What keeps the connection; it ends only by a fault of this program, and then the process must end too."""
        assert self._keeper  # noqa: S101 - entered before it is asked
        return self._keeper

    async def __aenter__(self) -> Self:
        """Begin to connect, in the background."""
        self._connected = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep_connected())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.keeper

    async def send_and_confirm(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Sequence[Header] = (),
        timeout_seconds: float = 10,
    ) -> object:
        """Send a record, wait until all in-sync replicas have it; waits for a connection too, all within the time.

        Raises:
            RecordTooLargeError: larger than its topic takes.
            LogUnavailableError: not confirmed in time; it may still arrive.

        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        producer = await self._producer(timeout_seconds)
        try:
            confirmed = await producer.send_and_confirm(
                topic, key=key, value=value, headers=headers, timeout_seconds=deadline - loop.time()
            )
        except LogUnavailableError as error:
            self._note_unconfirmed(loop.time())
            if isinstance(error, RecordRefusedError):
                self._worn_out.set()
            raise
        self._unconfirmed_since = None
        return confirmed

    async def partitions(self, topic: str) -> int:
        """Return the number of a topic's partitions, 0 if there is no such topic.

        Raises:
            LogUnavailableError: not connected, or Kafka does not answer, or it has just not confirmed a callout.

        """
        producer = await self._producer(0)
        now = asyncio.get_running_loop().time()
        if self._unconfirmed_since is not None and now - self._unconfirmed_at < TROUBLE_SECONDS:
            raise LogUnavailableError(f"Kafka has confirmed no callout for {now - self._unconfirmed_since:.0f} s")
        return await producer.partitions(topic)

    async def _producer(self, timeout_seconds: float) -> LogProducer:
        assert self._connected  # noqa: S101 - entered before it is used
        await asyncio.wait({self._connected}, timeout=timeout_seconds)
        if not self._connected.done():
            raise LogUnavailableError("Kafka is not connected yet")
        return self._connected.result()

    def _note_unconfirmed(self, now: float) -> None:
        self._unconfirmed_at = now
        if self._unconfirmed_since is None:
            self._unconfirmed_since = now
        elif now - self._unconfirmed_since > RENEW_AFTER_SECONDS:
            self._worn_out.set()

    async def _keep_connected(self) -> None:
        while True:
            producer = await self._connect()
            try:
                await asyncio.sleep(YOUNGEST_SECONDS)
                await self._worn_out.wait()
                log.warning("Kafka confirms nothing any more, connecting anew")
            finally:
                self._connected = asyncio.get_running_loop().create_future()
                await _close(producer)

    async def _connect(self) -> LogProducer:
        producer = LogProducer(self._kafka, client_id=self._client_id)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(LogError),
            wait=wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
            before_sleep=_tell,
        ):
            with attempt:
                await producer.start()
        self._worn_out.clear()
        self._unconfirmed_since = None
        assert self._connected  # noqa: S101 - set on entry
        self._connected.set_result(producer)
        log.info("connected to Kafka")
        return producer


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("waiting for Kafka", reason=str(error), attempt=state.attempt_number)


async def _close(producer: LogProducer) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await producer.stop()
    except (TimeoutError, LogError) as error:
        log.warning("the connection to Kafka did not close cleanly", reason=type(error).__name__)

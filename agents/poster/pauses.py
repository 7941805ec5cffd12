"""The stop button as the poster obeys it: read to its end before the first request, then followed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from schemas.errors import ConnectorError
from schemas.requests import PostingPaused, PostingResumed
from streams import background
from streams.log.following import keep_following
from streams.log.reader import LogRecord, follow, read_to_end
from streams.posting_control import PauseBook
from streams.settings import KafkaSettings

log = structlog.get_logger(__name__)


class PostingPausedError(ConnectorError):
    """A person paused posting; nothing was sent."""


class Pauses:
    """Tells whether a company may be posted to, and wakes who waits for an order."""

    def __init__(self) -> None:
        self._book = PauseBook()
        self._is_current = True
        """The topic still is the one that the book was read from."""
        self._changed = asyncio.Event()

    @property
    def all_paused(self) -> bool:
        """Whether nothing at all may be posted."""
        return self._book.pause_of_all is not None

    def holds(self, company: str) -> bool:
        """Tell whether posting for a company is paused."""
        return self._book.pause_of(company) is not None

    def demand(self, company: str) -> None:
        """Return if a request for a company may be made now.

        Raises:
            PostingPausedError: somebody paused posting; says who and why.

        """
        if pause := self._book.pause_of(company):
            raise PostingPausedError(
                f"posting is paused by {pause.actor} since {pause.at:%Y-%m-%dT%H:%MZ}: {pause.reason}"
            )

    async def changed(self, seconds: float | None = None) -> None:
        """Return at the next order, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def apply(self, event: PostingPaused) -> None:
        """Take over one order."""
        if self._book.apply(event):
            self._tell(event)

    async def read(self, kafka: KafkaSettings, topic: str) -> None:
        """Take over all orders given so far.

        Raises:
            LogUnavailableError: Kafka does not answer.
            TopicsError: the topic does not exist.

        """
        async for batch in read_to_end(kafka, [topic], self._book.read_to):
            self._take(self._book, batch.records)

    @asynccontextmanager
    async def following(self, kafka: KafkaSettings, topic: str) -> AsyncIterator[None]:
        """Take over orders as they come, for as long as the context is open."""

        async def follow_on() -> AsyncGenerator[None, None]:
            # The orders known hold until a topic made anew is read to its end: it may have been away for a moment only.
            book = self._book if self._is_current else PauseBook()
            async for batch in follow(kafka, [topic], book.read_to):
                self._take(book, batch.records)
                if not (self._is_current or batch.behind):
                    self._book, self._is_current = book, True
                    self._wake()
                yield

        told = "orders to pause or resume cannot be followed; those known hold"
        async with background.running(keep_following(follow_on, read_anew=self._read_anew, told=told)):
            yield

    def _read_anew(self) -> None:
        self._is_current = False

    def _take(self, book: PauseBook, records: list[LogRecord]) -> None:
        for event in book.take(records):
            self._tell(event)

    def _tell(self, event: PostingPaused) -> None:
        words = "posting goes on" if isinstance(event, PostingResumed) else "posting is paused"
        log.warning(words, company=event.company, by=event.actor, reason=event.reason)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

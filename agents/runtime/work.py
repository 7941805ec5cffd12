"""One event in hand: what its handler sends and writes, and when all of that is confirmed."""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiokafka.structs import RecordMetadata

from agents.runtime.outbox import Outbox, Outgoing
from agents.runtime.state import EPOCH_HEADER, Change
from schemas.errors import ConnectorError
from schemas.topics import LARGEST_MESSAGE_BYTES
from streams.log.messages import Message
from streams.log.producer import Header, RecordTooLargeError, record_bytes


@dataclass(frozen=True, slots=True)
class Event:
    """A record of the log, undecoded; `timestamp` is its producer's clock in seconds since 1970, not business time."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    timestamp: float


class Abandoned(asyncio.CancelledError):
    """Raised in code that still runs for an event whose partition was taken away.

    A BaseException, so that `except Exception` lets it through.
    """


class NotInHandlerError(ConnectorError):
    """A table or a work was used outside the handler that it belongs to: a mistake in the program."""


class _Phase(Enum):
    OPEN = "open"
    HANDLED = "handled"
    CUT_OFF = "cut off"


class Work:
    """Collects the effects of one event: first what it sends, in order, then what it writes to tables.

    They go out when the handler returns, when one of them is awaited, or at `confirmed()`, so a decision and its writes
    need no `await` between them. Writes follow only when what was sent is confirmed (see Outbox). The event is
    acknowledged when all of them are confirmed.
    """

    __slots__ = (
        "_changes",
        "_on_settled",
        "_outbox",
        "_phase",
        "_sending",
        "_unsent",
        "label",
        "partition",
        "unconfirmed",
    )

    def __init__(self, outbox: Outbox, partition: int, label: str, on_settled: "Callable[[Work], None] | None") -> None:
        self.partition = partition
        self.label = label
        self.unconfirmed: set[asyncio.Future[Any]] = set()
        self._outbox = outbox
        self._on_settled = on_settled
        self._phase = _Phase.OPEN
        self._sending: asyncio.Lock | None = None
        self._unsent: deque[Outgoing] = deque()
        self._changes: deque[Outgoing] = deque()

    @property
    def is_current(self) -> bool:
        """False once the partition was taken away: nothing can be sent or written any more."""
        return self._phase is not _Phase.CUT_OFF

    @property
    def is_done(self) -> bool:
        """True when the handler has returned and every effect is confirmed."""
        return self._phase is _Phase.HANDLED and not self.unconfirmed and not self._changes

    @property
    def is_handled(self) -> bool:
        """True when the handler has returned."""
        return self._phase is _Phase.HANDLED

    def check(self) -> None:
        """Check that effects may still be added.

        Raises:
            Abandoned: the partition was taken away.
            NotInHandlerError: the handler has returned; an effect added now would never be waited for.

        """
        if self._phase is _Phase.CUT_OFF:
            raise Abandoned(self.label)
        if self._phase is _Phase.HANDLED:
            raise NotInHandlerError(f"the handler of {self.label} has returned: nothing can be sent or written for it")

    def send(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Sequence[Header] = (),
        partition: int | None = None,
    ) -> "Sending":
        """Add a record to be sent; await the result to know that it is confirmed, or leave it to the end.

        Raises:
            Abandoned: the partition was taken away.
            RecordTooLargeError: larger than any topic takes; nothing was added.

        """
        self.check()
        size = record_bytes(key, value, headers)
        if size > LARGEST_MESSAGE_BYTES:
            raise RecordTooLargeError(f"a record of {size} bytes for {topic} is over {LARGEST_MESSAGE_BYTES} bytes")
        outgoing = Outgoing(topic, key, value, headers, partition)
        self._unsent.append(outgoing)
        return Sending(self, outgoing)

    def add_change(self, change: Change) -> None:
        """Add a table's write; the table has checked that this work is open."""
        state = change.state
        epoch = ((EPOCH_HEADER, b"%d" % state.epoch),)
        self._changes.append(Outgoing(state.topic, change.key, change.value, epoch, state.partition, change))

    @property
    def may_write(self) -> bool:
        """True when everything that this event sent is confirmed, or when it is cut off and writes nothing."""
        return not self.unconfirmed

    async def confirmed(self) -> None:
        """Wait until everything sent and written so far is confirmed by the brokers.

        Raises:
            Abandoned: the partition was taken away meanwhile.

        """
        await self.transmit()
        await self._await_confirmations()
        if self._changes:
            await self._outbox.writes_sent()
            await self.transmit_changes()
            await self._await_confirmations()

    async def transmit(self) -> None:
        """Give everything to be sent so far to the producer, in order."""
        await self._give(self._unsent)

    async def transmit_changes(self) -> None:
        """Give everything written so far to the producer, in order."""
        await self._give(self._changes)
        self._settle()

    async def _give(self, waiting: deque[Outgoing]) -> None:
        if not waiting:
            return
        if self._sending is None:
            self._sending = asyncio.Lock()
        async with self._sending:
            while waiting and self.is_current:
                future = await self._outbox.send(waiting[0])
                if waiting:  # not cut off meanwhile
                    waiting.popleft()
                self.unconfirmed.add(future)
                future.add_done_callback(self._on_confirmed)

    async def _await_confirmations(self) -> None:
        if self.unconfirmed:
            await asyncio.wait(self.unconfirmed)
        if not self.is_current:
            raise Abandoned(self.label)

    async def finish(self) -> None:
        """Send what is left; called when the handler has returned."""
        await self.transmit()
        self.check()
        self._phase = _Phase.HANDLED
        if self._changes:
            self._outbox.queue_changes(self)
        self._settle()

    def cut_off(self) -> None:
        """Let nothing more come from this work: no send, no write, no acknowledgement."""
        self._phase = _Phase.CUT_OFF
        self._unsent.clear()
        self._changes.clear()

    def _on_confirmed(self, future: asyncio.Future[Any]) -> None:
        self.unconfirmed.discard(future)
        if self.may_write:
            self._outbox.advance()
        self._settle()

    def _settle(self) -> None:
        if self.is_done and self._on_settled is not None:
            self._on_settled(self)


class Sending:
    """A record on its way; awaiting it sends everything before it and returns when it is confirmed."""

    __slots__ = ("_outgoing", "_work")

    def __init__(self, work: Work, outgoing: Outgoing) -> None:
        self._work = work
        self._outgoing = outgoing

    def __await__(self) -> Generator[Any, None, RecordMetadata]:
        return self._confirmed().__await__()

    async def _confirmed(self) -> RecordMetadata:
        await self._work.transmit()
        future = self._outgoing.future
        if future is None:
            raise Abandoned(self._work.label)
        return await asyncio.shield(future)  # a cancelled handler must not cancel the record's own future


def send_message(work: Work, message: Message) -> Sending:
    """Send a message as an effect of the event in hand."""
    return work.send(
        message.topic, key=message.key, value=message.value, headers=message.headers, partition=message.partition
    )


current_work: ContextVar[Work | None] = ContextVar("current_work", default=None)
"""The work whose handler is running in this task; tasks started by the handler inherit it."""


@contextmanager
def handling(work: Work) -> Iterator[None]:
    """Write to tables for `work`, where one handler has several events in hand."""
    token = current_work.set(work)
    try:
        yield
    finally:
        current_work.reset(token)


def working() -> Work:
    """Return the work in hand.

    Raises:
        NotInHandlerError: there is none.
        Abandoned: its partition was taken away.

    """
    work = current_work.get()
    if work is None:
        raise NotInHandlerError("a table can only be used inside a handler or inside open_work()")
    work.check()
    return work

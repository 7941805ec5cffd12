"""Everything an app sends, outputs first and then what it writes, and what of it is not confirmed yet."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from agents.runtime.failure import ExitCode, end_process
from agents.runtime.state import Change, PartitionState
from schemas.errors import LogError
from streams.log.producer import Header, LogProducer


class Outgoing:
    """A record to be sent; `future` once it was given to the producer; `change` if it is a table's write."""

    __slots__ = ("change", "future", "headers", "key", "partition", "topic", "value")

    def __init__(  # noqa: PLR0917 - made for every record: keywords cost a tenth of the rate
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header] = (),
        partition: int | None = None,
        change: Change | None = None,
    ) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = headers
        self.partition = partition
        self.change = change
        self.future: asyncio.Future[Any] | None = None


class Writer(Protocol):
    """An event that was handled and whose writes wait for their turn."""

    @property
    def may_write(self) -> bool:
        """True when all its outputs are confirmed."""

    async def transmit_changes(self) -> None:
        """Give its writes to the producer."""


class Outbox:
    """Gives records to the producer and ends the process when one cannot be written.

    A record that is lost while the commit of its event goes on would be lost for good; after the end the event comes
    again.

    What an event writes to tables goes out only when its outputs are confirmed, and those of every event handled before
    it, whose writes it may have read. Otherwise a crash could leave a table that says "sent" of what never was, and the
    event, met again, would be taken for done.
    """

    def __init__(self, producer: LogProducer) -> None:
        self._producer = producer
        self._unconfirmed: set[asyncio.Future[Any]] = set()
        self._waiting_since = 0.0
        self._confirmed: set[PartitionState] = set()
        self._writers: deque[Writer] = deque()
        self._writing: asyncio.Task[None] | None = None

    @property
    def seconds_unconfirmed(self) -> float:
        """For how long Kafka has confirmed nothing of what it was sent; 0 where nothing is on its way."""
        return time.monotonic() - self._waiting_since if self._unconfirmed else 0.0

    def queue_changes(self, writer: Writer) -> None:
        """Let a handled event wait for its turn to write."""
        self._writers.append(writer)
        self.advance()

    def advance(self) -> None:
        """Send the writes whose turn has come; called whenever an event's outputs are confirmed."""
        if self._writing is None and self._writers and self._writers[0].may_write:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._writers and self._writers[0].may_write:
            # It leaves the queue only afterwards: whoever waits for its turn sees that it is not through yet.
            await self._writers[0].transmit_changes()
            self._writers.popleft()
        self._writing = None

    async def writes_sent(self) -> None:
        """Wait until the writes of every event handled so far are on their way."""
        last = self._writers[-1] if self._writers else None
        while last is not None and last in self._writers:
            self.advance()
            waits = {self._writing} if self._writing is not None else set(self._unconfirmed)
            if waits:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)

    async def send(self, outgoing: Outgoing) -> "asyncio.Future[Any]":
        """Queue a record and return its future; a write that a newer one has overtaken shares that one's future."""
        change = outgoing.change
        overtaken_by = None if change is None else change.overtaken_by()
        if overtaken_by is not None:
            outgoing.future = overtaken_by
            return overtaken_by
        try:
            future: asyncio.Future[Any] = await self._producer.send(
                outgoing.topic,
                key=outgoing.key,
                value=outgoing.value,
                headers=outgoing.headers,
                partition=outgoing.partition,
            )
        except LogError as error:
            end_process(f"a record for {outgoing.topic} cannot be sent", ExitCode.LOG, error)
        outgoing.future = future
        if change is not None:
            change.future = future
        if not self._unconfirmed:
            self._waiting_since = time.monotonic()
        self._unconfirmed.add(future)
        future.add_done_callback(partial(self._on_done, outgoing))
        return future

    async def settled(self, timeout_seconds: float) -> bool:
        """Wait until every handled event's effects are confirmed; False if that took longer than `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.writes_sent()
                while self._unconfirmed:
                    await asyncio.wait(set(self._unconfirmed))
        except TimeoutError:
            return False
        self._keep_confirmed()
        return True

    def _on_done(self, outgoing: Outgoing, future: "asyncio.Future[Any]") -> None:
        self._unconfirmed.discard(future)
        self._waiting_since = time.monotonic()
        if future.cancelled():
            end_process(f"a record for {outgoing.topic} was given up by the producer", ExitCode.LOG)
        error = future.exception()
        if error is not None:
            end_process(f"Kafka did not take a record for {outgoing.topic}", ExitCode.LOG, error)
        if outgoing.change is not None:
            state = outgoing.change.state
            state.confirm(outgoing.change, future.result().offset)
            if not self._confirmed:  # a batch is confirmed in one turn of the loop: all of it is kept in the next one
                future.get_loop().call_soon(self._keep_confirmed)
            self._confirmed.add(state)

    def _keep_confirmed(self) -> None:
        confirmed, self._confirmed = self._confirmed, set()
        for state in confirmed:
            state.keep_confirmed()

"""Everything an app sends, outputs and changelogs, and what of it is not confirmed yet."""

import asyncio
from collections.abc import Sequence
from typing import Any

from agents.runtime.failure import ExitCode, end_process
from agents.runtime.state import Change
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


class Outbox:
    """Gives records to the producer and ends the process when one cannot be written.

    A record that is lost while the commit of its event goes on would be lost for good; after the end the event comes
    again.
    """

    def __init__(self, producer: LogProducer) -> None:
        self._producer = producer
        self._unconfirmed: set[asyncio.Future[Any]] = set()

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
        self._unconfirmed.add(future)
        future.add_done_callback(lambda done: self._on_done(outgoing, done))
        return future

    async def settled(self, timeout_seconds: float) -> bool:
        """Wait until everything sent is confirmed; False if that took longer than `timeout_seconds`."""
        if not self._unconfirmed:
            return True
        _, waiting = await asyncio.wait(set(self._unconfirmed), timeout=timeout_seconds)
        return not waiting

    def _on_done(self, outgoing: Outgoing, future: "asyncio.Future[Any]") -> None:
        self._unconfirmed.discard(future)
        if future.cancelled():
            end_process(f"a record for {outgoing.topic} was given up by the producer", ExitCode.LOG)
        error = future.exception()
        if error is not None:
            end_process(f"Kafka did not take a record for {outgoing.topic}", ExitCode.LOG, error)
        if outgoing.change is not None:
            outgoing.change.state.confirm(outgoing.change, future.result().offset)

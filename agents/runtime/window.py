"""How an agent goes through its events: one by one, or many at once in order of their keys; always acked in order."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import Any, Protocol

from aiokafka.structs import TopicPartition

from agents.runtime.failure import ExitCode, code_of, end_process
from agents.runtime.sequence import SourceSequence
from agents.runtime.work import Event, Work, current_work

Handler = Callable[[Event, Work], Awaitable[None]]
KeyOf = Callable[[Event], Hashable]

CANCEL_SECONDS = 1.0
"""How long a cancelled serial handler may take to end before the process does: its agent cannot go on without it."""


class Partitions(Protocol):
    """What a window needs to know of the app around it."""

    sequence: SourceSequence
    positions: dict[TopicPartition, int]

    def is_current(self, message: Any) -> bool:
        """Tell whether a message was read under the present assignment."""

    def taken(self, message: Any) -> None:
        """Be told that a message has left the buffer."""

    def open_event_work(self, event: Event, on_settled: Callable[[Work], None]) -> Work:
        """Make the work of an event."""


class Window:
    """Runs a handler over a stream of events.

    `size` handlers run at once, events of the same key one after the other; at most `span` events are unacknowledged
    behind a slow one, which bounds what a restart does again. With `size` 1 the handler runs in the agent's own task
    (no task per event: 2,000 events/s more) and only the confirmations overlap.
    """

    def __init__(
        self,
        partitions: Partitions,
        handler: Handler,
        *,
        size: int,
        span: int,
        key: KeyOf | None = None,
    ) -> None:
        self._partitions = partitions
        self._handler = handler
        self._size = size
        self._span = span
        self._key = key
        self._queues: defaultdict[TopicPartition, deque[tuple[int, Work]]] = defaultdict(deque)
        self._tails: dict[Hashable, asyncio.Task[None]] = {}
        self._running: dict[Work, asyncio.Task[Any]] = {}
        self._unacked = 0
        self._closed = False
        self._room = asyncio.Event()

    @property
    def unacked(self) -> int:
        """Events taken and not yet acknowledged."""
        return self._unacked

    async def run(self, stream: AsyncIterator[Any]) -> None:
        """Take events for ever; `stream` yields the framework's events."""
        async for received in stream:
            if event := await self._admitted(received):
                await self._start(event)

    async def _admitted(self, received: Any) -> Event | None:
        """Return the event that was received; None if it is another assignment's."""
        message = received.message
        self._partitions.taken(message)
        await self._wait_for_room()
        if not self._partitions.is_current(message):
            return None  # read before a rebalance: whoever has the partition now reads it again
        tp = TopicPartition(message.topic, message.partition)
        if not self._partitions.sequence.follows(tp, message.offset):
            await self._partitions.sequence.explain(tp, message.offset)
            if self._closed or not self._partitions.is_current(message):
                return None
            self._partitions.sequence.follows(tp, message.offset)
        return _event(message)

    async def _wait_for_room(self) -> None:
        while self._closed or len(self._running) >= self._size or self._unacked >= self._span:
            self._room.clear()
            await self._room.wait()

    def _open(self, event: Event) -> Work:
        tp = TopicPartition(event.topic, event.partition)
        work = self._partitions.open_event_work(event, lambda _: self._acknowledge(tp))
        self._queues[tp].append((event.offset, work))
        self._unacked += 1
        return work

    async def _start(self, event: Event) -> None:
        work = self._open(event)
        if self._size == 1:
            await self._run_here(event, work)
            return
        key = self._key(event) if self._key is not None else None
        before = self._tails.get(key) if key is not None else None
        task = asyncio.create_task(self._run_after(before, event, work))
        self._running[work] = task
        task.add_done_callback(lambda _: self._on_end(work, key, task))
        if key is not None:
            self._tails[key] = task

    async def _run_here(self, event: Event, work: Work) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a coroutine runs in a task
        self._running[work] = task
        try:
            await self._handle(event, work)
        finally:
            self._running.pop(work, None)
            if self._is_cut_off(work):
                while task.cancelling():  # the cancellation was for the handler; the agent goes on
                    task.uncancel()
            current_work.set(None)
            self._room.set()

    async def _run_after(self, before: "asyncio.Task[None] | None", event: Event, work: Work) -> None:
        if before is not None and not before.done():
            await asyncio.wait((before,))
        await self._handle(event, work)

    async def _handle(self, event: Event, work: Work) -> None:
        """Run the handler; whatever it raises ends the process here and never reaches the framework."""
        current_work.set(work)
        try:
            work.check()
            await self._let_handle(event, work)
        except asyncio.CancelledError as error:
            if not self._is_cut_off(work):
                end_process(f"the handler of {work.label} was cancelled", ExitCode.HANDLER, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the framework, which would ack
            if not self._is_cut_off(work):
                end_process(f"the handler of {work.label} failed", code_of(error), error)

    async def _let_handle(self, event: Event, work: Work) -> None:
        await self._handler(event, work)
        await work.finish()

    def _is_cut_off(self, work: Work) -> bool:
        return not work.is_current

    def _on_end(self, work: Work, key: Hashable, task: "asyncio.Task[Any]") -> None:
        self._running.pop(work, None)
        if key is not None and self._tails.get(key) is task:
            del self._tails[key]
        self._room.set()

    def _acknowledge(self, tp: TopicPartition) -> None:
        queue = self._queues[tp]
        while queue and queue[0][1].is_done:
            offset, _ = queue.popleft()
            self._partitions.positions[tp] = offset + 1
            self._unacked -= 1
        self._room.set()

    def close(self) -> None:
        """Take no more events: partitions are about to be let go of."""
        self._closed = True

    async def drained(self, deadline: float) -> None:
        """Wait until every event taken is acknowledged, until `deadline` of the loop's clock at most."""
        loop = asyncio.get_running_loop()
        while self._unacked and (left := deadline - loop.time()) > 0:
            self._room.clear()
            try:
                await asyncio.wait_for(self._room.wait(), left)
            except TimeoutError:
                return

    async def cut_off(self) -> None:
        """Stop handlers that still run: no acknowledgement, write or send can come from them any more."""
        here = [task for work, task in self._running.items() if self._size == 1]
        for queue in self._queues.values():
            for _, work in queue:
                if not work.is_handled:
                    work.cut_off()
        for task in self._running.values():
            task.cancel()
        if here and not await self._ended():
            end_process("a serial handler does not end when its partition is taken away", ExitCode.STUCK)

    async def _ended(self) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CANCEL_SECONDS
        while self._running and loop.time() < deadline:  # noqa: ASYNC110 - has a deadline, and ends within one turn
            await asyncio.sleep(0.01)
        return not self._running

    def forget(self) -> None:
        """Forget all events of the old assignment: what is confirmed too late is not acknowledged any more."""
        for queue in self._queues.values():
            for _, work in queue:
                work.cut_off()
        self._queues.clear()
        self._tails.clear()
        self._running.clear()
        self._unacked = 0

    def reopen(self) -> None:
        """Take events again."""
        self._closed = False
        self._room.set()


def _event(message: Any) -> Event:
    return Event(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        {name: value or b"" for name, value in message.headers or ()},  # Java's clients may leave a value out
        message.timestamp,
    )

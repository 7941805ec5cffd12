"""A window for a handler that takes several events at once: those that are there already, a bounded number ahead."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import takewhile
from typing import Any

from agents.runtime.window import Partitions, Window
from agents.runtime.work import Event, Work

SORTED_OUT_PER_TURN = 16
"""Events in hand that are looked at after each turn, on average."""

Gatherer = Callable[[Sequence[tuple[Event, Work]]], Awaitable[None]]
"""Gets the events that are new since its last call, and finishes the works of those that it is through with.

It is called again, also without new ones, for as long as works are left that it has not finished.
"""


class GatheringWindow(Window):
    """Hands a serial handler what is there, without waiting for more; at most `ahead` events are left unfinished.

    Acknowledged is in order, whatever the order in which works are finished. When partitions are taken away, events
    that the handler is not at work on are let go of at once.
    """

    def __init__(self, partitions: Partitions, gatherer: Gatherer, *, ahead: int, ahead_bytes: int, span: int) -> None:
        super().__init__(partitions, _has_no_single_events, size=1, span=max(span, ahead))
        self._gatherer = gatherer
        self._ahead = ahead
        self._ahead_bytes = ahead_bytes
        self._new: list[tuple[Event, Work]] = []
        self._left: deque[tuple[Event, Work]] = deque()
        self._turns_since_sorted_out = 0
        self._bytes = 0  # of both; summed up for every event it would cost more than the event itself
        self._was_cut_off = False

    async def run(self, stream: AsyncIterator[Any]) -> None:
        """Take events for ever; `stream` yields the framework's events."""
        arriving: asyncio.Future[Any] = asyncio.ensure_future(anext(stream))
        try:
            while True:
                while await self._has_arrived(arriving):
                    received = arriving.result()
                    arriving = asyncio.ensure_future(anext(stream))
                    if event := await self._admitted(received):
                        self._new.append((event, self._open(event)))
                        self._bytes += _size(event)
                await self._turn()
        except StopAsyncIteration:
            return
        finally:
            arriving.cancel()

    async def _has_arrived(self, arriving: "asyncio.Future[Any]") -> bool:
        """Tell whether an event is there and may be taken; where nothing is in hand, wait until one is.

        Not the framework's queue is asked but its stream: an event that it passes over must not hold up those in hand.
        """
        if not (self._left or self._new):
            await asyncio.wait((arriving,))
            return True
        if not self._may_read_ahead():
            return False
        done, _ = await asyncio.wait((arriving,), timeout=0)
        return bool(done) and arriving.exception() is None

    def _may_read_ahead(self) -> bool:
        in_hand = len(self._left) + len(self._new)
        return in_hand < self._ahead and self._unacked < self._span and self._bytes < self._ahead_bytes

    async def _turn(self) -> None:
        """Let the handler go on with what is in hand."""
        self._left += self._new
        if self._left:
            self._was_cut_off = False
            await self._run_here(*self._left[0])
        if self._closed:
            self._let_go()
        self._sort_out()

    def _sort_out(self) -> None:
        """Drop what is through: in front at once, elsewhere every so many turns, in which few were finished.

        To look at all of it after each turn took 5 ms with 10,000 in hand.
        """
        while self._left and _is_through(self._left[0][1]):
            self._bytes -= _size(self._left.popleft()[0])
        self._turns_since_sorted_out += 1
        if self._turns_since_sorted_out * SORTED_OUT_PER_TURN > len(self._left):
            self._turns_since_sorted_out = 0
            self._left = deque(one for one in self._left if not _is_through(one[1]))
            self._bytes = sum(_size(event) for event, _ in (*self._left, *self._new))

    async def _let_handle(self, event: Event, work: Work) -> None:  # noqa: ARG002 - the first of those in hand
        new, self._new = self._new, []
        await self._gatherer(new)

    def _is_cut_off(self, work: Work) -> bool:  # noqa: ARG002 - it may be finished already, while others are not
        return self._was_cut_off

    def close(self) -> None:
        """Take no more events, and let go of those that no handler is at work on."""
        super().close()
        if not self._running:
            self._let_go()

    async def cut_off(self) -> None:
        """Stop the handler if it still runs."""
        self._was_cut_off = True
        await super().cut_off()

    def forget(self) -> None:
        """Forget all events of the old assignment."""
        self._left, self._new, self._bytes = deque(), [], 0
        super().forget()

    def _let_go(self) -> None:
        """Leave what is not finished to whoever has the partition next, and with it what it keeps from being acked."""
        for queue in self._queues.values():
            kept = list(takewhile(lambda each: each[1].is_handled, queue))
            for _, work in queue:
                if not work.is_handled:
                    work.cut_off()
            self._unacked -= len(queue) - len(kept)
            queue.clear()
            queue.extend(kept)
        self._left, self._new, self._bytes = deque(), [], 0
        self._room.set()


def _is_through(work: Work) -> bool:
    return work.is_handled or not work.is_current


def _size(event: Event) -> int:
    return len(event.value or b"")


async def _has_no_single_events(event: Event, work: Work) -> None:
    raise NotImplementedError(f"{work.label}: events are handed over together")

"""A gathering window: what is there comes together, is acked in order, and is let go of without waiting for all."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from agents.runtime.gathering import Gatherer, GatheringWindow
from agents.runtime.work import Event, Work
from tests.support.waiting import eventually
from tests.unit.test_agents_runtime_window import SOURCE, App, ProcessEndedError, ended, message

__all__ = ["ended"]


class Source:
    """A stream that yields what was put into it."""

    def __init__(self, *offsets: int) -> None:
        self._queue: asyncio.Queue[SimpleNamespace] = asyncio.Queue()
        self.put(*offsets)

    def put(self, *offsets: int) -> None:
        for offset in offsets:
            self._queue.put_nowait(SimpleNamespace(message=message(offset)))

    async def __aiter__(self) -> AsyncIterator[SimpleNamespace]:
        while True:
            yield await self._queue.get()


class Handler:
    """Keeps what it was given, and finishes what it is told to."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.in_hand: dict[int, Work] = {}
        self.finish_at_once = True
        self.wait: asyncio.Event | None = None

    async def __call__(self, taken: Sequence[tuple[Event, Work]]) -> None:
        self.calls.append([event.offset for event, _ in taken])
        self.in_hand |= {event.offset: work for event, work in taken}
        if self.wait:
            await self.wait.wait()
        if self.finish_at_once:
            await self.finish(*list(self.in_hand))
        else:
            await asyncio.sleep(0.001)

    async def finish(self, *offsets: int) -> None:
        for offset in offsets:
            await self.in_hand.pop(offset).finish()


def window_of(app: App, handler: Gatherer, *, ahead: int = 100, ahead_bytes: int = 10**6) -> GatheringWindow:
    return GatheringWindow(app, handler, ahead=ahead, ahead_bytes=ahead_bytes, span=1000)


@pytest.fixture
async def handler() -> Handler:
    return Handler()


async def running(window: GatheringWindow, source: Source) -> "asyncio.Task[None]":
    return asyncio.create_task(window.run(aiter(source)))


async def stopped(window: GatheringWindow, task: "asyncio.Task[None]") -> None:
    window.close()
    await window.cut_off()
    task.cancel()
    await asyncio.wait({task})


async def position(app: App) -> int:
    return app.positions.get(SOURCE, 0)


async def test_what_is_there_comes_together_and_what_comes_later_is_not_waited_for(handler: Handler) -> None:
    app, source = App(), Source(0, 1, 2)
    window = window_of(app, handler)
    task = await running(window, source)
    await eventually(lambda: position(app), lambda at: at == 3)
    source.put(3)
    await eventually(lambda: position(app), lambda at: at == 4)

    assert handler.calls == [[0, 1, 2], [3]]
    await stopped(window, task)


async def test_what_is_in_hand_is_not_looked_at_as_a_whole_after_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Counter[str]()
    is_handled = Work.is_handled.fget  # type: ignore[attr-defined]

    class Counted(Handler):
        """Finishes one event of many in each turn: the second half first, so not from the front."""

        async def __call__(self, taken: Sequence[tuple[Event, Work]]) -> None:
            self.in_hand |= {event.offset: work for event, work in taken}
            looked["turns"] += 1
            order = sorted(self.in_hand, key=lambda offset: (offset < many // 2, offset))
            await self.finish(order[0])

    def counting(work: Work) -> bool:
        looked["works"] += 1
        return bool(is_handled(work))

    many = 800
    monkeypatch.setattr(Work, "is_handled", property(counting))
    app, counted = App(), Counted()
    window = window_of(app, counted, ahead=many)
    task = await running(window, Source(*range(many)))
    await eventually(lambda: position(app), lambda at: at == many)
    assert looked["turns"] == many
    assert looked["works"] < 40 * many  # and not half of them in each turn
    await stopped(window, task)


@pytest.mark.parametrize("bound", [{"ahead": 4}, {"ahead_bytes": 4 * len(b"secret")}])
async def test_no_more_than_so_many_are_read_ahead(handler: Handler, bound: dict[str, int]) -> None:
    app, source = App(), Source(*range(10))
    handler.finish_at_once = False
    window = window_of(app, handler, **bound)
    task = await running(window, source)

    async def calls() -> int:
        return len(handler.calls)

    await eventually(calls, lambda many: many > 3)
    assert [call for call in handler.calls if call] == [[0, 1, 2, 3]]
    await handler.finish(1)
    await eventually(calls, lambda _: 4 in handler.in_hand)
    await stopped(window, task)


async def test_what_is_finished_out_of_order_is_acknowledged_in_order(handler: Handler) -> None:
    app, source = App(), Source(0, 1, 2)
    handler.finish_at_once = False
    window = window_of(app, handler)
    task = await running(window, source)

    async def in_hand() -> int:
        return len(handler.in_hand)

    await eventually(in_hand, lambda many: many == 3)
    await handler.finish(2, 1)
    assert app.positions == {}
    await handler.finish(0)
    assert app.positions == {SOURCE: 3}
    await stopped(window, task)


async def test_what_is_not_begun_is_let_go_of_at_once_when_partitions_are_taken_away(handler: Handler) -> None:
    app, source = App(), Source(0, 1, 2, 3)
    handler.finish_at_once = False
    handler.wait = asyncio.Event()
    window = window_of(app, handler)
    task = await running(window, source)

    async def in_hand() -> int:
        return len(handler.in_hand)

    await eventually(in_hand, lambda many: many == 4)
    works = dict(handler.in_hand)
    await handler.finish(0, 2)
    window.close()
    handler.wait.set()
    await asyncio.wait_for(window.drained(asyncio.get_running_loop().time() + 5), 1)

    assert (app.positions, window.unacked) == ({SOURCE: 1}, 0)
    assert [work.is_current for work in works.values()] == [True, False, True, False]
    await window.cut_off()
    window.forget()
    window.reopen()
    handler.finish_at_once, app.generation = True, 1
    await stopped(window, task)


async def test_a_handler_that_does_not_end_is_cut_off_and_the_window_goes_on(
    handler: Handler, ended: list[int]
) -> None:
    app, source = App(), Source(0, 1)
    handler.wait = asyncio.Event()
    window = window_of(app, handler)
    task = await running(window, source)

    async def in_hand() -> int:
        return len(handler.in_hand)

    await eventually(in_hand, lambda many: many == 2)
    await handler.in_hand[0].finish()  # the first may be finished while the second is not
    window.close()
    await window.cut_off()
    window.forget()
    app.sequence.start({SOURCE: 1})
    handler.wait = None
    handler.in_hand.clear()
    window.reopen()
    source.put(1)
    await eventually(lambda: position(app), lambda at: at == 2)

    assert ended == []
    assert handler.calls[-1] == [1]
    await stopped(window, task)


async def test_a_handler_that_fails_ends_the_process(ended: list[int]) -> None:
    async def fail(_: Sequence[tuple[Event, Work]]) -> None:
        raise ValueError("broken")

    with pytest.raises(ProcessEndedError):
        await window_of(App(), fail).run(aiter(Source(0, 1)))
    assert len(ended) == 1


async def test_the_end_of_a_stream_comes_after_what_is_in_hand(handler: Handler) -> None:
    async def two() -> AsyncIterator[Any]:
        for offset in (0, 1):
            yield SimpleNamespace(message=message(offset))

    app = App()
    await asyncio.wait_for(window_of(app, handler).run(two()), 5)
    assert app.positions == {SOURCE: 2}

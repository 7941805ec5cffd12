"""Windows: order, acknowledgement after effect, and letting go."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from agents.runtime import failure
from agents.runtime.failure import ExitCode
from agents.runtime.outbox import Outbox
from agents.runtime.sequence import SourceSequence
from agents.runtime.window import Handler, Window
from agents.runtime.work import Abandoned, Event, Work, working
from schemas.errors import LogUnavailableError, RefusedError

SOURCE = TopicPartition("in", 0)


class ProcessEndedError(BaseException):
    """Stands for os._exit()."""


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        raise ProcessEndedError

    monkeypatch.setattr(failure.os, "_exit", end)
    return codes


class HeldProducer:
    """Keeps the futures of what is sent; `confirm` completes them."""

    def __init__(self) -> None:
        self.futures: dict[bytes, asyncio.Future[Any]] = {}

    async def send(self, _topic: str, *, key: bytes, **_: object) -> asyncio.Future[Any]:
        self.futures[key] = asyncio.get_running_loop().create_future()
        return self.futures[key]

    def confirm(self, key: bytes) -> None:
        self.futures[key].set_result(SimpleNamespace(offset=0))


async def nothing_there(_tp: TopicPartition, offset: int) -> int:
    return offset + 1000


@dataclass
class App:
    """What a window needs of the app around it."""

    sequence: SourceSequence = field(default_factory=lambda: SourceSequence(nothing_there))
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    producer: HeldProducer = field(default_factory=HeldProducer)
    generation: int = 1

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.producer)  # type: ignore[arg-type]
        self.sequence.start({SOURCE: 0})

    def is_current(self, message: Any) -> bool:
        return bool(message.generation_id == self.generation)

    def taken(self, message: Any) -> None:
        pass

    def open_event_work(self, event: Event, on_settled: Callable[[Work], None]) -> Work:
        return Work(self.outbox, event.partition, f"in[0]@{event.offset}", on_settled)


def message(offset: int, key: bytes = b"a", generation: int = 1) -> SimpleNamespace:
    return SimpleNamespace(
        topic="in", partition=0, offset=offset, key=key, value=b"secret", headers=[], timestamp=0.0,
        generation_id=generation,
    )  # fmt: skip


async def stream(*messages: SimpleNamespace) -> AsyncIterator[SimpleNamespace]:
    for one in messages:
        yield SimpleNamespace(message=one)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - polls for what has no event
            await asyncio.sleep(0.001)


def serial(app: App, handler: Handler, span: int = 1000) -> Window:
    return Window(app, handler, size=1, span=span)


async def test_events_are_acknowledged_in_order_and_only_when_their_sends_are_confirmed() -> None:
    app = App()

    async def handle(event: Event, work: Work) -> None:
        work.send("out", key=b"%d" % event.offset)

    await serial(app, handle).run(stream(message(0), message(1), message(2)))

    app.producer.confirm(b"1")
    app.producer.confirm(b"2")
    await asyncio.sleep(0.01)
    assert app.positions == {}
    app.producer.confirm(b"0")
    await until(lambda: app.positions == {SOURCE: 3})


async def test_serial_events_never_overlap() -> None:
    app, running, most = App(), 0, 0

    async def handle(_event: Event, _work: Work) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await serial(app, handle).run(stream(*(message(offset) for offset in range(20))))

    assert most == 1
    assert app.positions == {SOURCE: 20}


async def test_a_window_runs_keys_beside_each_other_and_events_of_a_key_one_after_the_other() -> None:
    app, began, gate = App(), [], asyncio.Event()

    async def handle(event: Event, _work: Work) -> None:
        began.append((event.key, event.offset))
        await gate.wait()

    window = Window(app, handle, size=10, span=100, key=lambda event: event.key)
    running = asyncio.create_task(window.run(stream(message(0, b"a"), message(1, b"a"), message(2, b"b"))))
    await until(lambda: len(began) == 2)
    assert began == [(b"a", 0), (b"b", 2)]

    gate.set()
    await running

    await until(lambda: app.positions == {SOURCE: 3})
    assert began == [(b"a", 0), (b"b", 2), (b"a", 1)]


async def test_no_more_than_span_events_wait_behind_a_slow_one() -> None:
    app, handled = App(), []

    async def handle(event: Event, work: Work) -> None:
        handled.append(event.offset)
        work.send("out", key=b"%d" % event.offset)

    running = asyncio.create_task(serial(app, handle, span=3).run(stream(*(message(offset) for offset in range(10)))))
    await until(lambda: len(handled) == 3)
    await asyncio.sleep(0.01)

    assert handled == [0, 1, 2]
    running.cancel()


@pytest.mark.parametrize("size", [1, 8])
async def test_a_handler_that_raises_ends_the_process_and_names_the_event_without_its_payload(
    size: int, ended: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    app = App()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)

    async def handle(event: Event, _work: Work) -> None:
        raise ValueError(event.value)

    window = Window(app, handle, size=size, span=10, key=None)
    await asyncio.gather(window.run(stream(message(0))), return_exceptions=True)
    await until(lambda: ended)

    assert ended == [ExitCode.HANDLER]
    line = capsys.readouterr().err
    assert "the handler of in[0]@0 failed: ValueError at test_agents_runtime_window.py" in line
    assert "secret" not in line
    assert app.positions == {}


async def test_a_handler_that_cannot_reach_kafka_to_read_ends_the_process_as_the_log_s_trouble_and_not_its_own(
    ended: list[int],
) -> None:
    app = App()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)

    async def handle(_event: Event, _work: Work) -> None:
        raise LogUnavailableError("Kafka at broker:9092 does not answer")

    window = Window(app, handle, size=1, span=10, key=None)
    await asyncio.gather(window.run(stream(message(0))), return_exceptions=True)

    assert ended == [ExitCode.LOG]
    assert app.positions == {}


def test_the_words_of_our_own_errors_are_told_and_those_of_others_are_not() -> None:
    assert failure.describe(RefusedError("period closed")) == "RefusedError: period closed"
    assert failure.describe(KeyError("account of a customer")) == "KeyError"


async def test_events_read_before_a_rebalance_are_dropped_without_being_expected_again() -> None:
    app, handled = App(), []

    async def handle(event: Event, _work: Work) -> None:
        handled.append(event.offset)

    await serial(app, handle).run(stream(message(4, generation=0), message(0), message(1)))

    assert handled == [0, 1]


async def test_a_jump_where_the_log_has_nothing_is_counted_and_passed() -> None:
    app, handled = App(), []

    async def handle(event: Event, _work: Work) -> None:
        handled.append(event.offset)

    await serial(app, handle).run(stream(message(0), message(1), message(3)))

    assert handled == [0, 1, 3]
    assert app.sequence.passed == {"in": 1}
    assert app.positions == {SOURCE: 4}


@pytest.mark.parametrize(
    ("offsets", "why"),
    [
        ((0, 1, 3), "jumped from 2 to 3, but there is a record at 2"),
        ((1,), "jumped from 0 to 1, but there is a record at 0"),
        ((0, 0), "went on at offset 0, but 1 was next"),
    ],
    ids=["a hole of one", "at the head", "backwards"],
)
async def test_a_jump_over_a_record_that_is_in_the_log_ends_the_process(
    offsets: tuple[int, ...], why: str, ended: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    async def there(_tp: TopicPartition, offset: int) -> int:
        return offset

    app = App(sequence=SourceSequence(there))

    async def handle(_event: Event, _work: Work) -> None:
        pass

    with pytest.raises(ProcessEndedError):
        await serial(app, handle).run(stream(*(message(offset) for offset in offsets)))

    assert ended == [ExitCode.SOURCE_JUMPED]
    assert why in capsys.readouterr().err


async def test_an_event_of_a_partition_that_was_never_sought_ends_the_process(ended: list[int]) -> None:
    app = App()
    app.sequence.start({})

    async def handle(_event: Event, _work: Work) -> None:
        pass

    with pytest.raises(ProcessEndedError):
        await serial(app, handle).run(stream(message(0)))

    assert ended == [ExitCode.SOURCE_JUMPED]


async def let_go(window: Window, grace_seconds: float = 0.05) -> None:
    window.close()
    await window.drained(asyncio.get_running_loop().time() + grace_seconds)
    await window.cut_off()
    window.forget()


async def test_a_hung_handler_is_cut_off_and_nothing_can_come_from_it_any_more() -> None:
    app, late = App(), []

    async def handle(_event: Event, work: Work) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            for attempt in (lambda: work.send("out", key=b"late"), working):
                with pytest.raises(Abandoned):
                    attempt()
                late.append("refused")

    window = Window(app, handle, size=4, span=10, key=None)
    await window.run(stream(message(0), message(1)))
    await asyncio.sleep(0)

    await let_go(window)

    await until(lambda: len(late) == 4)
    assert app.producer.futures == {}
    assert app.positions == {}
    assert window.unacked == 0


async def test_a_hung_serial_handler_is_cut_off_and_its_agent_goes_on_with_the_next_assignment() -> None:
    app, handled, hang = App(), [], [True]

    async def handle(event: Event, _work: Work) -> None:
        if hang[0]:
            await asyncio.sleep(60)
        handled.append(event.offset)

    window = serial(app, handle)
    running = asyncio.create_task(window.run(stream(message(0), message(1, generation=1), message(0, generation=2))))
    await until(lambda: window.unacked == 1)

    await let_go(window)
    hang[0] = False
    app.generation = 2
    app.sequence.start({SOURCE: 0})
    window.reopen()
    await running

    assert handled == [0]
    assert app.positions == {SOURCE: 1}
    assert running.cancelling() == 0  # else the next timeout in a handler would take itself for a cancellation


async def test_a_serial_handler_that_does_not_end_when_cut_off_ends_the_process(ended: list[int]) -> None:
    app = App()

    async def handle(_event: Event, _work: Work) -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if ended:
                    raise

    window = serial(app, handle)
    running = asyncio.create_task(window.run(stream(message(0))))
    await until(lambda: window.unacked == 1)

    with pytest.raises(ProcessEndedError):
        await let_go(window)

    assert ended == [ExitCode.STUCK]
    running.cancel()


async def test_what_is_confirmed_after_letting_go_is_not_acknowledged() -> None:
    app = App()

    async def handle(_event: Event, work: Work) -> None:
        work.send("out", key=b"a")

    window = serial(app, handle)
    await window.run(stream(message(0)))
    await let_go(window)

    app.producer.confirm(b"a")
    await asyncio.sleep(0.01)

    assert app.positions == {}


async def test_handlers_that_end_within_the_grace_are_acknowledged() -> None:
    app = App()

    async def handle(_event: Event, _work: Work) -> None:
        await asyncio.sleep(0.02)

    window = Window(app, handle, size=4, span=10, key=None)
    await window.run(stream(message(0), message(1)))
    await let_go(window, grace_seconds=2)

    assert app.positions == {SOURCE: 2}

"""Tables: what is confirmed, what is not yet, and whose writes count."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agents.runtime import failure
from agents.runtime.entries import Entries, MemoryEntries, RocksEntries
from agents.runtime.failure import ExitCode
from agents.runtime.outbox import Outbox
from agents.runtime.state import PartitionState
from agents.runtime.table import StateTable
from agents.runtime.work import Abandoned, NotInHandlerError, Work, current_work
from streams.log.producer import RecordTooLargeError

ROOT = Path(__file__).resolve().parents[2]


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


@dataclass
class Record:
    offset: int
    key: bytes
    value: bytes | None
    epoch: int

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        return [("epoch", str(self.epoch).encode())]


@dataclass
class Confirmation:
    offset: int


@dataclass
class SlowProducer:
    """Takes records and confirms them when told to."""

    sent: list[tuple[bytes | None, bytes | None, asyncio.Future[Confirmation]]] = field(default_factory=list)

    async def send(
        self, _topic: str, *, key: bytes | None, value: bytes | None, **_: object
    ) -> asyncio.Future[Confirmation]:
        future: asyncio.Future[Confirmation] = asyncio.get_running_loop().create_future()
        self.sent.append((key, value, future))
        return future


@pytest.fixture(params=["memory", "rocksdb"])
def new_entries(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Entries]:
    def make() -> Entries:
        return MemoryEntries() if request.param == "memory" else RocksEntries(tmp_path / "table" / "0")

    return make


def owned(entries: Entries, *, end: int = 0, generation: int = 1) -> PartitionState:
    state = PartitionState("changelog", 0, entries)
    state.own(generation, end)
    return state


def test_a_write_is_seen_at_once_and_becomes_an_entry_when_it_is_confirmed(new_entries: Callable[[], Entries]) -> None:
    state = owned(new_entries())

    change = state.write(b"a", b"1")

    assert state.get(b"a") == b"1"
    assert state.entries.get(b"a") is None
    state.confirm(change, 0)
    assert state.get(b"a") == b"1"
    state.keep_confirmed()
    assert state.get(b"a") == b"1"
    assert state.entries.get(b"a") == b"1"
    assert state.entries.offset == 0
    state.close()


def test_what_was_never_confirmed_is_dropped_and_the_confirmed_value_is_back(
    new_entries: Callable[[], Entries],
) -> None:
    state = owned(new_entries())
    state.confirm(state.write(b"a", b"good"), 0)
    state.write(b"a", b"of an event that was cut off")

    assert state.drop_unconfirmed()

    assert state.get(b"a") == b"good"
    assert not state.drop_unconfirmed()
    state.close()


def test_an_empty_value_is_a_value_also_right_after_a_deletion(new_entries: Callable[[], Entries]) -> None:
    state = PartitionState("changelog", 0, new_entries())

    state.restore([Record(0, b"a", b"1", 1), Record(1, b"a", None, 1), Record(2, b"a", b"", 1)])

    assert state.get(b"a") == b""
    state.close()


def test_what_is_confirmed_together_is_kept_together_up_to_the_last_offset(
    new_entries: Callable[[], Entries],
) -> None:
    state = owned(new_entries(), end=5)
    state.confirm(state.write(b"a", b"1"), 5)
    state.confirm(state.write(b"b", b"1"), 6)
    state.confirm(state.write(b"a", None), 7)
    state.write(b"b", b"of an event that is not confirmed")
    assert state.entries.offset == 4

    state.keep_confirmed()

    assert (state.entries.offset, dict(state.entries.items())) == (7, {b"b": b"1"})
    assert dict(state.items()) == {b"b": b"of an event that is not confirmed"}
    state.close()


def test_what_is_confirmed_and_not_kept_yet_outlives_letting_go(new_entries: Callable[[], Entries]) -> None:
    state = owned(new_entries())
    state.confirm(state.write(b"a", b"1"), 0)

    assert not state.drop_unconfirmed()

    assert state.entries.get(b"a") == b"1"
    state.close()


def test_a_gap_between_two_confirmations_shows_another_writer_before_anything_is_kept(ended: list[int]) -> None:
    state = owned(MemoryEntries())
    state.confirm(state.write(b"a", b"1"), 0)

    with pytest.raises(ProcessEndedError):
        state.confirm(state.write(b"b", b"1"), 2)

    assert ended == [ExitCode.CHANGELOG]


def test_all_entries_are_the_confirmed_ones_with_the_newer_writes_over_them(
    new_entries: Callable[[], Entries],
) -> None:
    state = owned(new_entries())
    state.confirm(state.write(b"kept", b"1"), 0)
    state.confirm(state.write(b"changed", b"1"), 1)
    state.confirm(state.write(b"gone", b"1"), 2)
    state.write(b"changed", b"2")
    state.write(b"gone", None)
    state.write(b"new", b"1")

    assert dict(state.items()) == {b"kept": b"1", b"changed": b"2", b"new": b"1"}
    state.close()


def test_a_confirmation_that_is_not_the_next_offset_shows_another_writer_and_ends_the_process(ended: list[int]) -> None:
    state = owned(MemoryEntries(), end=5)
    change = state.write(b"a", b"1")

    with pytest.raises(ProcessEndedError):
        state.confirm(change, 7)

    assert ended == [ExitCode.CHANGELOG]


def test_a_confirmation_after_the_partition_was_let_go_changes_nothing() -> None:
    entries = MemoryEntries()
    state = owned(entries)
    change = state.write(b"a", b"1")
    state.close()

    state.confirm(change, 3)

    assert entries.get(b"a") is None


def test_a_stale_write_is_passed_over_and_its_key_remembered() -> None:
    state = PartitionState("changelog", 0, MemoryEntries())

    state.restore([Record(0, b"a", b"of the owner", 8), Record(1, b"a", b"of one thought dead", 7)])

    assert state.get(b"a") == b"of the owner"
    assert state.doubtful == {b"a"}
    assert state.entries.offset == 1


def test_the_epoch_is_above_the_changelogs_even_when_the_broker_counts_generations_from_one_again() -> None:
    state = PartitionState("changelog", 0, MemoryEntries())
    state.restore([Record(0, b"a", b"1", 57)])

    state.own(1, 1)

    assert state.epoch == 58


def test_records_compacted_away_at_the_end_do_not_count_as_missing(ended: list[int]) -> None:
    state = PartitionState("changelog", 0, MemoryEntries())
    state.restore([Record(0, b"a", b"1", 1)])

    state.own(2, 10)
    state.confirm(state.write(b"a", b"2"), 10)
    state.keep_confirmed()

    assert ended == []
    assert state.entries.offset == 10


async def test_an_older_write_that_is_sent_late_does_not_land_behind_the_newer_one() -> None:
    producer = SlowProducer()
    outbox = Outbox(producer)  # type: ignore[arg-type]
    state = owned(MemoryEntries())
    slow, quick = Work(outbox, 0, "slow", None), Work(outbox, 0, "quick", None)
    slow.add_change(state.write(b"a", b"older"))
    quick.add_change(state.write(b"a", b"newer"))

    await quick.finish()
    await slow.finish()
    await outbox.writes_sent()

    assert [(key, value) for key, value, _ in producer.sent] == [(b"a", b"newer")]
    assert not slow.is_done
    producer.sent[0][2].set_result(Confirmation(0))
    await asyncio.sleep(0)
    assert slow.is_done


@pytest.fixture
def table() -> StateTable:
    table = StateTable("records", partitions=1, changelog_topic="changelog", largest_record_bytes=3000)
    table.states[0] = owned(MemoryEntries())
    return table


@pytest.fixture
def work() -> Work:
    return Work(Outbox(SlowProducer()), 0, "documents[0]@7", None)  # type: ignore[arg-type]


def test_a_table_cannot_be_used_outside_a_handler(table: StateTable) -> None:
    with pytest.raises(NotInHandlerError, match="inside a handler"):
        table.get("a")
    with pytest.raises(NotInHandlerError, match="inside a handler"):
        table["a"] = b"1"


async def test_a_table_reads_what_it_wrote_in_text_keys(table: StateTable, work: Work) -> None:
    current_work.set(work)

    table["Ä"] = b""

    assert "Ä" in table
    assert table["Ä"] == b""
    assert table.get("b", b"nothing") == b"nothing"
    assert table
    assert list(table.items()) == [("Ä", b"")]
    with pytest.raises(KeyError):
        table["b"]


async def test_deleting_what_is_not_there_writes_nothing(table: StateTable, work: Work) -> None:
    current_work.set(work)

    assert table.pop("a") is None
    with pytest.raises(KeyError):
        del table["a"]

    await work.transmit()
    assert work.unconfirmed == set()


async def test_a_value_that_the_changelog_would_refuse_is_refused_before_anything_is_written(
    table: StateTable, work: Work
) -> None:
    current_work.set(work)

    with pytest.raises(RecordTooLargeError, match="table records is over 3000 bytes"):
        table["a"] = b"x" * 3000

    assert "a" not in table


async def test_a_table_takes_nothing_from_a_work_that_was_cut_off_or_has_returned(
    table: StateTable, work: Work
) -> None:
    current_work.set(work)
    await work.finish()
    with pytest.raises(NotInHandlerError, match="has returned"):
        table["a"] = b"1"

    work.cut_off()

    with pytest.raises(Abandoned):
        table["a"] = b"1"
    with pytest.raises(Abandoned):
        work.send("out", key=b"a")


async def test_outputs_are_sent_in_their_order_and_writes_only_when_those_are_confirmed(table: StateTable) -> None:
    producer = SlowProducer()
    work = Work(Outbox(producer), 0, "documents[0]@7", None)  # type: ignore[arg-type]
    current_work.set(work)
    work.send("out", key=b"first")
    table["written"] = b"1"
    sending = work.send("out", key=b"second")
    work.send("out", key=b"third")

    waiting = asyncio.ensure_future(sending)
    confirming = asyncio.ensure_future(work.confirmed())
    await passes()

    assert [key for key, _, _ in producer.sent] == [b"first", b"second", b"third"]
    assert not waiting.done()
    for number, (_, _, future) in enumerate(producer.sent):
        future.set_result(Confirmation(number))
    assert (await waiting).offset == 1
    await passes()
    assert producer.sent[-1][0] == b"written"
    assert not confirming.done()
    producer.sent[-1][2].set_result(Confirmation(0))
    await confirming


async def test_an_event_writes_only_when_the_outputs_of_all_handled_before_it_are_confirmed() -> None:
    """Its writes may rest on theirs: a table must not say "sent" of what a crash can still make unsent."""
    producer = SlowProducer()
    outbox = Outbox(producer)  # type: ignore[arg-type]
    state = owned(MemoryEntries())
    settled: list[str] = []
    earlier = Work(outbox, 0, "earlier", lambda work: settled.append(work.label))
    later = Work(outbox, 0, "later", lambda work: settled.append(work.label))
    earlier.send("out", key=b"command")
    earlier.add_change(state.write(b"record", b"sent"))
    later.add_change(state.write(b"record", b"sent and seen again"))

    await earlier.finish()
    await later.finish()
    await passes()
    assert [key for key, _, _ in producer.sent] == [b"command"]

    producer.sent[0][2].set_result(Confirmation(0))
    await passes()
    assert [value for _, value, _ in producer.sent[1:]] == [b"sent", b"sent and seen again"]
    assert settled == []
    producer.sent[1][2].set_result(Confirmation(0))
    producer.sent[2][2].set_result(Confirmation(1))
    await passes()
    assert settled == ["earlier", "later"]


async def test_what_was_cut_off_keeps_nobody_from_writing() -> None:
    producer = SlowProducer()
    outbox = Outbox(producer)  # type: ignore[arg-type]
    state = owned(MemoryEntries())
    dead, alive = Work(outbox, 0, "dead", None), Work(outbox, 0, "alive", None)
    dead.add_change(state.write(b"a", b"1"))
    dead.send("out", key=b"unconfirmed")
    alive.add_change(state.write(b"b", b"2"))
    await dead.finish()
    await alive.finish()

    dead.cut_off()
    await passes()
    assert [key for key, _, _ in producer.sent] == [b"unconfirmed"]
    producer.sent[0][2].set_result(Confirmation(0))
    await passes()
    assert [key for key, _, _ in producer.sent] == [b"unconfirmed", b"b"]


async def passes() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_record_that_kafka_does_not_take_ends_the_process(ended: list[int]) -> None:
    producer = SlowProducer()
    work = Work(Outbox(producer), 0, "documents[0]@7", None)  # type: ignore[arg-type]
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    work.send("out", key=b"a")
    await work.transmit()

    producer.sent[0][2].set_exception(TimeoutError())
    await asyncio.sleep(0)

    assert ended == [ExitCode.LOG]


async def test_a_large_record_is_refused_before_it_is_added(work: Work) -> None:
    with pytest.raises(RecordTooLargeError, match="over 16777216 bytes"):
        work.send("out", key=b"a", value=b"x" * 16 * 1024 * 1024)

    await work.transmit()
    assert work.unconfirmed == set()

"""The waiting room: order within an account, turns between companies, and what a crash leaves."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

import agents.poster.room
from agents.poster.breaker import ACCOUNTS_IN_A_ROW, PROBES_PER_COMMAND, Breaker
from agents.poster.room import Waiting, WaitingRoom
from streams.systems.retry import BackOff
from tests.support.fakes import FakeTable

NOW = datetime(2026, 7, 3, 12, 0, tzinfo=UTC)


def waiting(offset: int, account: str, company: str = "10", *, due_in: float = 0) -> Waiting:
    return Waiting(
        command_id=f"c{offset}", account_id=account, company=company, offset=offset, event_type="PostVoucher",
        traceparent=None, since=NOW, due=NOW + timedelta(seconds=due_in), why="locked",
    )  # fmt: skip


def room_of(*entries: Waiting, table: FakeTable | None = None, most: int = 10) -> WaitingRoom:
    room = WaitingRoom(cast("Any", FakeTable() if table is None else table), most=most)
    for entry in entries:
        room.put(entry, entry.command_id.encode())
    return room


def any_company(_: str) -> bool:
    return True


def turns(room: WaitingRoom, at: datetime) -> list[str]:
    """Who has a turn when each goes out as soon as it has had its own."""
    order = []
    while turn := room.take_turn(any_company, at):
        order.append(turn.command_id)
        room.remove(turn)
    return order


def test_a_few_large_commands_fill_the_room_also_as_the_next_poster_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.poster.room, "MOST_WAITING_BYTES", 1000)
    table, large = FakeTable(), waiting(2, "B")
    room = room_of(waiting(1, "A"), table=table)
    assert not room.is_full
    room.put(large, bytes(1000))
    assert room.is_full

    found = WaitingRoom(cast("Any", table))
    found.load()
    assert (found.is_full, len(found)) == (True, 2)
    found.remove(large)
    assert not found.is_full


def test_the_first_of_an_account_holds_up_those_behind_it_and_nobody_else() -> None:
    room = room_of(waiting(1, "A", due_in=60), waiting(2, "A"), waiting(3, "B"))

    assert turns(room, NOW) == ["c3"]
    assert (room.next_due(any_company, NOW), room.has_account("A"), room.has_account("B")) == (
        NOW + timedelta(seconds=60), True, False,
    )  # fmt: skip
    assert turns(room, NOW + timedelta(seconds=60)) == ["c1", "c2"]


def test_companies_take_turns() -> None:
    many = [waiting(number, f"A{number}") for number in range(4)]
    few = [waiting(10, "B", "20"), waiting(11, "C", "30")]

    assert turns(room_of(*many, *few), NOW) == ["c0", "c10", "c11", "c1", "c2", "c3"]


def test_a_company_that_may_not_be_posted_to_has_no_turn() -> None:
    room = room_of(waiting(1, "A"), waiting(2, "B", "20"))

    turn = room.take_turn(lambda company: company != "10", NOW)
    assert turn is not None
    assert turn.command_id == "c2"
    assert room.next_due(lambda company: company == "30", NOW) is None


def test_what_is_read_from_the_table_is_as_it_was_whatever_the_order_of_its_entries() -> None:
    table = FakeTable()
    room = room_of(waiting(5, "A"), waiting(7, "A"), waiting(6, "B", due_in=9), table=table)
    room.update(waiting(5, "A", due_in=3))
    again = WaitingRoom(cast("Any", FakeTable(dict(reversed(table.items())))))
    again.load()

    assert (len(again), again.has("c7"), again.next_due(any_company, NOW)) == (3, True, NOW + timedelta(seconds=3))
    assert turns(again, NOW + timedelta(seconds=9)) == ["c5", "c7", "c6"]


def test_a_command_without_its_entry_is_cleared_away() -> None:
    table = FakeTable({"command/c1": b"x"})
    WaitingRoom(cast("Any", table)).load()
    assert table == {}


def test_a_room_is_full_at_its_limit() -> None:
    room = room_of(waiting(1, "A"), most=2)
    assert not room.is_full
    room.put(waiting(2, "A"), b"x")
    assert room.is_full


def test_a_clock_that_was_set_back_lets_nobody_wait_for_it() -> None:
    late = waiting(1, "A", due_in=60)
    put_off = waiting(2, "B", due_in=60).model_copy(update={"put_off_at": NOW + timedelta(seconds=1)})
    room, before = room_of(late, put_off), NOW - timedelta(hours=1)

    assert room.next_due(any_company, NOW + timedelta(seconds=2)) == NOW + timedelta(seconds=60)
    assert room.next_due(any_company, before) == before
    head = room.take_turn(any_company, before)
    assert head is not None
    assert room.companions(head, before, 9) == [put_off if head is late else late]


def test_the_breaker_opens_for_different_accounts_only() -> None:
    breaker = Breaker(BackOff(first=1, longest=4, jitter=0), lambda: 1000.0)
    for _ in range(10):
        breaker.unanswered("A", "time-out")
    assert not breaker.is_open

    for number in range(ACCOUNTS_IN_A_ROW - 1):
        breaker.unanswered(f"B{number}", "time-out")
    assert (breaker.is_open, breaker.left) == (True, 1)


def test_probes_come_less_and_less_often_and_some_with_a_new_command_until_one_is_answered() -> None:
    breaker = Breaker(BackOff(first=1, longest=4, jitter=0), lambda: 1000.0)
    for number in range(ACCOUNTS_IN_A_ROW):
        breaker.unanswered(f"A{number}", "503")
    waits, wants = [], []
    for _ in range(PROBES_PER_COMMAND):
        wants.append(breaker.wants_command)
        breaker.unanswered("A0", "503")
        waits.append(breaker.left)

    assert (waits, wants) == ([2, 4, 4, 4], [False, False, False, True])
    breaker.answered()
    assert (breaker.is_open, breaker.wants_command) == (False, False)

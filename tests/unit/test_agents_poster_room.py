"""The waiting room: order within an account, turns between companies, and what a crash leaves."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis.strategies import DataObject, booleans, data, integers, sampled_from

import agents.poster.room
from agents.poster.breaker import ACCOUNTS_IN_A_ROW, PROBES_PER_COMMAND, Breaker
from agents.poster.room import Waiting, WaitingRoom
from streams.systems.retry import BackOff
from tests.support.fakes import FakeTable

NOW = datetime(2026, 7, 3, 12, 0, tzinfo=UTC)


class Clocks:
    """What people are told, and what nobody sets."""

    def __init__(self) -> None:
        self.told, self.steady = NOW, 1000.0

    def pass_by(self, seconds: float) -> None:
        self.told += timedelta(seconds=seconds)
        self.steady += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def waiting(offset: int, account: str, company: str = "10", *, due_in: float = 0) -> Waiting:
    return Waiting(
        command_id=f"c{offset}", account_id=account, company=company, offset=offset, event_type="PostVoucher",
        traceparent=None, since=NOW, due=NOW + timedelta(seconds=due_in), why="locked",
    )  # fmt: skip


def room_of(clocks: Clocks, *entries: Waiting, table: FakeTable | None = None, most: int = 10) -> WaitingRoom:
    kept = cast("Any", FakeTable() if table is None else table)
    room = WaitingRoom(kept, clock=lambda: clocks.told, steady=lambda: clocks.steady, most=most)
    for entry in entries:
        room.put(entry, entry.command_id.encode())
    return room


def found_by_the_next(clocks: Clocks, table: FakeTable) -> WaitingRoom:
    room = room_of(clocks, table=table)
    room.load()
    return room


def any_company(_: str) -> bool:
    return True


def turns(room: WaitingRoom) -> list[str]:
    """Who has a turn when each goes out as soon as it has had its own."""
    order = []
    while turn := room.take_turn(any_company):
        order.append(turn.command_id)
        room.remove(turn)
    return order


def test_a_few_large_commands_fill_the_room_also_as_the_next_poster_finds_it(
    clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.poster.room, "MOST_WAITING_BYTES", 1000)
    table, large = FakeTable(), waiting(2, "B")
    room = room_of(clocks, waiting(1, "A"), table=table)
    assert not room.is_full
    room.put(large, bytes(1000))
    assert room.is_full

    found = found_by_the_next(clocks, table)
    assert (found.is_full, len(found)) == (True, 2)
    found.remove(large)
    assert not found.is_full


def test_the_first_of_an_account_holds_up_those_behind_it_and_nobody_else(clocks: Clocks) -> None:
    room = room_of(clocks, waiting(1, "A", due_in=60), waiting(2, "A"), waiting(3, "B"))

    assert turns(room) == ["c3"]
    assert (room.seconds_until_due(any_company), room.has_account("A"), room.has_account("B")) == (60, True, False)
    clocks.pass_by(60)
    assert turns(room) == ["c1", "c2"]


def test_companies_take_turns(clocks: Clocks) -> None:
    many = [waiting(number, f"A{number}") for number in range(4)]
    few = [waiting(10, "B", "20"), waiting(11, "C", "30")]

    assert turns(room_of(clocks, *many, *few)) == ["c0", "c10", "c11", "c1", "c2", "c3"]


def test_a_company_that_may_not_be_posted_to_has_no_turn(clocks: Clocks) -> None:
    room = room_of(clocks, waiting(1, "A"), waiting(2, "B", "20"))

    turn = room.take_turn(lambda company: company != "10")
    assert turn is not None
    assert turn.command_id == "c2"
    assert room.seconds_until_due(lambda company: company == "30") is None


def test_whoever_is_due_first_has_a_turn_also_before_it_is_due_if_somebody_must(clocks: Clocks) -> None:
    room = room_of(clocks, waiting(1, "A", due_in=9), waiting(2, "B", due_in=3))

    assert room.take_turn(any_company) is None
    turn = room.take_turn(any_company, also_early=True)
    assert turn is not None
    assert turn.command_id == "c2"


def test_those_of_a_company_that_are_due_go_together_one_of_each_account(clocks: Clocks) -> None:
    room = room_of(
        clocks, waiting(1, "A"), waiting(2, "A"), waiting(3, "B"), waiting(4, "C", due_in=1), waiting(5, "D"),
        waiting(6, "E"), waiting(7, "F", "20"),
    )  # fmt: skip
    head = room.take_turn(any_company)
    assert head is not None

    assert [one.command_id for one in (head, *room.companions(head, 2))] == ["c1", "c3", "c5"]
    assert [one.command_id for one in room.companions(head, 9)] == ["c3", "c5", "c6"]


def test_what_is_read_from_the_table_is_as_it_was_whatever_the_order_of_its_entries(clocks: Clocks) -> None:
    table = FakeTable()
    room = room_of(clocks, waiting(5, "A"), waiting(7, "A"), waiting(6, "B", due_in=9), table=table)
    room.update(waiting(5, "A", due_in=3))
    again = found_by_the_next(clocks, FakeTable(dict(reversed(table.items()))))

    assert (len(again), again.has("c7"), again.seconds_until_due(any_company)) == (3, True, 3)
    clocks.pass_by(9)
    assert turns(again) == ["c5", "c7", "c6"]


def test_a_command_without_its_entry_is_cleared_away(clocks: Clocks) -> None:
    table = FakeTable({"command/c1": b"x"})
    found_by_the_next(clocks, table)
    assert table == {}


def test_a_room_is_full_at_its_limit(clocks: Clocks) -> None:
    room = room_of(clocks, waiting(1, "A"), most=2)
    assert not room.is_full
    room.put(waiting(2, "A"), b"x")
    assert room.is_full


def test_nobody_waits_longer_for_a_clock_that_was_set_back(clocks: Clocks) -> None:
    table = FakeTable()
    clocks.pass_by(20)
    put_off = waiting(1, "A", due_in=60).model_copy(update={"put_off_at": clocks.told})
    room = room_of(clocks, put_off, table=table)
    clocks.told -= timedelta(hours=1)

    assert room.seconds_until_due(any_company) == 40
    clocks.steady += 40
    assert room.seconds_until_due(any_company) == 0
    assert found_by_the_next(clocks, table).seconds_until_due(any_company) == 40  # as long as it was put off for


@given(data())
def test_whatever_comes_and_goes_each_account_keeps_its_order_and_everybody_has_a_turn(draw: DataObject) -> None:
    clocks, table = Clocks(), FakeTable()
    room, gone, there = room_of(clocks, table=table, most=1000), list[Waiting](), dict[str, Waiting]()
    for offset in range(draw.draw(integers(1, 25))):
        entry = waiting(
            offset,
            draw.draw(sampled_from("ABCDE")),
            draw.draw(sampled_from(["10", "20"])),
            due_in=draw.draw(integers(0, 9)),
        )
        room.put(entry, b"x")
        there[entry.command_id] = entry
        clocks.pass_by(draw.draw(integers(0, 3)))
        if draw.draw(booleans()):
            room = found_by_the_next(clocks, table)
        if turn := room.take_turn(any_company, also_early=draw.draw(booleans())):
            first = min(one.offset for one in there.values() if one.account_id == turn.account_id)
            assert turn.offset == first
            later = clocks.told + timedelta(seconds=draw.draw(integers(1, 9)))
            for one in (turn, *room.companions(turn, 3)):
                if draw.draw(booleans()):
                    room.update(one.model_copy(update={"due": later, "put_off_at": clocks.told}))
                else:
                    room.remove(there.pop(one.command_id))
                    gone.append(one)
    clocks.pass_by(100)
    gone += [there.pop(name) for name in turns(room)]

    assert there == {}
    assert (len(room), table) == (0, {})
    for account in "ABCDE":
        offsets = [one.offset for one in gone if one.account_id == account]
        assert offsets == sorted(offsets)


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


def test_those_of_a_company_are_counted_also_after_a_crash(clocks: Clocks) -> None:
    table = FakeTable()
    room = room_of(clocks, waiting(1, "a"), waiting(2, "a"), waiting(3, "b", "20"), table=table)
    room.remove(waiting(1, "a"))

    counts = [(one.count(any_company), one.count(lambda company: company == "10")) for one in
              (room, found_by_the_next(clocks, table))]  # fmt: skip
    assert counts == [(2, 1), (2, 1)]

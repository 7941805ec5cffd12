"""The waiting room: commands that wait beside the road, in a table, so that a crash forgets none.

Those of one Zuora account stay in their order; of the accounts whose time has come, companies take turns. In memory is
only who waits, until when, and in which order; the rest is in the table.
"""

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agents.poster.state import written
from agents.runtime import StateTable
from schemas.base import Model, Time
from schemas.topics import POSTING_PACE, WAITING_ENTRY

MOST_WAITING = 100_000
"""Commands; when as many wait, the poster stops reading. That is the bill run of a company that is paused."""
MOST_WAITING_BYTES = 256 * 2**20
"""Of commands that wait, likewise, for where tables are in memory: at 2 kB each those of 100,000 have 200 MB, but those
of invoices with thousands of items a megabyte each."""

_COMMAND = "command/"


class Tries(Model):
    """How often a command was tried in vain, by what came of it; see agents.poster.decision.Standing."""

    stale: int = 0
    busy: int = 0
    database: int = 0
    looks: int = 0
    troubles: int = 0
    """Reads that were not answered."""


class Waiting(Model):
    """One command that waits; the command itself is kept beside it, as it came."""

    command_id: str
    account_id: str
    company: str
    offset: int
    """Of the command in its topic: its place in the order."""
    event_type: str
    traceparent: str | None
    since: Time
    due: Time
    """Not before then it is tried again."""
    put_off_at: Time | None = None
    """When `due` was set; None if it has not been tried yet."""
    why: str
    tries: Tries = Tries()
    told_uncertain: Time | None = None
    """When the POST was sent that the bookkeeper was told of as uncertain."""
    doubted_seconds: float = 0.0
    """How long ago that had been at least when this was written; see agents.poster.doubts."""

    def seconds_left(self, now: datetime) -> float:
        """Return in how many seconds it is tried again. If the clock was set back it is no longer than it was then."""
        asked = (self.due - (self.put_off_at or self.since)).total_seconds()
        return max(min((self.due - now).total_seconds(), asked), 0.0)


@dataclass(slots=True, eq=False)
class _Place:
    """What is in memory of one that waits."""

    command_id: str
    account_id: str
    company: str
    offset: int
    due: float
    """By the clock that nobody sets."""
    size: int = 0
    """Bytes of the command."""


class WaitingRoom:
    """Who waits, by account. Everything but the questions about time must be asked inside a handler."""

    def __init__(
        self,
        table: StateTable,
        *,
        clock: Callable[[], datetime],
        steady: Callable[[], float],
        most: int = MOST_WAITING,
    ) -> None:
        self._table = table
        self._clock = clock
        self._steady = steady
        self._most = most
        self._accounts: dict[str, list[_Place]] = {}
        self._places: dict[str, _Place] = {}
        self._lines: dict[str, list[tuple[float, int, str]]] = {}
        """Of each company a heap of the first of its accounts: due, offset, command id. What has changed since stays in
        it until it comes up; then it is not `_is_in_line` any more."""
        self._companies: Counter[str] = Counter()
        """How many wait of each."""
        self._bytes = 0
        self._served: dict[str, int] = {}
        self._turns = 0
        self.is_loaded = False

    def __len__(self) -> int:
        return len(self._places)

    @property
    def command_ids(self) -> list[str]:
        """Who waits, in no order."""
        return list(self._places)

    @property
    def is_full(self) -> bool:
        """Whether no further command may come in."""
        return len(self) >= self._most or self._bytes >= MOST_WAITING_BYTES

    def load(self) -> None:
        """Read the table anew; first of all, and after anything that was broken off."""
        self.forget()
        sizes: dict[str, int] = {}
        for key, value in self._table.items():
            if key.startswith(WAITING_ENTRY):
                self._enter(Waiting.model_validate_json(value))
            elif key != POSTING_PACE:
                sizes[key.removeprefix(_COMMAND)] = len(value)
        for command_id, size in sizes.items():
            if self.has(command_id):
                self._weigh(command_id, size)
            else:  # a crash came between the two writes
                del self._table[_COMMAND + command_id]
        self.is_loaded = True

    def forget(self) -> None:
        """Forget what is in memory: the table may say something else."""
        self._accounts.clear()
        self._places.clear()
        self._lines.clear()
        self._companies.clear()
        self._bytes = 0
        self.is_loaded = False

    def has(self, command_id: str) -> bool:
        """Tell whether a command waits."""
        return command_id in self._places

    def has_account(self, account_id: str) -> bool:
        """Tell whether a command of an account waits: later ones must follow it."""
        return account_id in self._accounts

    def count(self, is_meant: Callable[[str], bool]) -> int:
        """Return how many commands wait of the companies meant."""
        return sum(many for company, many in self._companies.items() if is_meant(company))

    def put(self, entry: Waiting, command: bytes) -> None:
        """Let a command wait, behind those of its account."""
        self._table[_COMMAND + entry.command_id] = command
        self._table[WAITING_ENTRY + entry.command_id] = written(entry)
        self._enter(entry)
        self._weigh(entry.command_id, len(command))

    def update(self, entry: Waiting) -> None:
        """Keep what has changed about one that waits already."""
        self._table[WAITING_ENTRY + entry.command_id] = written(entry)
        place = self._places[entry.command_id]
        place.due = self._due(entry)
        self._line_up(self._accounts[place.account_id])

    def remove(self, entry: Waiting) -> None:
        """Let one go; the next of its account comes to the front."""
        del self._table[WAITING_ENTRY + entry.command_id]
        del self._table[_COMMAND + entry.command_id]
        place = self._places.pop(entry.command_id)
        self._companies[place.company] -= 1
        self._bytes -= place.size
        queue = self._accounts[place.account_id]
        del queue[queue.index(place, bisect_left(queue, place.offset, key=_offset))]
        if queue:
            self._line_up(queue)
        else:
            del self._accounts[place.account_id]

    def command_of(self, entry: Waiting) -> bytes:
        """Return the command as it came."""
        return self._table[_COMMAND + entry.command_id]

    def seconds_until_due(self, may: Callable[[str], bool]) -> float | None:
        """Return in how many seconds the first is due of the companies that may be posted to; None if none waits."""
        heads = self._heads(may)
        return max(min(place.due for place in heads) - self._steady(), 0.0) if heads else None

    def take_turn(self, may: Callable[[str], bool], *, also_early: bool = False) -> Waiting | None:
        """Return whose turn it is: due, of the company longest not served; None if nobody's.

        With `also_early` whoever has waited longest for a try, due or not.
        """
        now = self._steady()
        heads = [place for place in self._heads(may) if also_early or place.due <= now]
        if not heads:
            return None
        turn = min(heads, key=lambda place: (self._served.get(place.company, 0), place.due, place.offset))
        self._turns += 1
        self._served[turn.company] = self._turns
        return self._entry(turn)

    def companions(self, head: Waiting, most: int) -> list[Waiting]:
        """Return others of the same company that are due and may go with it: one of each account, at most so many."""
        now, line, seen = self._steady(), self._lines[head.company], dict[str, tuple[float, int, str]]()
        while line and line[0][0] <= now and len(seen) <= most:
            first = heapq.heappop(line)
            if self._is_in_line(first):
                seen[first[2]] = first
        for one in seen.values():
            heapq.heappush(line, one)
        seen.pop(head.command_id, None)
        return [self._entry(self._places[command_id]) for command_id in list(seen)[:most]]

    def _heads(self, may: Callable[[str], bool]) -> list[_Place]:
        """Return who is first of each company that may be posted to."""
        return [place for company in list(self._lines) if may(company) and (place := self._first(company))]

    def _first(self, company: str) -> _Place | None:
        """Return who is first in a company's line, having dropped what has changed."""
        line = self._lines[company]
        while line and not self._is_in_line(line[0]):
            heapq.heappop(line)
        if not line:
            del self._lines[company]
            return None
        return self._places[line[0][2]]

    def _is_in_line(self, one: tuple[float, int, str]) -> bool:
        place = self._places.get(one[2])
        return place is not None and place.due == one[0] and self._accounts[place.account_id][0] is place

    def _line_up(self, queue: list[_Place]) -> None:
        """Put the first of an account into its company's line."""
        place = queue[0]
        heapq.heappush(self._lines.setdefault(place.company, []), (place.due, place.offset, place.command_id))

    def _entry(self, place: _Place) -> Waiting:
        return Waiting.model_validate_json(self._table[WAITING_ENTRY + place.command_id])

    def _due(self, entry: Waiting) -> float:
        return self._steady() + entry.seconds_left(self._clock())

    def _enter(self, entry: Waiting) -> None:
        place = _Place(entry.command_id, entry.account_id, entry.company, entry.offset, self._due(entry))
        queue = self._accounts.setdefault(entry.account_id, [])
        insort(queue, place, key=_offset)
        self._places[entry.command_id] = place
        self._companies[entry.company] += 1
        if queue[0] is place:
            self._line_up(queue)

    def _weigh(self, command_id: str, size: int) -> None:
        self._places[command_id].size = size
        self._bytes += size


def _offset(place: _Place) -> int:
    return place.offset

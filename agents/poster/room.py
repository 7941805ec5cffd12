"""The waiting room: commands in trouble wait here beside the road, in a table, so that a crash forgets none.

Those of one Zuora account stay in their order; of the accounts whose time has come, companies take turns.
"""

from bisect import insort
from collections.abc import Callable, Iterator
from datetime import datetime

from agents.poster.state import written
from agents.runtime import StateTable
from schemas.base import Model, Time
from schemas.topics import POSTING_PACE, WAITING_ENTRY

MOST_WAITING = 5_000
"""Commands; when as many wait, the poster stops reading. At 2 kB each that is 10 MB of memory."""
MOST_WAITING_BYTES = 64 * 2**20
"""Of commands that wait, likewise: those of invoices with thousands of items have a megabyte each."""

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

    def due_at(self, now: datetime) -> datetime:
        """Return when it is tried again. A clock that was set back since it was put off says nothing: at once then."""
        return now if now < (self.put_off_at or self.since) else self.due


class WaitingRoom:
    """Who waits, by account. Everything but the questions about time must be asked inside a handler."""

    def __init__(self, table: StateTable, *, most: int = MOST_WAITING) -> None:
        self._table = table
        self._most = most
        self._accounts: dict[str, list[Waiting]] = {}
        self._commands: dict[str, int] = {}
        """Who waits, and how many bytes the command has."""
        self._bytes = 0
        self._served: dict[str, int] = {}
        self._turns = 0
        self.is_loaded = False

    def __len__(self) -> int:
        return len(self._commands)

    @property
    def is_full(self) -> bool:
        """Whether no further command may come in."""
        return len(self) >= self._most or self._bytes >= MOST_WAITING_BYTES

    def load(self) -> None:
        """Read the table anew; first of all, and after anything that was broken off."""
        self.forget()
        entries, kept = [], {}
        for key, value in self._table.items():
            if key.startswith(WAITING_ENTRY):
                entries.append(Waiting.model_validate_json(value))
            elif key != POSTING_PACE:
                kept[key.removeprefix(_COMMAND)] = len(value)
        for entry in entries:
            self._enter(entry, kept.pop(entry.command_id, 0))
        for command_id in kept:  # a crash came between the two writes
            del self._table[_COMMAND + command_id]
        self.is_loaded = True

    def forget(self) -> None:
        """Forget what is in memory: the table may say something else."""
        self._accounts.clear()
        self._commands.clear()
        self._bytes = 0
        self.is_loaded = False

    def has(self, command_id: str) -> bool:
        """Tell whether a command waits."""
        return command_id in self._commands

    def has_account(self, account_id: str) -> bool:
        """Tell whether a command of an account waits: later ones must follow it."""
        return account_id in self._accounts

    def put(self, entry: Waiting, command: bytes) -> None:
        """Let a command wait, behind those of its account."""
        self._table[_COMMAND + entry.command_id] = command
        self._table[WAITING_ENTRY + entry.command_id] = written(entry)
        self._enter(entry, len(command))

    def update(self, entry: Waiting) -> None:
        """Keep what has changed about one that waits already."""
        self._table[WAITING_ENTRY + entry.command_id] = written(entry)
        queue = self._accounts[entry.account_id]
        queue[[one.command_id for one in queue].index(entry.command_id)] = entry

    def remove(self, entry: Waiting) -> None:
        """Let one go; the next of its account comes to the front."""
        del self._table[WAITING_ENTRY + entry.command_id]
        del self._table[_COMMAND + entry.command_id]
        self._bytes -= self._commands.pop(entry.command_id, 0)
        rest = [one for one in self._accounts[entry.account_id] if one.command_id != entry.command_id]
        if rest:
            self._accounts[entry.account_id] = rest
        else:
            del self._accounts[entry.account_id]

    def command_of(self, entry: Waiting) -> bytes:
        """Return the command as it came."""
        return self._table[_COMMAND + entry.command_id]

    def next_due(self, may: Callable[[str], bool], now: datetime) -> datetime | None:
        """Return when the first is due of the companies that may be posted to; None if none waits."""
        return min((head.due_at(now) for head in self._heads(may)), default=None)

    def take_turn(self, may: Callable[[str], bool], until: datetime | None = None) -> Waiting | None:
        """Return whose turn it is: due by `until`, of the company longest not served; None if nobody's.

        Without `until` whoever has waited longest for a try, due or not.
        """
        heads = [head for head in self._heads(may) if until is None or head.due_at(until) <= until]
        if not heads:
            return None
        turn = min(heads, key=lambda head: (self._served.get(head.company, 0), head.due, head.offset))
        self._turns += 1
        self._served[turn.company] = self._turns
        return turn

    def companions(self, head: Waiting, until: datetime, most: int) -> list[Waiting]:
        """Return others of the same company that are due and may go with it: one of each account."""
        others = (one for one in self._heads(lambda company: company == head.company) if one is not head)
        due = (one for one in others if one.due_at(until) <= until)
        return sorted(due, key=lambda one: (one.due, one.offset))[:most]

    def _heads(self, may: Callable[[str], bool]) -> Iterator[Waiting]:
        return (queue[0] for queue in self._accounts.values() if may(queue[0].company))

    def _enter(self, entry: Waiting, size: int) -> None:
        insort(self._accounts.setdefault(entry.account_id, []), entry, key=lambda one: one.offset)
        self._commands[entry.command_id] = size
        self._bytes += size

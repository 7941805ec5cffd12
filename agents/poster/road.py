"""The road: commands that were read and not begun yet, a bounded way ahead, so that companies can take turns.

Commands have one partition, in which a company's bill run of tens of thousands may stand before the ten of another.
What is read ahead is carried a change set at a time, by turns; commands of one Zuora account keep their order, also
where they are of different companies.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from agents.runtime import Event, Work
from schemas.envelope import decode_any
from schemas.errors import UnreadableError
from schemas.vouchers import PostVoucher, ReverseVoucher
from streams.accounting.commands import check_command
from streams.log.messages import trace_text
from streams.systems.ifs.voucher_json import Command

READ_AHEAD = 40_000
"""Commands, and therefore also how many behind the first of a company another one's are seen and get their turn: a bill
run is as large."""
READ_AHEAD_BYTES = 96 * 2**20
"""Of commands read ahead, at 2 kB each what those have; those of invoices with thousands of items have a megabyte."""


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """A command that was read, by its event, and the work that is open for it.

    As it came: decoded it would take three times the memory.
    """

    command_id: str
    account_id: str
    company: str
    event: Event
    work: Work

    @property
    def command(self) -> Command:
        """The command, decoded each time; that it can be carried out was seen when it was read."""
        return decode_command(self.event.headers, self.event.value)

    @property
    def traceparent(self) -> str | None:
        """The trace that what follows carries on."""
        return trace_text(self.event.headers)


def read_command(event: Event) -> Command:
    """Return the command in an event.

    Raises:
        UnreadableError: it is none, or one that cannot be carried out.

    """
    command = decode_command(event.headers, event.value)
    check_command(command)
    return command


def decode_command(headers: dict[str, bytes], value: bytes | None) -> Command:
    """Return the command in a record, as it is.

    Raises:
        UnreadableError: it is none.

    """
    command = decode_any(headers, value)
    if not isinstance(command, PostVoucher | ReverseVoucher):
        raise UnreadableError(f"{type(command).__name__} is no voucher command")
    return command


class Road:
    """What was read ahead, by company, each in the order of the log."""

    def __init__(self) -> None:
        self._companies: dict[str, deque[Ahead]] = {}
        self._accounts: dict[str, deque[Ahead]] = {}
        self._served: dict[str, int] = {}
        self._turns = 0

    def __bool__(self) -> bool:
        return bool(self._companies)

    def add(self, one: Ahead) -> None:
        """Put a command behind all others."""
        self._companies.setdefault(one.company, deque()).append(one)
        self._accounts.setdefault(one.account_id, deque()).append(one)

    def clear(self) -> None:
        """Forget all."""
        self._companies.clear()
        self._accounts.clear()

    def forget_abandoned(self) -> None:
        """Forget all if their partition was taken away: who has it now reads them again."""
        lanes = self._companies.values()
        if any(not one.work.is_current for lane in lanes for one in islice(lane, 1)):
            self.clear()

    def turn(self, most: int) -> list[Ahead]:
        """Return the commands whose turn it is, in order: at most so many, of the company longest not served.

        One may go that no earlier one of its account, of another company, is before.
        """
        company = self._next_company()
        self._turns += 1
        self._served[company] = self._turns
        return list(islice(self._in_line(company), most))

    def remove(self, one: Ahead) -> None:
        """Take a command off the road: it came to its outcome, or waits beside the road."""
        for lanes, key in ((self._companies, one.company), (self._accounts, one.account_id)):
            lane = lanes[key]
            if lane[0] is one:
                lane.popleft()
            else:
                lane.remove(one)
            if not lane:
                del lanes[key]

    def _next_company(self) -> str:
        may_go = (company for company in self._companies if next(self._in_line(company), None))
        return min(may_go, key=lambda company: self._served.get(company, 0))

    def _in_line(self, company: str) -> Iterator[Ahead]:
        passed: dict[str, int] = {}
        for one in self._companies[company]:
            account = one.account_id
            number = passed.get(account, 0)
            if self._accounts[account][number] is one:
                passed[account] = number + 1
                yield one

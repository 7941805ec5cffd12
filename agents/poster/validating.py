"""Asking, before a POST, what IFS Cloud would refuse, so that it is told in words that name what must be mended."""

from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import TypeVar

import structlog

from agents.poster.trouble import NotPossibleError
from schemas.errors import FarSideError
from schemas.mappings import CodePart
from streams.systems.ifs.accounting_rules import AccountingRules
from streams.systems.ifs.kept import Kept
from streams.systems.ifs.validation import (
    ACCOUNTS,
    PERIODS,
    VOUCHER_TYPES,
    Facts,
    Problem,
    Validity,
    accounts_of,
    code_part_subject,
    code_values_of,
    problems,
)
from streams.systems.ifs.voucher_json import Command

log = structlog.get_logger(__name__)
T = TypeVar("T")

MOST_TOLD = 5
"""Problems told in one rejection; more would hide the first."""
ALIKE_SECONDS = 5.0
"""How long what was found possible for one command is for others that name the same. A bill run is thousands of them,
and to check each takes some 0.2 ms."""


class Validating:
    """Reads what a command names and demands that nothing of it is wrong. What cannot be read is left to IFS.

    It costs a request for all accounts, one for each code part, one for the voucher type and two for the period; what
    exists is kept for minutes, so most commands cost none.
    """

    def __init__(self, rules: AccountingRules) -> None:
        self._rules = rules
        self._unreadable: Kept[str] = Kept()
        self._told: set[str] = set()
        self._possible: Kept[str] = Kept(ALIKE_SECONDS)

    async def demand_possible(self, command: Command) -> None:
        """Return if IFS would take the command as far as can be told.

        Raises:
            NotPossibleError: it would not; what was kept has been read anew to be sure.

        """
        alike = _named_by(command)
        if self._possible.get(alike):
            return
        found = problems(command, await self._facts(command, fresh=()))
        if found:
            about = {problem.about for problem in found}
            found = problems(command, await self._facts(command, fresh=about))
        if found:
            raise NotPossibleError(found[0].explanation, _told(found))
        self._possible.put(alike, command.company)

    async def _facts(self, command: Command, *, fresh: Collection[str]) -> Facts:
        rules, rows, day = self._rules, command.rows, command.voucher_date
        company, kind = command.company, command.voucher_type
        accounts = accounts_of(rows)

        async def read(what: str, call: Callable[[], Awaitable[T]]) -> T | None:
            return await self._read(f"{what} of company {company}", call)

        code_values: dict[CodePart, dict[str, Validity]] = {}
        for part, values in code_values_of(rows).items():
            about = code_part_subject(part)
            found = await read(about, self._reading(company, part, values, fresh=about in fresh))
            if found is not None:
                code_values[part] = found
        return Facts(
            accounts=await read(ACCOUNTS, lambda: rules.accounts(company, accounts, fresh=ACCOUNTS in fresh)),
            code_values=code_values,
            voucher_types=await read(
                VOUCHER_TYPES, lambda: rules.voucher_types(company, [kind], fresh=VOUCHER_TYPES in fresh)
            ),
            periods=await read(PERIODS, lambda: rules.periods(company, day, fresh=PERIODS in fresh)),
        )

    def _reading(
        self, company: str, part: CodePart, values: list[str], *, fresh: bool
    ) -> Callable[[], Awaitable[dict[str, Validity]]]:
        return lambda: self._rules.code_values(company, part, values, fresh=fresh)

    async def _read(self, what: str, call: Callable[[], Awaitable[T]]) -> T | None:
        """Return what IFS has; None where it does not tell, which is asked again only after some minutes."""
        if self._unreadable.get(what) is not None:
            return None
        try:
            read = await call()
        except (FarSideError, KeyError, TypeError, ValueError) as error:
            self._unreadable.put(what, str(error))
            if what not in self._told:
                self._told.add(what)
                log.warning("vouchers are not checked before IFS is asked to take them", what=what, error=str(error))
            return None
        self._told.discard(what)
        return read


def _named_by(command: Command) -> Hashable:
    """Return all of a command that its problems can follow from."""
    rows = frozenset((row.account, *row.code_parts.items()) for row in command.rows)
    return command.company, command.voucher_type, command.user_group, command.voucher_date, rows


def _told(found: list[Problem]) -> str:
    words = "; ".join(problem.words for problem in found[:MOST_TOLD])
    more = len(found) - MOST_TOLD
    return f"{words}; and {more} more" if more > 0 else words

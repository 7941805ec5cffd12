"""Would IFS Cloud take this voucher? Decided from its basic data before a POST, in words for a person in finance. Pure.

Only what IFS surely refuses is a problem. What is not known (a set that may not be read) is no problem: IFS decides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from schemas.mappings import CodePart
from schemas.vouchers import VoucherRow
from streams.systems.ifs.refusals import (
    ACCOUNT_NOT_ALLOWED,
    ACCOUNT_NOT_VALID,
    CODE_PART,
    PERIOD_NOT_OPEN,
    VOUCHER_TYPE,
    YEAR_MISSING,
    Explanation,
)
from streams.systems.ifs.voucher_json import Command

MANUAL_FUNCTION_GROUPS = ("M", "K", "Q")
"""Function groups of voucher types that IFS takes in manual entry (ONLYMANUAL)."""
ACCOUNTS, VOUCHER_TYPES, PERIODS = "accounts", "voucher types", "periods"
"""What problems are about; code parts are `code part B` and so on."""


@dataclass(frozen=True, slots=True)
class Validity:
    """First and last day, ISO dates; empty where there is no bound."""

    first: str = ""
    last: str = ""

    def __contains__(self, day: date) -> bool:
        """Tell whether it is valid on a day."""
        return self.first <= day.isoformat() and (not self.last or day.isoformat() <= self.last)

    def __str__(self) -> str:
        """Return both days, for a person."""
        return f"valid {self.first or 'from ever'} to {self.last or 'for ever'}"


@dataclass(frozen=True, slots=True)
class Account:
    """A GL account; a ledger account belongs to a sub-ledger."""

    validity: Validity = Validity()
    is_ledger: bool = False
    demanded: frozenset[str] = frozenset()
    """Letters of the code parts that a row on this account must have."""
    blocked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class VoucherType:
    """A voucher type; `function_group` is None where IFS does not show it."""

    function_group: str | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """An accounting period, and the user groups that it is open for."""

    accounting_year: int
    number: int
    open_groups: frozenset[str]

    def __str__(self) -> str:
        """Return year and number, for a person."""
        return f"{self.accounting_year}-{self.number:02}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What IFS has of what a voucher names. None: not known. A key that is asked for and not there: does not exist."""

    accounts: Mapping[str, Account] | None = None
    code_values: Mapping[CodePart, Mapping[str, Validity]] = field(default_factory=dict)
    """By code part; one that is not there is not known."""
    voucher_types: Mapping[str, VoucherType] | None = None
    periods: Mapping[date, Period] | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that IFS would refuse; `about` is one of the subjects above."""

    about: str
    explanation: Explanation
    words: str


def code_part_subject(part: CodePart) -> str:
    """Return what problems of a code part are about."""
    return f"code part {part}"


def accounts_of(rows: Sequence[VoucherRow]) -> list[str]:
    """Return the accounts that rows name, each once."""
    return list(dict.fromkeys(row.account for row in rows))


def code_values_of(rows: Sequence[VoucherRow]) -> dict[CodePart, list[str]]:
    """Return the values that rows name, by code part, each once."""
    found: dict[CodePart, dict[str, None]] = {}
    for row in rows:
        for part, value in row.code_parts.items():
            found.setdefault(part, {})[value] = None
    return {part: list(values) for part, values in sorted(found.items())}


def problems(command: Command, facts: Facts) -> list[Problem]:
    """Return all that IFS would refuse, accounts first; empty if nothing is known to be wrong."""
    company, day = command.company, command.voucher_date
    found: list[Problem] = []
    if facts.accounts is not None:
        for row in command.rows:
            found += _of_account(row, facts.accounts.get(row.account), company, day)
    for part, values in code_values_of(command.rows).items():
        found += _of_code_values(part, values, facts.code_values.get(part), company, day)
    if facts.voucher_types is not None:
        found += of_voucher_type(company, command.voucher_type, facts.voucher_types.get(command.voucher_type))
    if facts.periods is not None:
        found += of_period(company, command.user_group, day, facts.periods.get(day))
    return list(dict.fromkeys(found))


def of_voucher_type(company: str, name: str, voucher_type: VoucherType | None) -> list[Problem]:
    """Return what is wrong with a voucher type; None is one that does not exist."""
    if voucher_type is None:
        return [Problem(VOUCHER_TYPES, VOUCHER_TYPE, f"voucher type {name} does not exist in company {company}")]
    group = voucher_type.function_group
    if group and group not in MANUAL_FUNCTION_GROUPS:
        words = f"voucher type {name} has function group {group}; manual vouchers need M, K or Q"
        return [Problem(VOUCHER_TYPES, VOUCHER_TYPE, words)]
    return []


def of_period(company: str, user_group: str | None, day: date, period: Period | None) -> list[Problem]:
    """Return what is wrong with the period of a day; None is one that does not exist.

    Without a user group IFS takes the service user's own, which is not known here: any open one will do.
    """
    if period is None:
        return [Problem(PERIODS, YEAR_MISSING, f"no accounting period of company {company} has {day}")]
    if user_group in period.open_groups or (user_group is None and period.open_groups):
        return []
    who = f"user group {user_group}" if user_group else "any user group"
    return [Problem(PERIODS, PERIOD_NOT_OPEN, f"period {period} is not open for {who} in company {company}")]


def _of_account(row: VoucherRow, account: Account | None, company: str, day: date) -> Iterator[Problem]:
    name = row.account
    if account is None:
        yield Problem(ACCOUNTS, ACCOUNT_NOT_VALID, f"account {name} does not exist in company {company}")
        return
    if day not in account.validity:
        yield Problem(ACCOUNTS, ACCOUNT_NOT_VALID, f"account {name} is not valid on {day} ({account.validity})")
    if account.is_ledger:
        words = f"account {name} is a ledger account of company {company}, which takes no manual vouchers"
        yield Problem(ACCOUNTS, ACCOUNT_NOT_ALLOWED, words)
    given = {part for part, value in row.code_parts.items() if value}
    for part in sorted(account.demanded - given):
        yield Problem(ACCOUNTS, CODE_PART, f"account {name} demands code part {part}, and the row has none: {row.text}")
    for part in sorted(account.blocked & given):
        words = f"account {name} takes no code part {part}, and the row has one: {row.text}"
        yield Problem(ACCOUNTS, CODE_PART, words)


def _of_code_values(
    part: CodePart, wanted: Sequence[str], known: Mapping[str, Validity] | None, company: str, day: date
) -> Iterator[Problem]:
    if known is None:
        return
    about = code_part_subject(part)
    for value in wanted:
        if value not in known:
            yield Problem(about, CODE_PART, f"code part {part} has no value {value} in company {company}")
        elif day not in known[value]:
            words = f"value {value} of code part {part} is not valid on {day} ({known[value]})"
            yield Problem(about, CODE_PART, words)

"""A company's accounting rules in IFS Cloud: accounts, code parts, voucher types, periods. Kept some minutes.

Names are those of IFS's Accounting Rules: Account, CodeB, VoucherType, AccountingPeriod, UserGroupPeriod.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar, get_args

from schemas.errors import FarSideError
from schemas.mappings import CodePart
from streams.systems.ifs import odata
from streams.systems.ifs.basics import is_true
from streams.systems.ifs.kept import Kept
from streams.systems.ifs.service import Service
from streams.systems.ifs.validation import Account, Period, Validity, VoucherType

Row = Mapping[str, Any]
T = TypeVar("T")

CLOSED = ("Closed", "FinallyClosed")
"""`PeriodStatus` of periods that take no voucher; a word that is not known here is left to IFS."""


class ProvesNothingError(FarSideError):
    """An answer that shows nothing is no proof that there is nothing."""


@dataclass(frozen=True, slots=True)
class _Days:
    """An accounting period by its days."""

    days: Validity
    accounting_year: int
    number: int
    is_ordinary: bool


def _account(row: Row) -> Account:
    needs = {part: str(row.get(f"ReqCode{part}") or "").upper() for part in get_args(CodePart)}
    return Account(
        _validity(row),
        is_true(row.get("LedgFlag")),
        demanded=frozenset(part for part, need in needs.items() if need == "MANDATORY"),
        blocked=frozenset(part for part, need in needs.items() if need == "BLOCKED"),
    )


def _voucher_type(row: Row) -> VoucherType:
    return VoucherType(row.get("FunctionGroup") or None)


def _validity(row: Row) -> Validity:
    return Validity(_day(row, "ValidFrom"), _day(row, "ValidUntil"))


def _days(row: Row) -> _Days:
    return _Days(
        Validity(_day(row, "DateFrom"), _day(row, "DateUntil")),
        odata.whole(row["AccountingYear"]),
        odata.whole(row["AccountingPeriod"]),
        str(row.get("YearEndPeriod") or "Ordinary").startswith("Ordinary"),
    )


def _day(row: Row, name: str) -> str:
    return str(row.get(name) or "")[:10]


@dataclass(frozen=True, slots=True)
class _Source(Generic[T]):
    """An entity set, the property that names what it holds within a company, and what is made of a row."""

    projection: str
    entity_set: str
    key: str
    read: Callable[[Row], T]

    def __str__(self) -> str:
        return f"{self.projection}.svc/{self.entity_set}"


_ACCOUNTS = _Source("AccountsHandling", "AccountSet", "Account", _account)
_TYPES = _Source("VoucherTypeHandling", "VoucherTypes", "VoucherType", _voucher_type)
_CODE_PARTS = {
    part: _Source(f"Code{part}Handling", f"Code{part}Set", f"Code{part}", _validity) for part in get_args(CodePart)
}
_PERIODS = _Source("UserGroupPerPeriodHandling", "AccountingPeriodSet", "AccountingPeriod", _days)


class AccountingRules:
    """Reads what vouchers name, many in one request.

    What is missing is never remembered. It counts as missing only where the same set shows something else of the
    company: users who may not see rows are answered with an empty list. `fresh` asks IFS in any case.

    All reads raise ForbiddenError, NotFoundError, ProvesNothingError and others where IFS does not tell, and KeyError
    or ValueError where what it tells is not understood.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._kept: Kept[Any] = Kept()
        self._shown: Kept[Row] = Kept()

    async def accounts(self, company: str, numbers: Sequence[str], *, fresh: bool = False) -> dict[str, Account]:
        """Return those of the accounts that exist."""
        return await self._existing(_ACCOUNTS, company, numbers, fresh=fresh)

    async def code_values(
        self, company: str, part: CodePart, values: Sequence[str], *, fresh: bool = False
    ) -> dict[str, Validity]:
        """Return those of a code part's values that exist, with when they are valid."""
        return await self._existing(_CODE_PARTS[part], company, values, fresh=fresh)

    async def voucher_types(self, company: str, names: Sequence[str], *, fresh: bool = False) -> dict[str, VoucherType]:
        """Return those of the voucher types that exist."""
        return await self._existing(_TYPES, company, names, fresh=fresh)

    async def periods(self, company: str, day: date, *, fresh: bool = False) -> dict[date, Period]:
        """Return the period that vouchers of a day go to, by that day; empty where no accounting year has it."""
        around = await self._around(company, day.year, fresh=fresh)
        fitting = [period for period in around if day in period.days]
        if not fitting:
            return {}
        # A year-end period can share its last day with an ordinary one, which is the one vouchers go to.
        period = next((one for one in fitting if one.is_ordinary), fitting[0])
        is_open = await self._open_groups(company, period, fresh=fresh)
        return {day: Period(period.accounting_year, period.number, is_open)}

    async def _existing(self, source: _Source[T], company: str, values: Sequence[str], *, fresh: bool) -> dict[str, T]:
        found: dict[str, T] = {}
        for value in () if fresh else values:
            kept = self._kept.get((source, company, value))
            if kept is not None:
                found[value] = kept
        wanted = [value for value in values if value not in found]
        url = self._service.url(source.projection, source.entity_set)
        for chunk, condition in odata.chunked(url, odata.equal("Company", company), source.key, wanted):
            query = odata.query(filter=condition, top=len(chunk) + 1)
            for row in await self._rows(source, company, query):
                value = str(row.get(source.key))
                if value not in chunk:
                    raise ProvesNothingError(f"{source}: a gateway drops $filter")
                found[value] = self._kept.put((source, company, value), source.read(row))
        if len(found) < len(set(values)):
            await self._demand_any(source, company)
        return found

    async def _around(self, company: str, year: int, *, fresh: bool) -> list[_Days]:
        """Return the periods of a calendar year and of those beside it: accounting years need not begin in January."""
        key = (_PERIODS, company, year)
        kept: list[_Days] | None = None if fresh else self._kept.get(key)
        if kept is not None:
            return kept
        condition = odata.all_of(
            odata.equal("Company", company),
            odata.at_most("DateFrom", date(min(year + 1, date.max.year), 12, 31)),
            odata.at_least("DateUntil", date(max(year - 1, date.min.year), 1, 1)),
        )
        rows = await self._rows(_PERIODS, company, odata.query(filter=condition))
        if not rows:
            await self._demand_any(_PERIODS, company)
            return []
        found: list[_Days] = self._kept.put(key, [_days(row) for row in rows])
        return found

    async def _open_groups(self, company: str, period: _Days, *, fresh: bool) -> frozenset[str]:
        year, number = period.accounting_year, period.number
        key = (_PERIODS, company, year, number)
        kept: frozenset[str] | None = None if fresh else self._kept.get(key)
        if kept is not None:
            return kept
        path = odata.by_key(_PERIODS.entity_set, Company=company, AccountingYear=year, AccountingPeriod=number)
        rows = (await self._service.page(_PERIODS.projection, f"{path}/DetailUserGroups", "")).rows
        is_open = frozenset(str(row["UserGroup"]) for row in rows if row.get("PeriodStatus") not in CLOSED)
        self._kept.put(key, is_open)
        return is_open

    async def _demand_any(self, source: _Source[Any], company: str) -> None:
        """Make sure that the set shows anything of the company at all."""
        if self._shown.get((source, company)) is None:
            rows = await self._rows(source, company, odata.query(filter=odata.equal("Company", company), top=1))
            if not rows:
                raise ProvesNothingError(f"{source} shows nothing of company {company}")
            self._shown.put((source, company), rows[0])

    async def _rows(self, source: _Source[Any], company: str, query: str) -> list[dict[str, Any]]:
        rows = (await self._service.page(source.projection, source.entity_set, query)).rows
        if any(row.get("Company", company) != company for row in rows):
            raise ProvesNothingError(f"{source}: a gateway drops $filter")
        return rows

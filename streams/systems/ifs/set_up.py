"""Is IFS Cloud set up for us? Company, look-ups, voucher type, period: read as the poster would meet them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from schemas.errors import ConnectorError, NotFoundError
from streams.systems.ifs import odata
from streams.systems.ifs.client import IfsClient

MANUAL_FUNCTION_GROUPS = ("M", "K", "Q")
"""Function groups of voucher types that IFS takes in manual entry (ONLYMANUAL)."""
NOBODYS_REFERENCE = "ZUORA-IFS-PING"


class Result(StrEnum):
    """What came of a check."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The tenant does not offer the set that would tell; vouchers may work all the same."""
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, what came of it, and a sentence for the person who must act."""

    check: str
    result: Result
    detail: str
    company: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What vouchers of a company are to be made with."""

    company: str
    voucher_type: str
    user_group: str | None


async def check_company(client: IfsClient, terms: Terms, day: date) -> AsyncIterator[Finding]:
    """Check what vouchers of a company on `day` need; stops after the first finding if it cannot be seen."""
    visible = await _finding("company", terms, _visible(client, terms))
    yield visible
    if visible.result is Result.FAILED:
        return
    checks: dict[str, Callable[[], Awaitable[tuple[Result, str]]]] = {
        "vouchers": lambda: _look_ups(client, terms),
        "general ledger": lambda: _ledger(client, terms),
        "voucher type": lambda: _voucher_type(client, terms),
        "period": lambda: _period(client, terms, day),
    }
    for name, check in checks.items():
        yield await _finding(name, terms, check())


async def _finding(check: str, terms: Terms, told: Awaitable[tuple[Result, str]]) -> Finding:
    try:
        result, detail = await told
    except NotFoundError as error:
        result, detail = Result.UNKNOWN, f"cannot be checked, the tenant does not offer it: {error}"
    except ConnectorError as error:
        result, detail = Result.FAILED, str(error)
    return Finding(check, result, detail, terms.company)


async def _visible(client: IfsClient, terms: Terms) -> tuple[Result, str]:
    try:
        company = await client.basics.company(terms.company, fresh=True)
    except NotFoundError as error:  # the poster needs this set: without it nothing proves that look-ups see anything
        return Result.FAILED, str(error)
    if company is None:
        return Result.FAILED, "does not exist, or the service user may not see it: give it access in IFS"
    if company.parallel_currency:
        return Result.FAILED, f"keeps {company.parallel_currency} as parallel currency, which is not posted to"
    return Result.OK, f"visible, currency {company.currency}"


async def _look_ups(client: IfsClient, terms: Terms) -> tuple[Result, str]:
    held = await client.look_in_hold(terms.company, [NOBODYS_REFERENCE])
    return Result.OK, f"can be looked up, {'tag given' if held.tag else 'no tag given and none required'}"


async def _ledger(client: IfsClient, terms: Terms) -> tuple[Result, str]:
    await client.look_in_ledger(terms.company, NOBODYS_REFERENCE)
    return Result.OK, "can be looked up"


async def _voucher_type(client: IfsClient, terms: Terms) -> tuple[Result, str]:
    condition = odata.all_of(odata.equal("Company", terms.company), odata.equal("VoucherType", terms.voucher_type))
    rows = await _rows(client, "VoucherTypeHandling", "VoucherTypes", odata.query(filter=condition, top=1))
    if not rows:
        return Result.FAILED, f"{terms.voucher_type} does not exist in the company: create it, or name another one"
    group = rows[0].get("FunctionGroup")
    if group and group not in MANUAL_FUNCTION_GROUPS:
        return Result.FAILED, f"{terms.voucher_type} has function group {group}; manual vouchers need M, K or Q"
    return Result.OK, f"{terms.voucher_type} exists"


async def _period(client: IfsClient, terms: Terms, day: date) -> tuple[Result, str]:
    year = odata.by_key("AccountingYearSet", Company=terms.company, AccountingYear=day.year)
    periods = await _rows(client, "AccountingPeriodsHandling", f"{year}/AccountingPeriodDetailArray", "")
    today = [row for row in periods if _within(row, day)]
    if not today:
        return Result.FAILED, f"no accounting period has {day}: create the accounting year"
    # A year-end period can share its last day with an ordinary one, which is the one vouchers go to.
    period = next((row for row in today if str(row.get("YearEndPeriod", "")).startswith("Ordinary")), today[0])
    key = odata.by_key(
        "AccountingPeriodSet",
        Company=terms.company,
        AccountingYear=int(period.get("AccountingYear") or day.year),
        AccountingPeriod=int(period["AccountingPeriod"]),
    )
    groups = await _rows(client, "UserGroupPerPeriodHandling", f"{key}/DetailUserGroups", "")
    return _open_for(groups, terms, f"{period.get('AccountingYear') or day.year}-{int(period['AccountingPeriod']):02}")


def _open_for(groups: list[dict[str, Any]], terms: Terms, period: str) -> tuple[Result, str]:
    ours = [row for row in groups if terms.user_group in (None, row.get("UserGroup"))]
    who = f"user group {terms.user_group}" if terms.user_group else "any user group"
    if any(row.get("PeriodStatus") == "Open" for row in ours):
        return Result.OK, f"{period} is open for {who}"
    return Result.FAILED, f"{period} is not open for {who}: open it in IFS (User Group per Period)"


def _within(row: dict[str, Any], day: date) -> bool:
    return str(row.get("DateFrom", ""))[:10] <= day.isoformat() <= str(row.get("DateUntil", ""))[:10]


async def _rows(client: IfsClient, projection: str, path: str, query: str) -> list[dict[str, Any]]:
    return (await client.service.page(projection, path, query)).rows

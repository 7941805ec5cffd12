"""Is IFS Cloud set up for us? Company, look-ups, voucher type, period: read as the poster would meet them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from schemas.errors import ConnectorError, NotFoundError
from streams.systems.ifs.accounting_rules import ProvesNothingError
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.validation import Problem, of_period, of_voucher_type

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
    except (NotFoundError, ProvesNothingError) as error:
        result, detail = Result.UNKNOWN, f"cannot be checked, the tenant does not offer or show it: {error}"
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
    try:
        await client.posting.demand_offered()
    except NotFoundError as error:
        return Result.FAILED, f"cannot be created, correct ZIFS_IFS__POSTING: {error}"
    held = await client.look_in_hold(terms.company, [NOBODYS_REFERENCE])
    return Result.OK, f"can be looked up, {'tag given' if held.tag else 'no tag given and none required'}"


async def _ledger(client: IfsClient, terms: Terms) -> tuple[Result, str]:
    await client.look_in_ledger(terms.company, NOBODYS_REFERENCE)
    return Result.OK, "can be looked up"


async def _voucher_type(client: IfsClient, terms: Terms) -> tuple[Result, str]:
    name = terms.voucher_type
    found = await client.rules.voucher_types(terms.company, [name], fresh=True)
    return _told(of_voucher_type(terms.company, name, found.get(name)), f"{name} exists")


async def _period(client: IfsClient, terms: Terms, day: date) -> tuple[Result, str]:
    period = (await client.rules.periods(terms.company, day, fresh=True)).get(day)
    who = f"user group {terms.user_group}" if terms.user_group else "any user group"
    return _told(of_period(terms.company, terms.user_group, day, period), f"{period} is open for {who}")


def _told(problems: list[Problem], good: str) -> tuple[Result, str]:
    """Return what the poster, too, would find; its advice is about records, here the words must do."""
    return (Result.FAILED, problems[0].words) if problems else (Result.OK, good)

"""Warnings about accounts that mappings name and IFS Cloud does not have: better told now than by a refusal later."""

from collections.abc import Iterator, Mapping, Sequence

from agents.cli.ifs import ask_ifs
from schemas.errors import ConnectorError, TroubleError, UnauthorizedError
from schemas.mappings import ChartRuleSet
from streams.mapping_csv import MappingLine, MappingSet
from streams.settings import Settings
from streams.systems.ifs.client import IfsClient

CompanyAccount = tuple[str, str]


def account_warnings(settings: Settings, lines: Sequence[MappingLine]) -> list[str]:
    """Return a sentence for each account that IFS Cloud does not have; one alone where it cannot be asked."""
    lines_of: dict[CompanyAccount, list[int]] = {}
    for line in lines:
        for account in _accounts(line.event):
            lines_of.setdefault((line.event.company, account), []).append(line.line)
    if not lines_of:
        return []
    answered = ask_ifs(settings, lambda client: _warnings(client, lines_of))
    if answered.trouble:
        return [f"whether the accounts exist in IFS was not checked: {answered.trouble}"]
    return answered.value or []


async def _warnings(client: IfsClient, lines_of: Mapping[CompanyAccount, Sequence[int]]) -> list[str]:
    warnings: list[str] = []
    for company in sorted({company for company, _ in lines_of}):
        named = sorted(account for owner, account in lines_of if owner == company)
        try:
            known = await client.rules.accounts(company, named)
        except (TroubleError, UnauthorizedError):  # the next company would fare no better
            raise
        except (ConnectorError, KeyError, ValueError) as error:
            warnings.append(f"whether the accounts of company {company} exist in IFS was not checked: {error}")
            continue
        warnings += [
            f"IFS has no account {account} in company {company} ({_lines(lines_of[company, account])})"
            for account in named
            if account not in known
        ]
    return warnings


def _accounts(event: MappingSet) -> Iterator[str]:
    yield event.gl_account
    if isinstance(event, ChartRuleSet) and event.deferred_account:
        yield event.deferred_account


def _lines(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
    return f"line {numbers[0]}{more}"

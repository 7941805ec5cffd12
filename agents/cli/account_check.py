"""Warnings about accounts that mappings name and IFS Cloud does not have: better told now than by a refusal later."""

from collections.abc import Iterator, Sequence

from agents.cli.ifs import ask_ifs
from schemas.mappings import ChartRuleSet
from streams.mapping_csv import MappingLine, MappingSet
from streams.settings import Settings
from streams.systems.ifs.accounts import unknown_accounts
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
    answered = ask_ifs(settings, lambda client: _unknown(client, list(lines_of)))
    if answered.trouble:
        return [f"whether the accounts exist in IFS was not checked: {answered.trouble}"]
    return [
        f"IFS has no account {account} in company {company} ({_lines(lines_of[company, account])}),"
        " or the service user may not see it"
        for company, account in answered.value or []
    ]


async def _unknown(client: IfsClient, wanted: Sequence[CompanyAccount]) -> list[CompanyAccount]:
    unknown: list[CompanyAccount] = []
    for company in sorted({company for company, _ in wanted}):
        accounts = {account for owner, account in wanted if owner == company}
        missing = await unknown_accounts(client.service, company, accounts)
        unknown += [(company, account) for account in sorted(missing)]
    return unknown


def _accounts(event: MappingSet) -> Iterator[str]:
    yield event.gl_account
    if isinstance(event, ChartRuleSet) and event.deferred_account:
        yield event.deferred_account


def _lines(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
    return f"line {numbers[0]}{more}"

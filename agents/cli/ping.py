"""`zuora-ifs ping`: whether all is reachable, the credentials are good, and the companies can be posted to."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import asdict

import click

from agents.cli.output import json_option, print_json, settings_with_kafka
from agents.cli.reading import read_model
from schemas import topics
from schemas.base import DocumentType, utc_now
from schemas.credentials import System
from schemas.errors import ConnectorError, TopicsError
from schemas.mappings import ALL_COMPANIES
from streams.accounting.chart import CompanyTerms, DictChart, posting_rule
from streams.accounting.keys import company_key
from streams.log.topics import admin_client
from streams.settings import Settings
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.service import budget_of, connected, token_source
from streams.systems.ifs.set_up import Finding, Result, Terms, check_company
from streams.systems.zuora.client import zuora_tokens
from streams.vault.current import CurrentCredentials, current_credentials

WHAT_LOWERS_RECEIVABLES = (DocumentType.CREDIT_MEMO, DocumentType.REFUND)


@click.command()
@click.option("--company", "companies", multiple=True, help="Check this company; default: all that are mapped.")
@json_option
def ping(*, companies: tuple[str, ...], as_json: bool) -> None:
    """Say whether Kafka, Zuora and IFS Cloud can be worked with: a line each, exit code 1 on any failure.

    Nothing is changed anywhere.
    """
    settings = settings_with_kafka()
    findings = [asyncio.run(_guarded("Kafka", _kafka(settings)))]
    chart: DictChart | None = None
    known = list(companies)
    if findings[0].result is Result.OK:
        chart, mapped, trouble = _mapped(settings)
        known = known or mapped
        current = asyncio.run(current_credentials(settings))
        findings += trouble or _vault(current)
    else:
        current = CurrentCredentials(settings, dict.fromkeys(System, "without Kafka there is no vault"))
    findings += asyncio.run(_far_sides(current, known, chart))
    _tell(findings, as_json=as_json)
    sys.exit(1 if any(finding.result is Result.FAILED for finding in findings) else 0)


def _mapped(settings: Settings) -> tuple[DictChart | None, list[str], list[Finding]]:
    """Return the mappings as they stand, the companies that they name, and what kept us from reading them."""
    chart = DictChart()
    try:
        current = read_model(settings, [topics.MAPPING]).mappings()
    except TopicsError as error:
        return None, [], [Finding("topics", Result.FAILED, str(error))]
    for one in current:
        chart.apply(one.event, one.version)
    named = {getattr(one.event, "company", ALL_COMPANIES) for one in current}
    return chart, sorted(named - {ALL_COMPANIES}), []


def _vault(current: CurrentCredentials) -> list[Finding]:
    return [Finding("vault", Result.WARNING, why) for why in dict.fromkeys(current.troubles.values())]


async def _far_sides(current: CurrentCredentials, companies: Sequence[str], chart: DictChart | None) -> list[Finding]:
    settings = current.settings
    findings = [await _guarded("Zuora", _zuora(current)), await _guarded("IFS Cloud", _ifs(current))]
    if findings[-1].result is Result.OK:
        async with connected(settings.ifs, token_source(settings.ifs), budget_of(settings.ifs)) as service:
            client = IfsClient(service, settings.ifs)
            for company in companies:
                findings += [one async for one in _company(client, settings, company, chart)]
    return findings


async def _company(
    client: IfsClient, settings: Settings, company: str, chart: DictChart | None
) -> AsyncIterator[Finding]:
    """Check a company under its own terms; `chart` is None where the mappings could not be read."""
    own = (chart and chart.company(company_key(company))) or CompanyTerms(version=0)
    terms = Terms(company, own.voucher_type or settings.ifs.voucher_type, own.user_group or settings.ifs.user_group)
    async for finding in check_company(client, terms, utc_now().date()):
        yield finding
    if chart is None or not posting_rule(chart, DocumentType.INVOICE, company)[1].post:
        return
    left_out = [kind for kind in WHAT_LOWERS_RECEIVABLES if not posting_rule(chart, kind, company)[1].post]
    if left_out:
        names = " and ".join(kind.value for kind in left_out)
        detail = f"Invoice posts and {names} not: the ledger will drift from Zuora (`zuora-ifs rules set`)"
        yield Finding("posting rules", Result.WARNING, detail, company)


async def _kafka(settings: Settings) -> str:
    async with admin_client(settings.kafka):
        return f"reachable at {settings.kafka.bootstrap_servers}"


async def _zuora(current: CurrentCredentials) -> str:
    current.require(System.ZUORA)
    await zuora_tokens(current.settings.zuora).token()
    return f"reachable at {current.settings.zuora.base_url}, credentials are good"


async def _ifs(current: CurrentCredentials) -> str:
    current.require(System.IFS)
    await token_source(current.settings.ifs).token()
    return f"reachable at {current.settings.ifs.base_url}, credentials are good"


async def _guarded(check: str, told: Awaitable[str]) -> Finding:
    try:
        return Finding(check, Result.OK, await told)
    except ConnectorError as error:
        return Finding(check, Result.FAILED, str(error))


def _tell(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "ok": all(one.result is not Result.FAILED for one in findings),
                "checks": [asdict(one) for one in findings],
            }
        )
        return
    for one in findings:
        what = f"company {one.company}, {one.check}" if one.company else one.check
        click.echo(f"{one.result:<8}{what}: {' '.join(one.detail.split())}")

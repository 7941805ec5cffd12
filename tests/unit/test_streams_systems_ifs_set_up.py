"""Whether IFS Cloud is set up for vouchers, asked of the sandbox."""

from collections.abc import AsyncIterator
from datetime import date

import pytest
from pydantic import SecretStr

from deploy.sandbox.ifs.app import create_app
from deploy.sandbox.ifs.settings import IfsSettings as SandboxSettings
from deploy.sandbox.ifs.state import IfsSandbox
from deploy.sandbox.serving import listening
from streams.settings import IfsSettings
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.service import budget_of, connected, token_source
from streams.systems.ifs.set_up import Finding, Result, Terms, check_company

DAY = date(2026, 7, 3)
TERMS = Terms("10", "M", "INT")


class Tenant:
    def __init__(self, sandbox: IfsSandbox, url: str) -> None:
        self.sandbox = sandbox
        self.settings = IfsSettings(
            base_url=url, realm="sandbox", client_id="ifs-client", client_secret=SecretStr("ifs-secret")
        )

    async def check(self, terms: Terms = TERMS, day: date = DAY) -> dict[str, Finding]:
        async with connected(self.settings, token_source(self.settings), budget_of(self.settings)) as service:
            client = IfsClient(service, self.settings)
            return {finding.check: finding async for finding in check_company(client, terms, day)}


@pytest.fixture
async def tenant() -> AsyncIterator[Tenant]:
    sandbox = IfsSandbox(SandboxSettings())
    async with listening(create_app(sandbox)) as url:
        yield Tenant(sandbox, url)


async def test_a_company_that_is_set_up_passes_every_check_and_nothing_is_written(tenant: Tenant) -> None:
    findings = await tenant.check()
    assert {name: finding.result for name, finding in findings.items()} == dict.fromkeys(
        ("company", "vouchers", "general ledger", "voucher type", "period"), Result.OK
    )
    assert findings["company"].detail == "visible, currency EUR"
    assert findings["period"].detail == "2026-07 is open for user group INT"
    assert not [name for name in tenant.sandbox.traffic.by_endpoint if name.startswith("POST")]


@pytest.mark.parametrize(
    ("terms", "check", "words"),
    [
        (Terms("99", "M", "INT"), "company", "does not exist"),
        (Terms("30", "M", "INT"), "company", "EUR as parallel currency"),
        (Terms("10", "QQ", "INT"), "voucher type", "QQ does not exist"),
        (Terms("10", "F", "INT"), "voucher type", "function group F"),
        (Terms("10", "M", "NOONE"), "period", "not open for user group NOONE"),
    ],
)
async def test_what_is_missing_is_named(tenant: Tenant, terms: Terms, check: str, words: str) -> None:
    findings = await tenant.check(terms)
    assert [name for name, finding in findings.items() if finding.result is Result.FAILED] == [check]
    assert words in findings[check].detail


async def test_a_company_without_access_is_named_and_nothing_else_is_asked(tenant: Tenant) -> None:
    tenant.sandbox.companies["10"].visible = False
    findings = await tenant.check()
    assert list(findings) == ["company"]
    assert "may not see it" in findings["company"].detail


async def test_a_closed_period_is_named(tenant: Tenant) -> None:
    tenant.sandbox.companies["10"].closed_periods.add((2026, 7))
    assert "2026-07 is not open for user group INT" in (await tenant.check())["period"].detail


async def test_a_year_that_does_not_exist_fails_no_other_check(tenant: Tenant) -> None:
    findings = await tenant.check(day=date(2031, 1, 1))
    assert findings["period"].result in {Result.FAILED, Result.UNKNOWN}
    assert findings["voucher type"].result is Result.OK


async def test_look_ups_that_are_not_granted_fail(tenant: Tenant) -> None:
    for path in ("VoucherSet", "GenLedVoucherRowSet"):
        tenant.sandbox.faults.order({"kind": "status", "status": 403, "path": path, "body": "Insufficient privileges."})
    findings = await tenant.check()
    failed = [name for name, finding in findings.items() if finding.result is Result.FAILED]
    assert failed == ["vouchers", "general ledger"]


async def test_a_set_that_the_tenant_does_not_offer_is_unknown_and_no_failure(tenant: Tenant) -> None:
    tenant.sandbox.faults.order({"kind": "status", "status": 404, "path": "VoucherTypes", "body": "no"})
    assert (await tenant.check())["voucher type"].result is Result.UNKNOWN

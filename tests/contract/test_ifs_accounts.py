"""Which accounts IFS Cloud has, asked of the sandbox and of gateways that answer otherwise."""

import asyncio

import pytest
from aiohttp import web
from pydantic import SecretStr

from agents.cli import ifs as asking
from agents.cli.account_check import account_warnings
from deploy.sandbox.ifs.app import create_app
from deploy.sandbox.ifs.settings import IfsSettings as SandboxSettings
from deploy.sandbox.ifs.state import IfsSandbox
from deploy.sandbox.serving import listening
from schemas.errors import NotFoundError, UnreadableError
from streams.mapping_csv import MappingLine, parse_mappings
from streams.settings import IfsSettings, Settings
from streams.systems.ifs.accounts import unknown_accounts
from streams.systems.ifs.service import budget_of, connected, token_source
from tests.support.projecting import START
from tests.support.servers import serving

FILE = b"""kind,zuora_account_id,company,match_on,match_value,gl_account,deferred_account
account,A1,10,,,1510,
account,A2,10,,,9876,
product,,10,sku,ANL,9876,2971x
product,,77,sku,ANL,3010,
"""


def settings_of(url: str) -> IfsSettings:
    return IfsSettings(base_url=url, realm="sandbox", client_id="ifs-client", client_secret=SecretStr("ifs-secret"))


async def unknown(url: str, *accounts: str) -> set[str]:
    ifs = settings_of(url)
    async with connected(ifs, token_source(ifs), budget_of(ifs)) as service:
        return await unknown_accounts(service, "10", accounts)


def lines() -> list[MappingLine]:
    found, errors = parse_mappings(FILE, actor="maria", at=START)
    assert not errors
    return found


async def test_accounts_that_are_not_there_are_found_among_hundreds() -> None:
    many = [f"X{number:019}" for number in range(300)]
    async with listening(create_app(IfsSandbox(SandboxSettings()))) as url:
        assert await unknown(url, "1510", *many, "3010") == set(many)


async def test_an_answer_that_proves_nothing_is_no_answer() -> None:
    async def gateway(request: web.Request) -> web.Response:
        if request.path.startswith("/auth/"):
            return web.json_response({"access_token": "t", "expires_in": 180})
        return web.json_response({"value": [{"Company": "10", "Account": "4711"}]})

    async with serving(gateway) as url:
        with pytest.raises(UnreadableError, match="drops"):
            await unknown(url, "1510")


async def test_a_tenant_without_the_set_is_told_apart_from_one_without_the_account() -> None:
    async def tenant(request: web.Request) -> web.Response:
        if request.path.startswith("/auth/"):
            return web.json_response({"access_token": "t", "expires_in": 180})
        return web.json_response({"error": {"code": "MI_METADATA_NOTFOUND", "message": "no"}}, status=404)

    async with serving(tenant) as url:
        with pytest.raises(NotFoundError):
            await unknown(url, "1510")


async def test_each_unknown_account_is_one_warning() -> None:
    async with listening(create_app(IfsSandbox(SandboxSettings()))) as url:
        told = await asyncio.to_thread(account_warnings, Settings(ifs=settings_of(url)), lines())

    assert [warning.partition(", or")[0] for warning in told] == [
        "IFS has no account 2971x in company 10 (line 4)",
        "IFS has no account 9876 in company 10 (line 3 and 1 more)",
        "IFS has no account 3010 in company 77 (line 5)",
    ]


def test_without_settings_of_ifs_nothing_is_asked() -> None:
    assert account_warnings(Settings(), lines()) == []


def test_an_ifs_that_does_not_answer_is_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 2.0)

    told = account_warnings(Settings(ifs=settings_of("http://127.0.0.1:9")), lines())

    assert len(told) == 1
    assert told[0].startswith("whether the accounts exist in IFS was not checked: ")

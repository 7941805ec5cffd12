"""Accounts that a mapping file names are looked for in IFS Cloud, and their absence is a warning, never an error."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web
from pydantic import SecretStr

from agents.cli import ifs as asking
from agents.cli.account_check import account_warnings
from deploy.sandbox.ifs.app import create_app
from deploy.sandbox.ifs.settings import IfsSettings as SandboxSettings
from deploy.sandbox.ifs.state import IfsSandbox
from deploy.sandbox.serving import listening
from streams.mapping_csv import MappingLine, parse_mappings
from streams.settings import IfsSettings, Settings
from tests.support.projecting import START
from tests.support.servers import serving

FILE = """kind,zuora_account_id,company,match_on,match_value,gl_account,deferred_account
account,A1,10,,,1510,
account,A2,10,,,9876,
product,,10,sku,ANL,9876,2971x
product,,77,sku,ANL,3010,
"""
HEADER = FILE.partition("\n")[0]


def settings_of(url: str) -> Settings:
    ifs = IfsSettings(base_url=url, realm="sandbox", client_id="ifs-client", client_secret=SecretStr("ifs-secret"))
    return Settings(ifs=ifs)


def lines(text: str = FILE) -> list[MappingLine]:
    found, errors = parse_mappings(text.encode(), actor="maria", at=START)
    assert not errors
    return found


async def warnings_from(url: str, text: str = FILE) -> list[str]:
    """Ask as a command does, which has no event loop of its own."""
    return await asyncio.to_thread(account_warnings, settings_of(url), lines(text))


async def test_each_unknown_account_is_one_warning_and_a_company_that_cannot_be_seen_another() -> None:
    async with listening(create_app(IfsSandbox(SandboxSettings()))) as url:
        *unknown, unseen = await warnings_from(url)

    assert unknown == [
        "IFS has no account 2971x in company 10 (line 4)",
        "IFS has no account 9876 in company 10 (line 3 and 1 more)",
    ]
    assert unseen.startswith("whether the accounts of company 77 exist in IFS was not checked: ")


async def test_unknown_accounts_are_found_among_hundreds() -> None:
    many = [f"X{number:019}" for number in range(300)]
    accounts = ["1510", *many, "3010"]
    text = "\n".join([HEADER, *(f"account,A{number},10,,,{name}," for number, name in enumerate(accounts))])
    async with listening(create_app(IfsSandbox(SandboxSettings()))) as url:
        told = await warnings_from(url, text)

    assert [warning.split()[4] for warning in told] == many


def gateway_answers(body: object, status: int) -> Callable[[web.Request], web.Response]:
    def answer(request: web.Request) -> web.Response:
        if request.path.startswith("/auth/"):
            return web.json_response({"access_token": "t", "expires_in": 180})
        return web.json_response(body, status=status)

    return answer


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"value": [{"Company": "10", "Account": "4711"}]}, 200),
        ({"value": []}, 200),
        ({"error": {"code": "MI_METADATA_NOTFOUND", "message": "no"}}, 404),
        ({"error": {"code": "x", "message": "no"}}, 403),
    ],
)
async def test_an_answer_that_proves_nothing_accuses_no_account(body: object, status: int) -> None:
    answer = gateway_answers(body, status)

    async def tenant(request: web.Request) -> web.Response:
        return answer(request)

    async with serving(tenant) as url:
        told = await warnings_from(url)

    assert [warning.partition(" exist")[0] for warning in told] == [
        "whether the accounts of company 10",
        "whether the accounts of company 77",
    ]


def test_without_settings_of_ifs_nothing_is_asked() -> None:
    assert account_warnings(Settings(), lines()) == []


def test_an_ifs_that_does_not_answer_is_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 2.0)

    told = account_warnings(settings_of("http://127.0.0.1:9"), lines())

    assert len(told) == 1
    assert told[0].startswith("whether the accounts exist in IFS was not checked: ")

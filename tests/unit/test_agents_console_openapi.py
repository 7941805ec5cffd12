"""The OpenAPI document: whole, true to the routes, and true to what the API answers."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openapi_pydantic import OpenAPI

from agents.console.app import OPERATIONS, create_app
from agents.console.feed import FeedState
from agents.console.openapi import PATH_PARTS, describe
from agents.console.roles import Role
from schemas.base import DocumentType
from schemas.mappings import CompanySet, PostingRuleSet
from streams.projection.queries import ReadModel
from streams.settings import Settings
from tests.support.api_contract import Caller, Contract
from tests.support.company_10 import CHANGE, MAPPINGS
from tests.support.console_app import console_app
from tests.support.projecting import step

TOKENS = "maria:viewer:look-at-this,mia:mapper:map-it,ops:operator:run-it"
GAP = {"kind": "account", "key": "8ad0"}
SET = (
    *MAPPINGS,
    PostingRuleSet(**CHANGE, company="*", document_type=DocumentType.REFUND, post=True),
    CompanySet(**CHANGE, company="10", cutover=date(2026, 1, 1)),
)


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    steps = [
        step("Invoice:1", "posted", amount="1190.00", currency="EUR", accountNumber="A-1"),
        step("Invoice:2", "mapping-missing", minute=1, missing=[GAP], accountId="8ad0", accountName="Acme"),
        step("Payment:3", "rejected", minute=2, amount="7", currency="JPY", accountId="A1"),
    ]
    async with console_app(tmp_path, steps=steps, mappings=SET, tokens=TOKENS, token="run-it") as session:
        yield session


@pytest.fixture
async def ask(console: aiohttp.ClientSession) -> Caller:
    return Caller(console, await Contract.of(console))


async def test_every_route_of_the_api_is_described_and_nothing_else(tmp_path: Path) -> None:
    settings = Settings.model_validate({"console": {"tokens": TOKENS}})
    app = create_app(settings, ReadModel(tmp_path / "none"), FeedState())
    document = describe(OPERATIONS).model_dump(by_alias=True, exclude_none=True)

    served = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource and route.resource.canonical.startswith("/api/") and route.method != "HEAD"
    }
    told = {(method, path) for path, methods in document["paths"].items() for method in methods}

    assert served - {("get", "/api/openapi.json")} == told


async def test_the_document_is_openapi_and_its_names_are_unique(console: aiohttp.ClientSession) -> None:
    document = (await Contract.of(console)).document
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]

    assert OpenAPI.model_validate(document).openapi == "3.1.0"
    assert len(ids) == len(set(ids)) == len(OPERATIONS)
    assert document["paths"]["/api/rules"]["put"]["description"] == "Needs the role mapper."
    limit = document["paths"]["/api/records"]["get"]["parameters"][0]["schema"]
    assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 500, 50)


async def test_the_document_is_for_who_may_look(console: aiohttp.ClientSession) -> None:
    async with console.get("/api/openapi.json", headers={"Authorization": "Bearer guess"}) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("path", "query", "items"),
    [
        ("/api/records", {}, 3),
        ("/api/records", {"limit": "2", "status": "posted"}, 1),
        ("/api/missing-mappings", {}, 1),
        ("/api/mappings", {}, len(SET)),
        ("/api/mappings", {"kind": "account"}, 1),
        ("/api/rules", {}, 1),
        ("/api/companies", {}, 1),
        ("/api/dead-letters", {"open": "true"}, 0),
    ],
)
async def test_lists_are_as_described(ask: Caller, path: str, query: dict[str, str], items: int) -> None:
    assert len((await ask("GET", path, query=query))["items"]) == items


@pytest.mark.parametrize("path", ["/api/records", "/api/mappings", "/api/rules"])
@pytest.mark.parametrize("query", [{"colour": "red"}, {"limit": "1e2"}, {"cursor": "x"}, {"limit": ""}])
async def test_a_wrong_question_is_told(ask: Caller, path: str, query: dict[str, str]) -> None:
    told = await ask("GET", path, query=query, expect=400)

    assert next(iter(query)) in told["error"]


async def test_a_parameter_that_is_given_twice_is_told(console: aiohttp.ClientSession) -> None:
    async with console.get("/api/records?status=posted&status=failed") as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "status: is given twice")


async def test_lists_are_paged_to_their_end(ask: Caller) -> None:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await ask("GET", "/api/mappings", query={"limit": "2", **cursor})
        found += [one["key"] for one in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}

    assert len(found) == len(set(found)) == len(SET)


async def test_a_record_and_the_summary_are_as_described(ask: Caller) -> None:
    assert (await ask("GET", "/api/records/{id}", id="Payment:3"))["events"][0]["status"] == "rejected"
    assert (await ask("GET", "/api/summary"))["records"] == 3
    await ask("GET", "/api/records/{id}", id="Payment:9", expect=404)
    await ask("GET", "/api/dead-letters/{letter}", letter="a/0/1", expect=404)


@pytest.mark.parametrize(
    ("method", "path", "asked", "status"),
    [
        ("PUT", "/api/rules", {"body": {"company": "10", "documentType": "Refund"}}, 400),
        ("PUT", "/api/rules", {"body": {"company": "10", "documentType": "Refund", "post": "yes"}}, 400),
        ("PUT", "/api/rules", {"body": [1]}, 400),
        ("PUT", "/api/rules", {"body": {"company": "10", "documentType": "Refund", "post": True}}, 503),
        ("DELETE", "/api/rules", {"query": {"company": "10", "documentType": "DebitMemo"}}, 404),
        ("DELETE", "/api/rules", {"query": {"company": "10"}}, 400),
        ("PUT", "/api/mappings/tax/{company}/{matchValue}", {"body": {}}, 400),
        ("PUT", "/api/mappings/cash/{company}/{currency}", {"body": {"glAccount": "1"}, "currency": "EURO"}, 400),
        ("PUT", "/api/mappings/account/{accountId}", {"body": {"glAccount": "1", "company": "*"}}, 400),
        ("DELETE", "/api/mappings/tax/{company}/{matchValue}", {"matchValue": "VAT99"}, 404),
        ("PUT", "/api/companies", {"body": {"company": "10", "cutover": "soon"}}, 400),
        ("POST", "/api/posting/pause", {"body": {"company": "10"}}, 400),
        ("POST", "/api/posting/pause", {"body": {"reason": "closing"}}, 503),
        ("GET", "/api/posting", {}, 503),
        ("POST", "/api/dead-letters/resend", {"body": {"ids": ["a/0/1"], "reason": "mended"}}, 404),
        ("POST", "/api/replay", {"body": {"records": ["x" * 900] * 100, "dryRun": True}}, 413),
    ],
)
async def test_refusals_are_as_described(
    ask: Caller, method: str, path: str, asked: dict[str, Any], status: int
) -> None:
    parts = {name: "10" if name == "company" else "x" for name in PATH_PARTS if f"{{{name}}}" in path}

    assert (await ask(method, path, expect=status, **(parts | asked)))["error"]


async def test_who_is_not_known_or_has_too_low_a_role_gets_nothing(console: aiohttp.ClientSession) -> None:
    roles = {"look-at-this": Role.VIEWER, "map-it": Role.MAPPER, "run-it": Role.OPERATOR}
    async with console.get("/healthz") as answer:
        origin = answer.url.origin()
    async with aiohttp.ClientSession(origin) as stranger:
        for operation in OPERATIONS:
            path = operation.path.replace("{", "").replace("}", "")
            async with stranger.request(operation.method, path) as answer:
                assert answer.status == 401, path
            for token, role in roles.items():
                bearer = {"Authorization": f"Bearer {token}"}
                if role < operation.role:
                    async with stranger.request(operation.method, path, headers=bearer) as answer:
                        assert answer.status == 403, path

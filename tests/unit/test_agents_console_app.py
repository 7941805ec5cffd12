"""The console over HTTP, on a read model filled without a broker."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agents.console.app import create_app
from agents.console.feed import FeedState
from agents.console.roles import Role, at_least
from agents.serving import start_site
from schemas.topics import AUDIT, TopicNames
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from streams.settings import Settings
from tests.support.projecting import log_record, step

BEARER = {"Authorization": "Bearer look-at-this"}
GAP = {"kind": "product", "company": "10", "matchOn": "sku", "key": "<b>ANL</b>"}


@pytest.fixture
def state() -> FeedState:
    return FeedState(caught_up=True, behind=0)


@pytest.fixture
async def console(tmp_path: Path, state: FeedState) -> AsyncIterator[aiohttp.ClientSession]:
    path = tmp_path / "console.sqlite"
    settings = Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": "127.0.0.1:1"},
            "console": {"tokens": "maria:viewer:look-at-this,ops:operator:run-it"},
        }
    )
    steps = [
        step("Invoice:1", "posted", amount="1190.00", currency="EUR", documentNumber="INV-1", accountNumber="A-1"),
        step("Invoice:2", "mapping-missing", minute=1, amount="10.5", currency="EUR", missing=[GAP], company="10"),
        step("Payment:3", "rejected", minute=2, amount="7", currency="JPY", reason="<script>alert(1)</script>"),
    ]
    with Store(path) as store:
        Projector(store, TopicNames("", "app")).apply([log_record(one, n, topic=AUDIT) for n, one in enumerate(steps)])

    @at_least(Role.MAPPER)
    async def for_mappers(_: web.Request) -> web.Response:
        return web.Response(text="done")

    app = create_app(settings, ReadModel(path), state)
    app.router.add_get("/api/for-mappers", for_mappers)
    site = await start_site(app, "127.0.0.1", 0)
    async with aiohttp.ClientSession(site.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session
    await site.stop()


async def test_the_api_asks_for_a_token(console: aiohttp.ClientSession) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic bG9vay1hdC10aGlz"}):
        async with console.get("/api/records", headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert await answer.json() == {"error": "a bearer token is needed"}


async def test_a_role_too_low_is_refused(console: aiohttp.ClientSession) -> None:
    async with console.get("/api/for-mappers", headers=BEARER) as answer:
        assert answer.status == 403
        assert await answer.json() == {"error": "this needs the role mapper, maria is viewer"}
    async with console.get("/api/for-mappers", headers={"Authorization": "Bearer run-it"}) as answer:
        assert answer.status == 200


async def test_records_are_listed_in_pages(console: aiohttp.ClientSession) -> None:
    async with console.get("/api/records?limit=2", headers=BEARER) as answer:
        first = await answer.json()
    async with console.get("/api/records", params={"cursor": first["nextCursor"]}, headers=BEARER) as answer:
        second = await answer.json()

    assert [one["id"] for one in first["items"] + second["items"]] == ["Invoice:1", "Invoice:2", "Payment:3"]
    assert second["nextCursor"] is None
    assert first["items"][0]["amount"] == "1190.00"
    assert first["items"][1]["missing"] == [GAP]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=posted", ["Invoice:1"]),
        ("type=Payment", ["Payment:3"]),
        ("account=A-1", ["Invoice:1"]),
        ("search=inv", ["Invoice:1"]),
    ],
)
async def test_records_are_filtered(console: aiohttp.ClientSession, query: str, expected: list[str]) -> None:
    async with console.get(f"/api/records?{query}", headers=BEARER) as answer:
        assert [one["id"] for one in (await answer.json())["items"]] == expected


@pytest.mark.parametrize("query", ["status=lost", "type=Order", "limit=0", "limit=501", "limit=x", "cursor=x"])
async def test_a_wrong_question_is_told(console: aiohttp.ClientSession, query: str) -> None:
    async with console.get(f"/api/records?{query}", headers=BEARER) as answer:
        assert answer.status == 400
        assert query.partition("=")[0] in (await answer.json())["error"]


async def test_a_record_is_given_with_its_events(console: aiohttp.ClientSession) -> None:
    async with console.get("/api/records/Payment:3", headers=BEARER) as answer:
        found = await answer.json()
    assert found["status"] == "rejected"
    assert [one["status"] for one in found["events"]] == ["rejected"]
    assert found["document"] is None

    async with console.get("/api/records/Payment:9", headers=BEARER) as answer:
        assert (answer.status, await answer.json()) == (404, {"error": "there is no record Payment:9"})


async def test_totals_and_missing_mappings(console: aiohttp.ClientSession, state: FeedState) -> None:
    state.behind = 3
    async with console.get("/api/summary", headers=BEARER) as answer:
        summary = await answer.json()
    async with console.get("/api/missing-mappings", headers=BEARER) as answer:
        missing = await answer.json()

    assert summary["records"] == 3
    assert summary["projection"] == {"caughtUp": True, "behind": 3, "trouble": None}
    posted = next(one for one in summary["statuses"] if one["status"] == "posted")
    assert posted == {"status": "posted", "records": 1, "amounts": [{"currency": "EUR", "amount": "1190.00"}]}
    assert missing["items"] == [{**GAP, "records": 1, "amounts": [{"currency": "EUR", "amount": "10.5"}]}]


async def test_the_page_shows_everything_and_escapes_it(console: aiohttp.ClientSession) -> None:
    async with console.get("/", headers=BEARER) as answer:
        text = await answer.text()

    assert "1\u202f190.00" in text
    assert "10.50" in text
    assert "&lt;b&gt;ANL&lt;/b&gt;" in text
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text
    assert not re.search(r"<style|style=|<script>| on\w+=", text)


async def test_an_unchanged_page_is_not_sent_again(console: aiohttp.ClientSession, state: FeedState) -> None:
    async with console.get("/", headers=BEARER) as answer:
        tag = answer.headers["ETag"]
    async with console.get("/", headers=BEARER | {"If-None-Match": tag}) as answer:
        assert answer.status == 304
    state.changes += 1
    async with console.get("/", headers=BEARER | {"If-None-Match": tag}) as answer:
        assert answer.status == 200


async def test_a_person_gets_errors_as_a_page(console: aiohttp.ClientSession) -> None:
    async with console.get("/records/Invoice:9", headers=BEARER | {"Accept": "text/html"}) as answer:
        assert answer.status == 404
        assert "There is no such record." in await answer.text()


async def test_it_is_ready_once_it_has_caught_up(console: aiohttp.ClientSession, state: FeedState) -> None:
    async with console.get("/readyz") as answer:
        assert answer.status == 200
    state.caught_up, state.behind = False, 12
    async with console.get("/readyz") as answer:
        assert answer.status == 503
        assert "12 records to go" in await answer.text()
    async with console.get("/healthz") as answer:
        assert answer.status == 200


async def test_without_tokens_a_name_bent_to_this_machine_gets_nothing(tmp_path: Path, state: FeedState) -> None:
    path = tmp_path / "console.sqlite"
    Store(path).close()
    settings = Settings.model_validate({"console": {"host": "127.0.0.1"}})
    site = await start_site(create_app(settings, ReadModel(path), state), "127.0.0.1", 0)
    async with aiohttp.ClientSession(site.url) as session:
        async with session.get("/api/summary") as answer:
            assert answer.status == 200
        async with session.get("/api/summary", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 401
    await site.stop()

"""The console's doors over HTTP: signing in and out, requests of other sites, too many tries, and what is logged."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from yarl import URL

from agents.console.refusals import FAILURES_PER_MINUTE
from tests.support.console_app import console_app, form_token, sign_in
from tests.support.projecting import step

TOKENS = "maria:viewer:look-at-this,ops:operator:run-it"
REPLAY = {"records": ["Invoice:1"], "dryRun": True}


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    steps = [step("Invoice:1", "posted", documentNumber="INV-1"), step("Invoice:2", "rejected", minute=1)]
    async with console_app(tmp_path, steps=steps, tokens=TOKENS) as session:
        yield session


def refused(why: str) -> float:
    return REGISTRY.get_sample_value("zuora_ifs_console_refused_requests_total", {"why": why}) or 0.0


async def replay(console: aiohttp.ClientSession, **headers: str) -> tuple[int, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with console.post("/api/replay", json=REPLAY, headers=sent) as answer:
        return answer.status, await answer.json()


async def test_people_sign_in_with_a_token_and_out_again(console: aiohttp.ClientSession) -> None:
    async with console.get("/?status=posted") as answer:
        assert answer.url.path == "/login"
        assert answer.url.query["next"] == "/?status=posted"
    token = await form_token(console)
    async with console.post("/login", data={"token": "wrong", "next": "/", "form": token}) as answer:
        assert answer.status == 401
        assert "not known" in await answer.text()
    fields = {"token": "look-at-this", "next": "/?status=posted", "form": token}
    async with console.post("/login", data=fields) as answer:
        assert str(answer.url).endswith("/?status=posted")
        assert "INV-1" in await answer.text()
        cookie = answer.history[0].headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert "look-at-this" not in cookie
        assert "maria" not in cookie
    async with console.get("/api/summary") as answer:
        assert answer.status == 200
    async with console.post("/logout", data={"form": await form_token(console, "/")}) as answer:
        assert answer.url.path == "/login"
    async with console.get("/api/summary") as answer:
        assert answer.status == 401


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", ""])
async def test_signing_in_leads_nowhere_else(console: aiohttp.ClientSession, target: str) -> None:
    fields = {"token": "look-at-this", "next": target, "form": await form_token(console)}
    async with console.post("/login", data=fields, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {},
    ],
)
async def test_a_session_changes_nothing_for_a_page_of_another_site(
    console: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    await sign_in(console, "run-it")
    before = refused("cross-site")

    status, told = await replay(console, **headers)

    assert (status, told) == (403, {"error": "this was not sent by a page of the console, so nothing was done"})
    assert refused("cross-site") == before + 1


async def test_a_session_changes_what_its_own_pages_ask_for(console: aiohttp.ClientSession) -> None:
    await sign_in(console, "run-it")
    async with console.get("/healthz") as answer:
        own = str(answer.url.origin())

    assert (await replay(console, Sec_Fetch_Site="same-origin"))[0] == 200
    assert (await replay(console, Origin=own))[0] == 200
    assert (await replay(console, Origin=own.replace("http:", "https:")))[0] == 200
    assert (await replay(console, Authorization="Bearer run-it", Sec_Fetch_Site="cross-site"))[0] == 200


async def test_behind_tls_a_page_without_it_is_another_site(console: aiohttp.ClientSession) -> None:
    await sign_in(console, "run-it")
    async with console.get("/healthz") as answer:
        own = str(answer.url.origin())

    assert (await replay(console, Origin=own, X_Forwarded_Proto="https"))[0] == 403
    assert (await replay(console, Origin=own.replace("http:", "https:"), X_Forwarded_Proto="https"))[0] == 200


@pytest.mark.parametrize("path", ["/login", "/logout"])
async def test_forms_of_other_sites_neither_sign_in_nor_out(console: aiohttp.ClientSession, path: str) -> None:
    await sign_in(console, "look-at-this")
    fields = {"token": "run-it", "form": await form_token(console, "/login" if path == "/login" else "/")}
    other = {"Sec-Fetch-Site": "cross-site"}

    for data, headers in [(fields, other), (fields | {"form": ""}, {}), (fields | {"form": "a" * 64}, {}), ({}, {})]:
        async with console.post(path, data=data, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 403
    async with console.get("/") as answer:
        assert "maria" in await answer.text()


async def test_who_tries_too_often_has_to_wait_even_with_a_good_token(console: aiohttp.ClientSession) -> None:
    before = refused("too-many")
    for _ in range(FAILURES_PER_MINUTE):
        async with console.get("/api/summary", headers={"Authorization": "Bearer guess"}) as answer:
            assert answer.status == 401
    async with console.get("/api/summary", headers={"Authorization": "Bearer run-it"}) as answer:
        assert answer.status == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert "wait" in (await answer.json())["error"]
    fields = {"token": "look-at-this", "form": await form_token(console)}
    async with console.post("/login", data=fields, headers={"Accept": "text/html"}) as answer:
        assert answer.status == 429
        assert "Too many attempts" in await answer.text()
    assert refused("too-many") == before + 2


async def test_a_session_goes_on_while_others_guess(console: aiohttp.ClientSession) -> None:
    await sign_in(console, "look-at-this")
    for _ in range(FAILURES_PER_MINUTE + 1):
        async with console.get("/api/summary", headers={"Authorization": "Bearer guess"}) as answer:
            await answer.read()

    async with console.get("/api/summary") as answer:
        assert answer.status == 200


async def test_behind_a_trusted_proxy_each_source_has_its_own_tries(tmp_path: Path) -> None:
    async with console_app(tmp_path, tokens=TOKENS, trusted_proxies="127.0.0.0/8") as console:
        guess = {"Authorization": "Bearer guess", "X-Forwarded-For": "203.0.113.7"}
        for _ in range(FAILURES_PER_MINUTE + 1):
            async with console.get("/api/summary", headers=guess) as answer:
                status = answer.status
        assert status == 429
        good = {"Authorization": "Bearer run-it", "X-Forwarded-For": "203.0.113.8"}
        async with console.get("/api/summary", headers=good) as answer:
            assert answer.status == 200


async def test_every_refusal_is_logged_without_its_secret(console: aiohttp.ClientSession) -> None:
    form = await form_token(console)
    with capture_logs() as logs:
        async with console.get("/api/records?token=hunter1", headers={"Authorization": "Bearer hunter2"}) as answer:
            assert answer.status == 401
        async with console.post("/login", data={"token": "hunter3", "form": form}) as answer:
            assert answer.status == 401
        async with console.get("/api/records", cookies={"zuora_ifs_session": "hunter4"}) as answer:
            assert answer.status == 401
        async with console.get("/api/records") as answer:
            assert answer.status == 401
        async with console.get("/mappings", cookies={"zuora_ifs_session": "hunter5"}) as answer:
            assert answer.url.path == "/login"
        async with console.get(URL("/api/%1b[2J", encoded=True)) as answer:
            assert answer.status == 401
        async with console.post("/api/replay", json={}, headers={"Authorization": "Bearer look-at-this"}) as answer:
            assert answer.status == 403

    told = [(one["why"], one["path"], one["name"]) for one in logs if one["event"] == "refused"]
    assert told == [
        ("unknown-token", "/api/records", None),
        ("unknown-token", "/login", None),
        ("ended-session", "/api/records", None),
        ("no-credentials", "/api/records", None),
        ("ended-session", "/mappings", None),
        ("no-credentials", "/api/%1b[2J", None),
        ("role", "/api/replay", "maria"),
    ]
    assert {one["source"] for one in logs if one["event"] == "refused"} == {"127.0.0.1"}
    assert "hunter" not in str(logs)
    assert "look-at-this" not in str(logs)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/login", 200),
        ("/static/console.css", 200),
        ("/api/summary", 200),
        ("/api/openapi.json", 200),
        ("/nowhere", 404),
        ("/api/nowhere", 404),
        ("/records/Invoice:9", 404),
        ("/static/nowhere.js", 404),
        ("/?status=lost", 400),
        ("/metrics", 200),
        ("/healthz", 200),
    ],
)
async def test_every_answer_has_the_headers_that_keep_browsers_safe(
    console: aiohttp.ClientSession, path: str, status: int
) -> None:
    by_tls = {"Authorization": "Bearer look-at-this", "Accept": "text/html", "X-Forwarded-Proto": "https"}
    async with console.get(path, headers=by_tls) as answer:
        assert answer.status == status
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    async with console.get(path, headers={"Authorization": "Bearer look-at-this"}) as answer:
        assert "Strict-Transport-Security" not in answer.headers


async def test_cookies_go_by_tls_alone_where_people_come_by_tls(tmp_path: Path) -> None:
    async with console_app(tmp_path, tokens=TOKENS, base_url="https://ledger.example.com") as console:
        fields = {"token": "look-at-this"}
        async with console.get("/login") as answer:
            assert "Secure" in answer.headers["Set-Cookie"]
            cookie = answer.cookies["zuora_ifs_form"].value
            fields["form"] = (await answer.text()).partition('name="form" value="')[2][:64]
        own = {"Origin": "https://ledger.example.com", "Cookie": f"zuora_ifs_form={cookie}"}
        async with console.post("/login", data=fields, headers=own, allow_redirects=False) as answer:
            assert answer.status == 303
            assert {"Secure", "HttpOnly"} <= set(answer.headers["Set-Cookie"].split("; "))


async def test_an_unexpected_failure_tells_a_caller_nothing(
    console: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("hunter2 at line 42")

    monkeypatch.setattr("streams.projection.queries.ReadModel.status_totals", broken)
    async with console.get("/api/summary", headers={"Authorization": "Bearer look-at-this"}) as answer:
        assert answer.status == 500
        assert await answer.json() == {"error": "the console failed unexpectedly; its log tells more"}
        assert "Content-Security-Policy" in answer.headers

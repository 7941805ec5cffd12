"""Single sign-on against a provider that answers over HTTP: who gets in, as whom, and everything that keeps one out."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from agents.console.refusals import FAILURES_PER_MINUTE
from agents.console.sign_on import name_of, sign_on, values_at
from schemas.errors import SettingsError
from streams.settings import ConsoleSettings
from streams.systems import jwks
from tests.support.console_app import console_app
from tests.support.sign_on_provider import CLIENT_ID, CLIENT_SECRET, SignOnProvider

ROLES = "staff:viewer,ledger-operators:operator"
PAGE = {"Accept": "text/html"}


@pytest.fixture
async def provider() -> AsyncIterator[SignOnProvider]:
    made = SignOnProvider()
    async with made.running():
        yield made


def settings(issuer: str, **changed: Any) -> dict[str, Any]:
    return {
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_roles": ROLES,
        "base_url": "http://console.test",
    } | changed


@asynccontextmanager
async def console_of(folder: Path, issuer: str, **changed: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with console_app(folder, **settings(issuer, **changed)) as session:
        yield session


@pytest.fixture
async def console(tmp_path: Path, provider: SignOnProvider) -> AsyncIterator[aiohttp.ClientSession]:
    async with console_of(tmp_path, provider.url) as session:
        yield session


async def sign_in(console: aiohttp.ClientSession, target: str = "/", **changed: str) -> tuple[int, str, str]:
    """Go to the provider and back as a browser does; return status, place and text of where it ends."""
    async with console.get("/login/single-sign-on", params={"next": target}, allow_redirects=False) as answer:
        if answer.status != 303:
            return answer.status, "", await answer.text()
        away = answer.headers["Location"]
    async with console.get(away, allow_redirects=False) as answer:
        assert answer.headers["Location"].startswith("http://console.test/login/callback?")
        back = answer.headers["Location"].removeprefix("http://console.test")
    for name, text in changed.items():
        back = back.replace(f"{name}=", f"{name}={text}")
    async with console.get(back, headers=PAGE, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", ""), await answer.text()


async def test_a_person_signs_in_at_the_provider_and_is_who_it_says(console: aiohttp.ClientSession) -> None:
    async with console.get("/login") as answer:
        text = await answer.text()
        assert "/login/single-sign-on?next=/" in text
        assert 'name="token"' not in text

    assert (await sign_in(console, "/?status=posted"))[:2] == (303, "/?status=posted")

    async with console.get("/") as answer:
        assert "eva · operator" in await answer.text()
    cookies = {cookie.key: cookie for cookie in console.cookie_jar}
    assert cookies["zuora_ifs_session"]["httponly"]
    assert "zuora_ifs_sign_on" not in cookies


async def test_tokens_go_on_working_beside_it(tmp_path: Path, provider: SignOnProvider) -> None:
    async with console_of(tmp_path, provider.url, tokens="ops:operator:run-it") as console:
        async with console.get("/login") as answer:
            text = await answer.text()
        assert "/login/single-sign-on" in text
        assert 'name="token"' in text
        async with console.get("/api/summary", headers={"Authorization": "Bearer run-it"}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example"])
async def test_it_leads_back_to_nowhere_else(console: aiohttp.ClientSession, target: str) -> None:
    assert (await sign_in(console, target))[:2] == (303, "/")


async def test_roles_may_lie_deep_and_be_one_word(tmp_path: Path, provider: SignOnProvider) -> None:
    provider.claims = {"email": "eva@example.com", "realm_access": {"roles": "staff"}}
    async with console_of(tmp_path, provider.url, oidc_role_claim="realm_access.roles") as console:
        assert (await sign_in(console))[0] == 303
        async with console.get("/") as answer:
            assert "eva@example.com · viewer" in await answer.text()


@pytest.mark.parametrize("claims", [{"roles": ["guests"]}, {"roles": None}, {"roles": {"staff": 1}}, {}])
async def test_without_a_role_nobody_gets_in(
    console: aiohttp.ClientSession, provider: SignOnProvider, claims: dict[str, Any]
) -> None:
    provider.claims = {"preferred_username": "eva"} | claims

    status, _, text = await sign_in(console)

    assert status == 403
    assert "you are signed in as eva, but nothing in your account gives you a role here" in text
    assert "Not allowed" in text


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"nonce": "of-another-sign-in"}, "its nonce differs"),
        ({"nonce": None}, "its nonce differs"),
        ({"aud": "another-client"}, "InvalidAudienceError"),
        ({"aud": [CLIENT_ID, "another"], "azp": "another"}, "another client"),
        ({"iss": "https://evil.example"}, "InvalidIssuerError"),
        ({"exp": time.time() - 3600}, "ExpiredSignatureError"),
        ({"exp": None}, "MissingRequiredClaimError"),
        ({"sub": None}, "MissingRequiredClaimError"),
        ({"iat": time.time() + 3600}, "ImmatureSignatureError"),
    ],
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    console: aiohttp.ClientSession, provider: SignOnProvider, claims: dict[str, Any], told: str
) -> None:
    provider.claims |= claims

    with capture_logs() as logs:
        status, _, text = await sign_in(console)

    assert status == 403
    assert told in text
    assert [one["why"] for one in logs if one["event"] == "refused"] == ["single-sign-on"]
    async with console.get("/api/summary") as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    "signing",
    [{"algorithm": "none"}, {"algorithm": "HS256", "key": CLIENT_SECRET.ljust(32, "x")}],
)
async def test_a_signature_that_others_could_make_is_refused(
    console: aiohttp.ClientSession, provider: SignOnProvider, signing: dict[str, Any]
) -> None:
    provider.signing = signing

    status, _, text = await sign_in(console)

    assert (status, "InvalidAlgorithmError" in text) == (403, True)


async def test_keys_are_followed_when_they_rotate(
    console: aiohttp.ClientSession, provider: SignOnProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "REST_SECONDS", 0)
    assert (await sign_in(console))[0] == 303

    provider.rotate("unpublished", publish=False)
    status, _, text = await sign_in(console)
    assert (status, "InvalidKeyError" in text) == (403, True)

    provider.rotate("second", elliptic=True)
    provider.signing = {"algorithm": "ES256"}
    assert (await sign_in(console))[0] == 303


async def test_the_way_back_holds_for_who_began_it_and_once(console: aiohttp.ClientSession) -> None:
    status, _, text = await sign_in(console, state="x")
    assert (status, "begun elsewhere" in text) == (403, True)

    status, _, text = await sign_in(console, code="x")
    assert (status, "invalid_grant" in text) == (403, True)

    console.cookie_jar.clear()
    async with console.get("/login/callback?code=code-0&state=", headers=PAGE) as answer:
        assert (answer.status, "begun elsewhere" in await answer.text()) == (403, True)


async def test_pages_of_other_sites_that_lead_here_lock_nobody_out(tmp_path: Path, provider: SignOnProvider) -> None:
    async with console_of(tmp_path, provider.url, tokens="ops:operator:run-it") as console:
        with capture_logs() as logs:
            for _ in range(FAILURES_PER_MINUTE + 1):
                async with console.get("/login/callback?code=x&state=y") as answer:
                    assert answer.status == 403
        assert [line["why"] for line in logs] == ["single-sign-on"] * (FAILURES_PER_MINUTE + 1)

        async with console.get("/api/summary", headers={"Authorization": "Bearer run-it"}) as answer:
            assert answer.status == 200


async def test_the_providers_no_is_told_in_its_own_word(
    console: aiohttp.ClientSession, provider: SignOnProvider
) -> None:
    provider.refusal = "access_denied"
    status, _, text = await sign_in(console)
    assert (status, "says no: access_denied" in text) == (403, True)

    provider.refusal = "<script>alert(1)</script>"
    status, _, text = await sign_in(console)
    assert (status, "script>alert" in text) == (403, False)


async def test_a_client_may_prove_itself_in_the_form(console: aiohttp.ClientSession, provider: SignOnProvider) -> None:
    provider.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}

    assert (await sign_in(console))[0] == 303


async def test_a_wrong_client_secret_is_told_without_it(tmp_path: Path, provider: SignOnProvider) -> None:
    with capture_logs() as logs:
        async with console_of(tmp_path, provider.url, oidc_client_secret="hunter2") as console:
            status, _, text = await sign_in(console)

    assert (status, "invalid_client" in text) == (403, True)
    assert "hunter2" not in text + str(logs)


async def test_a_provider_that_gives_no_id_token_is_told(
    console: aiohttp.ClientSession, provider: SignOnProvider
) -> None:
    provider.id_tokens = False

    status, _, text = await sign_in(console)

    assert (status, "OIDC_SCOPES" in text) == (403, True)


@pytest.mark.parametrize(
    ("discovery", "told"),
    [
        ({"issuer": "https://other.example"}, "calls itself https://other.example"),
        ({"token_endpoint": "http://other.example/token"}, "https address is needed"),
        ({"jwks_uri": None}, "lacks what sign-in needs"),
    ],
)
async def test_a_discovery_that_cannot_be_trusted_is_told(
    console: aiohttp.ClientSession, provider: SignOnProvider, discovery: dict[str, Any], told: str
) -> None:
    provider.discovery = discovery

    status, _, text = await sign_in(console)

    assert (status, told in text) == (503, True)


async def test_while_the_provider_is_away_people_are_told_and_then_get_in(
    console: aiohttp.ClientSession, provider: SignOnProvider
) -> None:
    provider.status = 502
    with capture_logs() as logs:
        status, _, text = await sign_in(console)
    assert (status, "answered 502" in text) == (503, True)
    assert any("answered 502" in str(one) for one in logs)

    provider.status = 200
    assert (await sign_in(console))[0] == 303


async def test_a_provider_that_nobody_reaches_is_told(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with console_of(tmp_path, f"http://127.0.0.1:{port}") as console:
        status, _, text = await sign_in(console)

    assert (status, "cannot be reached" in text) == (503, True)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"base_url": None}, "ZIFS_CONSOLE__BASE_URL is not set"),
        ({"base_url": "https://a.example/console"}, "ZIFS_CONSOLE__BASE_URL: must be like"),
        ({"oidc_client_id": None}, "ZIFS_CONSOLE__OIDC_CLIENT_ID is not set"),
        ({"oidc_client_secret": None}, "ZIFS_CONSOLE__OIDC_CLIENT_SECRET is not set"),
        ({"oidc_roles": ""}, "ZIFS_CONSOLE__OIDC_ROLES is not set"),
        ({"oidc_scopes": "profile"}, "ZIFS_CONSOLE__OIDC_SCOPES"),
        ({"oidc_issuer": "http://id.example"}, "ZIFS_CONSOLE__OIDC_ISSUER: an https address is needed"),
        ({"oidc_issuer": "https://eva:hunter2@id.example"}, "ZIFS_CONSOLE__OIDC_ISSUER: an address without user"),
        ({"oidc_issuer": "https://id.example?key=hunter2"}, "ZIFS_CONSOLE__OIDC_ISSUER: an address without user"),
    ],
)
def test_what_is_set_by_halves_is_told_at_the_start(changed: dict[str, Any], told: str) -> None:
    wrong = ConsoleSettings.model_validate(settings("https://id.example", **changed))

    with pytest.raises(SettingsError, match=told):
        sign_on(wrong)


def test_people_are_called_by_what_they_sign_in_with() -> None:
    assert name_of({"sub": "1", "preferred_username": "eva", "email": "e@x.example"}) == "eva"
    assert name_of({"sub": "1", "email": "e@x.example"}) == "e@x.example"
    assert name_of({"sub": "1", "preferred_username": "line\nbreak"}) == "1"


def test_a_claim_with_dots_in_its_own_name_is_found_first() -> None:
    assert values_at({"https://acme.example/roles": ["a"]}, "https://acme.example/roles") == ["a"]
    assert values_at({"a": {"b": "c"}}, "a.b") == ["c"]
    assert values_at({"a": "b"}, "a.b") == []

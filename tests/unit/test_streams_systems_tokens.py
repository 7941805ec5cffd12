"""Tokens: one request for all, renewed in time, replaced when refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from schemas.errors import TroubleError, UnauthorizedError
from streams.systems import tokens as tokens_module
from streams.systems.tokens import TokenSource
from tests.support.servers import serving
from tests.support.waiting import eventually


@dataclass
class Endpoint:
    """A token endpoint; `answers` go out one by one, then `token-N`."""

    seconds: float = 3600
    answers: list[web.Response] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(dict(await request.post()))
        if self.answers:
            return self.answers.pop(0)
        return web.json_response({"access_token": f"token-{len(self.asked)}", "expires_in": self.seconds})


@asynccontextmanager
async def running(endpoint: Endpoint) -> AsyncIterator[TokenSource]:
    async with serving(endpoint.handle) as url:
        endpoint.url = url
        yield TokenSource(f"{url}/oauth/token", "client", SecretStr("the-secret"), name="Zuora")


async def test_many_callers_make_one_request() -> None:
    endpoint = Endpoint()
    async with running(endpoint) as source:
        tokens = await asyncio.gather(*(source.token() for _ in range(50)))

    assert set(tokens) == {"token-1"}
    assert endpoint.asked == [
        {"grant_type": "client_credentials", "client_id": "client", "client_secret": "the-secret"}
    ]


async def test_a_token_near_its_end_is_renewed_and_a_fresh_one_kept() -> None:
    endpoint = Endpoint(seconds=0.2)
    async with running(endpoint) as source:
        first = await source.token()
        assert await source.token() == first
        await asyncio.sleep(0.17)  # 0.2 s less a fifth

        assert await source.token() == "token-2"


async def test_a_rejected_token_is_replaced_once_however_many_report_it() -> None:
    endpoint = Endpoint()
    async with running(endpoint) as source:
        old = await source.token()
        source.reject(old)
        new = await source.token()
        source.reject(old)

        assert await source.token() == new == "token-2"


async def test_tokens_that_are_all_refused_are_fetched_one_in_ten_seconds_and_others_credentials_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = Endpoint()
    monkeypatch.setattr(tokens_module, "YOUNG_SECONDS", 0.3)
    async with running(endpoint) as source:
        for _ in range(2):
            source.reject(await source.token())
        for _ in range(50):
            with pytest.raises(UnauthorizedError, match="Zuora refuses a fresh token"):
                await source.token()
        assert len(endpoint.asked) == 2

        await eventually(lambda: _answered(source), bool, seconds=5)
        assert len(endpoint.asked) == 3

        source.reject(await source.token())
        source.update("other", SecretStr("other-secret"))
        assert await source.token() == "token-4"


async def _answered(source: TokenSource) -> bool:
    try:
        return bool(await source.token())
    except UnauthorizedError:
        return False


async def test_a_token_that_is_refused_after_a_while_is_replaced_at_once_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens_module, "YOUNG_SECONDS", 0)
    endpoint = Endpoint()
    async with running(endpoint) as source:
        for number in range(1, 6):
            assert await source.token() == f"token-{number}"
            source.reject(f"token-{number}")


@pytest.mark.parametrize("status", [400, 401])
async def test_wrong_credentials_name_the_system_and_the_settings_but_not_the_secret(status: int) -> None:
    endpoint = Endpoint(answers=[web.json_response({"error": "invalid_client"}, status=status)])
    async with running(endpoint) as source:
        with pytest.raises(UnauthorizedError) as caught:
            await source.token()

    assert str(caught.value) == (
        f"Zuora refuses the credentials ({status}, invalid_client): "
        "check ZIFS_ZUORA__CLIENT_ID and ZIFS_ZUORA__CLIENT_SECRET, or those in the vault"
    )
    assert "the-secret" not in repr(source) + repr(vars(source))


async def test_refused_credentials_are_not_sent_again_for_a_while_and_others_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = Endpoint(answers=[web.Response(status=401), web.Response(status=401)])
    async with running(endpoint) as source:
        for _ in range(20):
            with pytest.raises(UnauthorizedError):
                await source.token()
        assert len(endpoint.asked) == 1

        monkeypatch.setattr("streams.systems.tokens.REFUSED_REST_SECONDS", 0.0)
        source.update("client", SecretStr("new"))
        with pytest.raises(UnauthorizedError):
            await source.token()
        assert await source.token() == "token-3"


async def test_those_who_waited_for_a_refused_request_do_not_ask_again_but_the_next_does() -> None:
    endpoint = Endpoint(answers=[web.Response(status=503, headers={"Retry-After": "7"})])
    async with running(endpoint) as source:
        outcomes = await asyncio.gather(*(source.token() for _ in range(5)), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [TroubleError] * 5
        assert outcomes[0].retry_after == 7  # type: ignore[union-attr]
        assert len(endpoint.asked) == 1
        assert await source.token() == "token-2"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"access_token": "", "expires_in": 5}',
        b'{"access_token": "a\\r\\nX: b", "expires_in": 5}',
        b'{"access_token": "a", "expires_in": "soon"}',
        b'{"access_token": "a", "expires_in": -1}',
        b'{"access_token": "a", "expires_in": NaN}',
        b'{"access_token": 5, "expires_in": 5}',
        b"[" * 100_000,
        b" " * 100_000,
    ],
)
async def test_an_answer_without_a_token_is_trouble(body: bytes) -> None:
    async with running(Endpoint(answers=[web.Response(body=body)])) as source:
        with pytest.raises(TroubleError):
            await source.token()


async def test_a_token_without_a_life_time_holds_until_it_is_refused() -> None:
    endpoint = Endpoint(answers=[web.json_response({"access_token": "a"})])
    async with running(endpoint) as source:
        assert [await source.token(), await source.token()] == ["a", "a"]


async def test_replaced_credentials_are_used_from_the_next_token_on() -> None:
    endpoint = Endpoint()
    async with running(endpoint) as source:
        await source.token()
        source.update("other", SecretStr("new"))

        assert await source.token() == "token-2"
    assert endpoint.asked[1]["client_id"] == "other"
    assert endpoint.asked[1]["client_secret"] == "new"


async def test_an_endpoint_that_cannot_be_reached_is_trouble() -> None:
    async with running(endpoint := Endpoint()) as source:
        pass
    with pytest.raises(TroubleError, match="cannot be reached"):
        await source.token()
    assert endpoint.asked == []


async def test_a_cancelled_caller_does_not_stop_the_others() -> None:
    endpoint = Endpoint()
    async with running(endpoint) as source:
        first = asyncio.create_task(source.token())
        second = asyncio.create_task(source.token())
        await asyncio.sleep(0)
        first.cancel()

        assert (await asyncio.wait_for(second, 5)).startswith("token-")

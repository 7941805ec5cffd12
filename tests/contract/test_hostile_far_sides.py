"""Zuora and IFS Cloud answer with anything at all, over real TCP: what comes of it is exact, or an error we know."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from schemas.base import DocumentType
from schemas.errors import FarSideError, RefusedError, TroubleError, UnauthorizedError, UncertainError
from streams.settings import ZuoraSettings
from streams.systems.ifs.errors import Verdict
from streams.systems.retry import retry_after_seconds
from streams.systems.zuora.client import zuora_session
from tests.support.hostile_server import gzipped, hostile_server, http
from tests.support.hostile_systems import (
    DEEP,
    ID,
    INVOICE,
    MIB,
    NOT_HTTP,
    NOT_JSON,
    REDIRECTS,
    ifs,
    posted,
    zuora,
)

# --- what is no answer ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOT_HTTP | NOT_JSON | REDIRECTS)
async def test_what_is_no_answer_of_zuora_is_trouble_and_never_a_document(name: str) -> None:
    async with zuora((NOT_HTTP | NOT_JSON | REDIRECTS)[name]) as (client, _):
        with pytest.raises(TroubleError) as error:
            await client.fetch(DocumentType.INVOICE, ID)

    assert error.value.retriable
    assert "planted" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", NOT_HTTP | NOT_JSON | REDIRECTS)
async def test_what_is_no_answer_of_ifs_is_trouble_and_never_no_rows(name: str) -> None:
    async with ifs((NOT_HTTP | NOT_JSON | REDIRECTS)[name]) as (client, _):
        with pytest.raises(TroubleError) as error:
            await client.where_is("10", "INV1-AAAA")

    assert error.value.retriable
    assert "planted" not in str(error.value)


@pytest.mark.parametrize("name", sorted(NOT_HTTP | NOT_JSON | REDIRECTS))
async def test_after_a_post_what_is_no_answer_of_ifs_leaves_it_uncertain(name: str) -> None:
    async with ifs((NOT_HTTP | NOT_JSON | REDIRECTS)[name]) as (client, server):
        created = await posted(client)

    assert (created.judgement.verdict, created.number) == (Verdict.UNCERTAIN, None)
    assert len(server.others) == 1


# --- credentials ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_takes_credentials_to_another_host(status: int) -> None:
    async with hostile_server(http({})) as other:
        answer = http(b"", status, location=f"{other.url}/v1/invoices/x", set_cookie="a=b; Domain=127.0.0.1")
        async with zuora(answer) as (client, server):
            with pytest.raises(TroubleError):
                await client.get("/v1/invoices/x")
            server.token_answer = http(b"", status, location=f"{other.url}/oauth/token")
        async with ifs(answer) as (client_of_ifs, server):
            assert (await posted(client_of_ifs)).judgement.verdict is Verdict.UNCERTAIN
        async with ifs(answer) as (client_of_ifs, server):
            server.token_answer = http(b"", status, location=f"{other.url}/token")
            with pytest.raises(TroubleError):
                await client_of_ifs.where_is("10", "INV1-AAAA")
        assert other.requests == []


@pytest.mark.parametrize(
    "link", ["http://[", "http://evil.example/v1/x", "\ud800", "a\r\nb: c", "//evil.example/x", "é"]
)
async def test_a_next_page_elsewhere_is_asked_at_our_own_address_or_not_at_all(
    link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.systems.ifs.service.MOST_PAGES", 3)  # since this one goes on for ever
    async with ifs(http({"value": [], "@odata.nextLink": link})) as (client, server):
        with pytest.raises(TroubleError):
            await client.service.page("P", "S", "")
    assert all(request.headers["host"] == server.url.removeprefix("http://") for request in server.requests)

    async with zuora(http({**INVOICE, "nextPage": link})) as (reader, server):
        with pytest.raises(FarSideError):
            await reader.fetch(DocumentType.INVOICE, ID)
    assert all(request.headers["host"] == server.url.removeprefix("http://") for request in server.requests)


async def test_cookies_are_never_sent_back() -> None:
    async with zuora(http(INVOICE, set_cookie="session=1; \x01=\x02")) as (client, server):
        await client.get("/v1/a")
        await client.get("/v1/b")
    assert not any("cookie" in request.headers for request in server.requests)


TOKEN_ANSWERS = {
    **NOT_HTTP,
    **NOT_JSON,
    "no token": http({"expires_in": 3600}),
    "a token that is none": http({"access_token": {"a": 1}}),
    "a token with a line break": http({"access_token": "a\r\nX-Evil: 1"}),
    "a token of half a character": http({"access_token": "\ud800"}),
    "a life of 400 digits": http(b'{"access_token": "a", "expires_in": %s}' % (b"9" * 400)),
    "a life below zero": http({"access_token": "a", "expires_in": -1}),
    "a life that is none": http({"access_token": "a", "expires_in": []}),
    "100 kB": http({"access_token": "a" * 100_000}),
}


@pytest.mark.parametrize("name", sorted(TOKEN_ANSWERS.keys() - {"a name twice"}))
async def test_a_token_endpoint_that_answers_nonsense_is_trouble(name: str) -> None:
    async with zuora(http(INVOICE)) as (client, server):
        server.token_answer = TOKEN_ANSWERS[name]
        with pytest.raises(TroubleError) as error:
            await client.get("/v1/a")
        assert server.others == []
    assert "planted" not in str(error.value)


async def test_a_token_endpoint_that_refuses_in_nonsense_is_told_as_a_refusal() -> None:
    async with zuora() as (client, server):
        for body in (b"\xff" * 10_000, DEEP[:50_000], b'{"error": ["\\ud800"]}', b'{"error": "a\\nb"}'):
            server.token_answer = http(body, 401)
            with pytest.raises(UnauthorizedError, match=r"^Zuora refuses the credentials \(401\): check"):
                await client.get("/v1/a")


# --- bounds -----------------------------------------------------------------------------------------------------------


@contextmanager
def memory_grows_by_less_than(most_bytes: int) -> Iterator[None]:
    process = psutil.Process()
    before = process.memory_info().rss
    yield
    grown = process.memory_info().rss - before
    assert grown < most_bytes, f"{grown / MIB:.0f} MiB"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("length", ["Content-Length: 500000000", "Content-Length: 99999999999999", "X: no length"])
async def test_an_answer_without_end_is_left_once_it_is_over_the_bound(length: str) -> None:
    async with ifs() as (client, server):
        server.answer = server.pour(HEAD + length.encode() + b"\r\n\r\n", b" " * MIB)
        with memory_grows_by_less_than(150 * MIB), pytest.raises(TroubleError, match="more than 33554432 bytes"):
            await client.service.page("P", "S", "")
        assert server.sent_bytes < 64 * MIB
        server.sent_bytes = 0
        with memory_grows_by_less_than(150 * MIB):
            assert (await posted(client)).judgement.verdict is Verdict.UNCERTAIN

    async with zuora(largest_body_bytes=MIB) as (reader, server):
        server.answer = server.pour(HEAD + length.encode() + b"\r\n\r\n", b" " * MIB)
        with pytest.raises(RefusedError, match="more than 1048576 bytes"):
            await reader.get("/v1/a")
        assert server.sent_bytes < 32 * MIB


async def test_a_few_kilobytes_that_unpack_to_many_megabytes_are_left_at_the_bound() -> None:
    answer = gzipped(b"\0" * 40 * MIB)
    assert len(answer) < MIB
    async with ifs(answer) as (client, _):
        with memory_grows_by_less_than(150 * MIB), pytest.raises(TroubleError, match="more than 33554432 bytes"):
            await client.service.page("P", "S", "")
        assert (await posted(client)).judgement.verdict is Verdict.UNCERTAIN
    async with zuora() as (reader, server):
        server.token_answer = answer
        with memory_grows_by_less_than(50 * MIB), pytest.raises(TroubleError, match="more than 65536 bytes"):
            await reader.get("/v1/a")


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def test_an_answer_that_drips_for_ever_is_left_in_time() -> None:
    async with zuora(drip, total_timeout=0.3) as (client, _):
        async with asyncio.timeout(10):
            with pytest.raises(TroubleError, match=r"did not answer within 0\.3 s"):
                await client.get("/v1/a")
            with pytest.raises(UncertainError):
                await client._session.request("POST", "/v1/a", json={}, is_write=True)


@given(st.text(max_size=40) | st.integers().map(str) | st.floats().map(str) | st.datetimes().map(str))
def test_a_wait_that_is_asked_for_is_within_an_hour_or_none(value: str) -> None:
    seconds = retry_after_seconds({"Retry-After": value})
    assert seconds is None or 0 <= seconds <= 3600


@pytest.mark.parametrize(
    "value", ["-1", "1000000000", "9" * 400, "Fri, 31 Dec 99999 23:59:59 GMT", "nan", "1e5", "\u0661"]
)
def test_waits_that_cannot_be_are_within_an_hour_or_none(value: str) -> None:
    seconds = retry_after_seconds({"Retry-After": value})
    assert seconds is None or 0 <= seconds <= 3600


def test_the_session_of_the_settings_has_these_bounds() -> None:
    session = zuora_session(
        ZuoraSettings(base_url="https://zuora.example", client_id="a", client_secret=SecretStr("b"))
    )
    assert (session._largest_body_bytes, session._total_timeout) == (32 * MIB, 130.0)

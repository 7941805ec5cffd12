"""HTTP towards a far side: tokens, bounds, and what faults of the network become."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

import streams.systems.session
from schemas.errors import RefusedError, TroubleError, UnauthorizedError, UncertainError, UnreadableError
from streams.clocks import steady_seconds
from streams.systems.bodies import read_json, write_json
from streams.systems.budget import RateBudget
from streams.systems.session import TOO_LARGE, HttpSession
from streams.systems.tokens import TokenSource
from tests.support.servers import serving


class Tokens(TokenSource):
    """Gives token-1, then after each rejection the next number."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1/unused", "client", SecretStr("secret"))
        self.number = 1

    async def token(self) -> str:
        return f"token-{self.number}"

    def reject(self, token: str) -> None:
        if token == f"token-{self.number}":
            self.number += 1


@asynccontextmanager
async def session_to(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], path: str = "", **options: Any
) -> AsyncIterator[HttpSession]:
    async with serving(handler) as url, HttpSession(url + path, Tokens(), name="Zuora", **options) as session:
        yield session


async def test_a_request_carries_bearer_defaults_and_the_query_as_it_is() -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(body=b'{"amount": 1190.10}', headers={"X-Case": "any"})

    async with session_to(handler, "/base/", default_headers={"Zuora-Version": "2025-08-12"}) as session:
        answer = await session.request("GET", "/v1/a%20b", params="filter=x%2By", headers={"Zuora-Track-Id": "t"})

    assert seen[0].raw_path == "/base/v1/a%20b?filter=x%2By"
    assert seen[0].headers["Authorization"] == "Bearer token-1"
    assert seen[0].headers["Zuora-Version"] == "2025-08-12"
    assert seen[0].headers["Zuora-Track-Id"] == "t"
    assert answer.status == 200
    assert answer.headers["x-case"] == "any"
    assert answer.json() == {"amount": Decimal("1190.10")}


async def test_decimals_go_out_as_exact_numbers() -> None:
    bodies: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        assert request.content_type == "application/json"
        bodies.append(await request.read())
        return web.Response(status=201)

    async with session_to(handler) as session:
        answer = await session.request("POST", "x", json={"DebetAmount": Decimal("1190.10")}, is_write=True)

    assert answer.status == 201
    assert bodies == [b'{"DebetAmount":1190.10}']


async def test_a_401_is_tried_once_more_with_a_fresh_token() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.headers["Authorization"] == "Bearer token-2" else 401)

    async with session_to(handler) as session:
        assert (await session.request("GET", "x")).status == 200


async def test_a_second_401_is_an_error_and_the_next_request_starts_with_another_token() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(status=401)

    async with session_to(handler) as session:
        with pytest.raises(UnauthorizedError, match="Zuora refuses a fresh token"):
            await session.request("GET", "x")
        with pytest.raises(UnauthorizedError):
            await session.request("GET", "x")

    assert seen == [f"Bearer token-{number}" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1/invoices",
        "https://evil.example/v1/invoices",
        "http://user:password@{host}/v1/invoices",
        "http://{host}@evil.example/v1/invoices",
        "http://{host}\\@evil.example/",
        "/v1/in voices",
        "/v1/invoices\r\nX-Header: 1",
        "/v1/fakturor-å",
    ],
)
async def test_credentials_go_to_no_other_origin_and_no_odd_address(url: str) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async with serving(handler) as base, HttpSession(base, Tokens(), name="Zuora") as session:
        with pytest.raises(RefusedError):
            await session.request("GET", url.replace("{host}", base.removeprefix("http://")))
    assert asked == []


async def test_a_whole_url_of_the_same_origin_is_followed() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.path_qs)

    async with serving(handler) as base, HttpSession(base, Tokens(), name="Zuora") as session:
        answer = await session.request("GET", f"{base}/v1/items?page=2")

    assert answer.body == b"/v1/items?page=2"


async def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    cookies: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(status=302, headers={"Location": "/elsewhere", "Set-Cookie": "session=1; Path=/"})

    async with session_to(handler) as session:
        answers = [await session.request("GET", "x") for _ in range(2)]

    assert [answer.status for answer in answers] == [302, 302]
    assert cookies == [None, None]


async def test_gzip_is_unpacked() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"[1.10]"), headers={"Content-Encoding": "gzip"})

    async with session_to(handler) as session:
        assert (await session.request("GET", "x")).json() == [Decimal("1.10")]


def bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(50)) + packer.flush()


@pytest.mark.parametrize(
    ("body", "headers"), [(bytes(2000), {}), (bomb(), {"Content-Encoding": "gzip"})], ids=["plain", "packed"]
)
async def test_a_body_beyond_the_bound_is_refused_packed_or_not(body: bytes, headers: dict[str, str]) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, headers=headers)

    async with session_to(handler, largest_body_bytes=1000) as session:
        with pytest.raises(RefusedError, match="more than 1000 bytes") as caught:
            await session.request("GET", "x")
        assert caught.value.code == TOO_LARGE
        with pytest.raises(UncertainError):
            await session.request("POST", "x", is_write=True)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"no gzip at all", {"Content-Encoding": "gzip"}),
        (gzip.compress(b"x" * 1000)[:-9], {"Content-Encoding": "gzip"}),
        (b"x", {"Content-Encoding": "br"}),
    ],
    ids=["not gzip", "broken off", "not asked for"],
)
async def test_a_body_that_cannot_be_unpacked_is_trouble(body: bytes, headers: dict[str, str]) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, headers=headers)

    async with session_to(handler) as session:
        with pytest.raises(TroubleError):
            await session.request("GET", "x")


async def test_a_lost_answer_is_trouble_for_a_read_and_uncertain_for_a_write() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport
        request.transport.close()
        return web.Response()

    async with session_to(handler) as session:
        with pytest.raises(TroubleError) as read:
            await session.request("GET", "x")
        with pytest.raises(UncertainError) as write:
            await session.request("POST", "x", is_write=True)

    assert not isinstance(read.value, UncertainError)
    assert read.value.retriable
    assert not write.value.retriable


async def test_a_slow_answer_is_trouble_for_a_read_and_uncertain_for_a_write() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with session_to(handler) as session:
        with pytest.raises(TroubleError, match=r"did not answer within 0\.1 s") as read:
            await session.request("GET", "x", timeout=0.1)
        with pytest.raises(UncertainError):
            await session.request("POST", "x", timeout=0.1, is_write=True)

    assert not isinstance(read.value, UncertainError)


async def test_without_a_connection_a_write_is_certainly_not_done() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # taken but not listening: refuses every connection
        async with HttpSession(f"http://127.0.0.1:{held.getsockname()[1]}", Tokens(), name="IFS Cloud") as session:
            with pytest.raises(TroubleError, match="IFS Cloud cannot be reached") as caught:
                await session.request("POST", "x", is_write=True)

    assert not isinstance(caught.value, UncertainError)


async def test_a_write_that_does_not_arrive_in_time_does_not_arrive_after_it_was_given_up() -> None:
    with socket.socket() as far_side:  # takes a few kilobytes and then nothing, as if the network had stopped
        far_side.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        far_side.bind(("127.0.0.1", 0))
        far_side.listen()
        far_side.settimeout(10)
        url = f"http://127.0.0.1:{far_side.getsockname()[1]}"
        async with HttpSession(url, Tokens(), name="IFS Cloud", arrives_within=0.2) as session:
            with pytest.raises(UncertainError, match="IFS Cloud"):
                await session.request("POST", "x", data=bytes(100_000), timeout=2, is_write=True)
        taken, _ = far_side.accept()
        taken.settimeout(10)
        with taken, taken.makefile("rb") as arrived, pytest.raises(ConnectionResetError):
            arrived.read()


async def test_a_write_whose_token_comes_too_late_is_surely_not_sent() -> None:
    seen: list[web.Request] = []

    class SlowTokens(Tokens):
        async def token(self) -> str:
            await asyncio.sleep(0.1)
            return await super().token()

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response()

    async with serving(handler) as url, HttpSession(url, SlowTokens(), name="IFS Cloud") as session:
        with pytest.raises(TroubleError, match="not sent to IFS Cloud") as caught:
            await session.request("POST", "x", is_write=True, leaves_within=0.05)
        assert not isinstance(caught.value, UncertainError)
        assert seen == []
        assert (await session.request("POST", "x", is_write=True, leaves_within=30)).status == 200


async def test_a_write_whose_token_is_refused_and_renewed_too_late_is_not_sent_again() -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=401)

    async def slowly() -> None:
        await asyncio.sleep(0.6)

    async with session_to(handler) as session:
        with pytest.raises(TroubleError, match="not sent"):
            await session.request("POST", "x", is_write=True, leaves_within=0.5, before_repeat=slowly)
    assert len(seen) == 1


async def test_no_more_requests_at_a_time_than_allowed_and_each_one_counts_in_the_budget() -> None:
    inside = most = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1
        return web.Response()

    budget = RateBudget(1000)
    async with session_to(handler, concurrency=lambda: 3.9, budget=budget) as session:
        await asyncio.gather(*(session.request("GET", "x") for _ in range(20)))

    assert most == 3
    assert await budget.spent() == 20


async def test_a_request_can_be_cancelled_and_gives_its_slot_back() -> None:
    begun = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/slow":
            begun.set()
            await asyncio.sleep(30)
        return web.Response()

    async with session_to(handler, concurrency=1) as session:
        slow = asyncio.create_task(session.request("GET", "slow"))
        await begun.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow

        assert (await asyncio.wait_for(session.request("GET", "fast"), 5)).status == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"<html>", b"NaN", b"[Infinity]", b"\xff", b"[" * 100_000, b"9" * 10_000, b'{"a": 1} x'],
    ids=["empty", "open", "html", "NaN", "Infinity", "not UTF-8", "deep", "long number", "more"],
)
def test_what_is_not_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_json(body)


def test_numbers_are_read_by_their_text() -> None:
    assert read_json(b"[0.1, 1.10, 1e2, 5, 123456789012345678901234567890.123456789]") == [
        Decimal("0.1"),
        Decimal("1.10"),
        Decimal("1e2"),
        5,
        Decimal("123456789012345678901234567890.123456789"),
    ]


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), object()])
def test_what_has_no_json_form_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        write_json([value])


async def test_what_must_leave_soon_does_not_leave_after_the_machine_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    posts: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        posts.append(request)
        return web.Response()

    async def asleep(_: Tokens) -> str:
        monkeypatch.setattr(streams.systems.session, "steady_seconds", lambda: steady_seconds() + 300)
        return "token"

    async with session_to(handler) as session:
        monkeypatch.setattr(Tokens, "token", asleep)
        with pytest.raises(TroubleError, match="not sent"):
            await session.request("POST", "x", is_write=True, leaves_within=30)
    assert posts == []

"""The door over real HTTP: rates of a source, proxies, bearer tokens, and what is said of who was refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from agents.ingress.app import create_app
from agents.limits import SLOTS, SourceLimit
from agents.serving import Site, start_site
from streams.settings import Settings
from tests.support.identity_provider import AUDIENCE, ISSUER, IdentityProvider

BASIC = {"basic_username": "zuora", "basic_password": "right"}
RIGHT = {"Authorization": aiohttp.encode_basic_auth("zuora", "right")}
WRONG = {"Authorization": aiohttp.encode_basic_auth("zuora", "hunter2")}
BEHIND_A_PROXY = {"trusted_proxies": "127.0.0.1,10.0.0.0/8"}


class EverythingTaken:
    """A log that takes everything and keeps nothing."""

    async def send_and_confirm(self, _topic: str, **_: Any) -> None:
        return

    async def partitions(self, _topic: str) -> int:
        return 1


@asynccontextmanager
async def running(**ingress: Any) -> AsyncIterator[Site]:
    settings = Settings.model_validate({"ingress": ingress})
    site = await start_site(create_app(settings, EverythingTaken()), "127.0.0.1", 0, auto_decompress=False)
    try:
        yield site
    finally:
        await site.stop()


async def post(site: Site, headers: dict[str, str], times: int = 1) -> list[tuple[int, str]]:
    """Send callouts one by one; return each status and `Retry-After`."""
    async with aiohttp.ClientSession() as session:
        answers = []
        for _ in range(times):
            async with session.post(f"{site.url}/webhooks/zuora", json={"InvoiceId": "1"}, headers=headers) as answer:
                answers.append((answer.status, answer.headers.get("Retry-After", "")))
        return answers


def refused(why: str) -> float:
    return REGISTRY.get_sample_value("zuora_ifs_ingress_refused_total", {"why": why}) or 0.0


async def test_a_source_above_its_rate_is_told_when_to_come_again() -> None:
    before = refused("too many requests")
    async with running(**BASIC, requests_per_minute_per_source=3) as site:
        answers = await post(site, RIGHT, 5)

    assert [status for status, _ in answers] == [200, 200, 200, 429, 429]
    assert all(1 <= int(seconds) <= 30 for status, seconds in answers if status == 429)
    assert refused("too many requests") - before == 2


async def test_each_source_has_a_rate_of_its_own_behind_a_trusted_proxy() -> None:
    async with running(**BASIC, **BEHIND_A_PROXY, requests_per_minute_per_source=1) as site:
        first = await post(site, RIGHT | {"X-Forwarded-For": "192.0.2.1"}, 2)
        second = await post(site, RIGHT | {"X-Forwarded-For": "192.0.2.2, 10.1.1.1"}, 2)

    assert [status for status, _ in first + second] == [200, 429, 200, 429]


async def test_nobody_gets_another_rate_by_writing_another_source() -> None:
    async with running(**BASIC, requests_per_minute_per_source=1) as site:
        answers = [(await post(site, RIGHT | {"X-Forwarded-For": f"192.0.2.{n}"}))[0][0] for n in range(3)]

    assert answers == [200, 429, 429]


async def test_too_many_failures_close_the_door_also_for_a_right_guess() -> None:
    before = refused("wrong credentials")
    async with running(**BASIC, failures_per_minute_per_source=3) as site:
        wrong = await post(site, WRONG, 4)
        right = await post(site, RIGHT)

    assert [status for status, _ in wrong] == [401, 401, 401, 429]
    assert right[0][0] == 429
    assert refused("wrong credentials") - before == 3


async def test_zuoras_first_half_of_basic_is_no_failure() -> None:
    async with running(**BASIC, failures_per_minute_per_source=2) as site:
        first_halves = await post(site, {}, 5)
        right = await post(site, RIGHT)

    assert {status for status, _ in first_halves} == {401}
    assert right[0][0] == 200


async def test_0_is_no_limit() -> None:
    async with running(hmac_secret="s", requests_per_minute_per_source=0, failures_per_minute_per_source=0) as site:
        assert {status for status, _ in await post(site, {}, 100)} == {401}


@pytest.mark.parametrize(
    ("settings", "headers", "reason"),
    [
        (BASIC, WRONG, "wrong credentials"),
        ({"hmac_secret": "s"}, {"X-Zuora-Signature": "hunter2"}, "wrong signature"),
        ({"allow_anonymous": True, "max_body_bytes": 1024}, {"Content-Encoding": "gzip"}, "larger than 1024 bytes"),
    ],
    ids=["credentials", "signature", "size"],
)
async def test_a_refused_attempt_is_told_with_its_source_and_without_its_secret(
    settings: dict[str, Any], headers: dict[str, str], reason: str
) -> None:
    forwarded = headers | {"X-Forwarded-For": "198.51.100.7"}
    before = refused(reason)
    async with running(**settings, **BEHIND_A_PROXY) as site, aiohttp.ClientSession() as session:
        with capture_logs() as logs:
            async with session.post(f"{site.url}/webhooks/zuora", data=b"x" * 2000, headers=forwarded):
                pass

    told = [line for line in logs if line["event"] == "a callout was refused"]
    assert [(line["source"], line["reason"], line["log_level"]) for line in told] == [
        ("198.51.100.7", reason, "warning")
    ]
    assert "hunter2" not in str(logs)
    assert "aHVudGVyMg" not in str(logs)
    assert refused(reason) - before == 1


async def test_bearer_tokens_over_the_whole_way() -> None:
    provider = IdentityProvider()
    async with provider.running():
        jwt = {"jwt_jwks_url": provider.url, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
        async with running(**jwt) as site:
            good = await post(site, {"Authorization": f"Bearer {provider.token()}"}, 2)
            bad = await post(site, {"Authorization": f"Bearer {provider.token(aud='other')}"})
            none = await post(site, {})
        provider.status = 500
        async with running(**jwt) as site:
            unknown = await post(site, {"Authorization": f"Bearer {provider.token()}"})

    assert [*good, *bad, *none] == [(200, ""), (200, ""), (401, ""), (401, "")]
    assert unknown == [(503, "30")]


async def test_memory_is_bounded_however_many_sources_there_are() -> None:
    limit = SourceLimit(10)
    for number in range(3 * SLOTS):
        await limit.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert len(limit._limiter.storage.storage) <= SLOTS  # type: ignore[attr-defined]


async def test_a_network_of_ipv6_is_one_source() -> None:
    limit = SourceLimit(1)

    assert await limit.take("2001:db8:1:2::1")
    assert not await limit.take("2001:db8:1:2:ffff::9")
    assert await limit.is_reached("2001:db8:1:2::77")
    assert await limit.take("2001:db8:1:3::1")

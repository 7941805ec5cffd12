"""The Zuora sandbox sends callouts as Zuora does: challenge, signature, only 200 is success, retries, history."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from deploy.sandbox.serving import listening
from deploy.sandbox.testing import running_zuora

Decide = Callable[[web.Request, int], int]


class Receiver:
    """Takes callouts and answers as told; keeps headers and bodies."""

    def __init__(self, decide: Decide) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self._decide = decide

    async def take(self, request: web.Request) -> web.Response:
        self.seen.append((dict(request.headers), await request.read()))
        status = self._decide(request, len(self.seen))
        headers = {"WWW-Authenticate": 'Basic realm="hooks"'} if status == 401 else None
        return web.json_response({"success": status == 200}, status=status, headers=headers)


@asynccontextmanager
async def receiver(decide: Decide = lambda _, __: 200) -> AsyncIterator[tuple[Receiver, str]]:
    made = Receiver(decide)
    app = web.Application()
    app.router.add_post("/hooks", made.take)
    async with listening(app) as url:
        yield made, f"{url}/hooks"


async def post_invoices(url: str, count: int = 1) -> dict[str, Any]:
    """Post invoices and wait until every callout has come to its end; gives the counters."""
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/_sandbox/bill-run", json={"invoices": count}) as answer:
            assert answer.status == 201
        async with asyncio.timeout(30):
            while True:
                async with session.get(f"{url}/_sandbox/callouts?history=true") as answer:
                    report: dict[str, Any] = await answer.json()
                if not report["pending"]:
                    return report
                await asyncio.sleep(0.01)


def asks_for_password(request: web.Request, _: int) -> int:
    expected = "Basic " + base64.b64encode("zuora:sécret".encode()).decode()
    return 200 if request.headers.get("Authorization") == expected else 401


async def test_basic_waits_for_the_challenge() -> None:
    async with (
        receiver(asks_for_password) as (hook, address),
        running_zuora(callout_url=address, callout_username="zuora", callout_password="sécret") as zuora,
    ):
        report = await post_invoices(zuora.url)

    assert ["Authorization" in headers for headers, _ in hook.seen] == [False, True]
    assert (report["acknowledged"], report["challenged"], report["attempts"]) == (1, 1, 1)


async def test_basic_can_be_preemptive() -> None:
    settings = {"callout_username": "zuora", "callout_password": "sécret", "callout_preemptive": True}
    async with (
        receiver(asks_for_password) as (hook, address),
        running_zuora(callout_url=address, **settings) as zuora,
    ):
        report = await post_invoices(zuora.url)

    assert (len(hook.seen), report["acknowledged"], report["challenged"]) == (1, 1, 0)


@pytest.mark.parametrize(("encoding", "prefix", "algorithm"), [("hex", "sha256=", "sha256"), ("base64", "", "sha512")])
async def test_the_signature_is_over_the_exact_bytes(encoding: str, prefix: str, algorithm: str) -> None:
    settings = {"callout_hmac_encoding": encoding, "callout_hmac_prefix": prefix, "callout_hmac_algorithm": algorithm}
    async with (
        receiver() as (hook, address),
        running_zuora(callout_url=address, callout_hmac_secret="s3", **settings) as zuora,
    ):
        await post_invoices(zuora.url)

    headers, body = hook.seen[0]
    digest = hmac.new(b"s3", body, getattr(hashlib, algorithm)).digest()
    expected = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    assert headers["X-Zuora-Signature"] == prefix + expected


@pytest.mark.parametrize(
    ("status", "attempts"), [(500, 3), (503, 3), (429, 3), (403, 3), (408, 3), (400, 1), (202, 1), (302, 1), (404, 1)]
)
async def test_only_some_failures_are_tried_again(status: int, attempts: int) -> None:
    async with (
        receiver(lambda _, __: status) as (hook, address),
        running_zuora(callout_url=address, callout_retry_seconds=0.01) as zuora,
    ):
        report = await post_invoices(zuora.url)

    assert (len(hook.seen), report["givenUp"], report["acknowledged"]) == (attempts, 1, 0)


async def test_a_retry_keeps_the_notification_and_has_a_new_request_id() -> None:
    async with (
        receiver(lambda _, count: 503 if count == 1 else 200) as (hook, address),
        running_zuora(callout_url=address, callout_retry_seconds=0.01) as zuora,
    ):
        report = await post_invoices(zuora.url)

    notifications, requests = [
        {headers[name] for headers, _ in hook.seen} for name in ("Zuora-Notification-Id", "Zuora-Request-Id")
    ]
    assert (len(hook.seen), len(notifications), len(requests)) == (2, 1, 2)
    assert [each["responseCode"] for each in report["history"]] == ["503", "200"]


async def test_a_receiver_that_does_not_answer_in_time_is_tried_again() -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_post("/hooks", never)
    settings = {"callout_timeout_seconds": 0.05, "callout_retry_seconds": 0.01, "callout_attempts": 2}
    async with listening(app) as url, running_zuora(callout_url=f"{url}/hooks", **settings) as zuora:
        report = await post_invoices(zuora.url)

    assert [each["responseCode"] for each in report["history"]] == ["-1", "-1"]


async def test_duplicates_keep_their_notification_id_and_drops_are_never_sent() -> None:
    async with receiver() as (hook, address):
        async with running_zuora(callout_url=address, callout_duplicates=1.0) as zuora:
            await post_invoices(zuora.url, 3)
        ids = [headers["Zuora-Notification-Id"] for headers, _ in hook.seen]
        hook.seen.clear()
        async with running_zuora(callout_url=address, callout_drops=1.0) as zuora:
            report = await post_invoices(zuora.url, 3)

    assert (len(ids), len(set(ids))) == (6, 3)
    assert (hook.seen, report["dropped"]) == ([], 3)


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("json", b'{"event":"InvoicePosted","objectType":"Invoice","objectId":"8ad0'),
        ("params", b'{"InvoiceId":"8ad0'),
        ("xml", b"<?xml"),
    ],
)
async def test_bodies_come_in_the_forms_that_tenants_configure(kind: str, start: bytes) -> None:
    async with receiver() as (hook, address), running_zuora(callout_url=address, callout_body=kind) as zuora:
        await post_invoices(zuora.url)

    assert hook.seen[0][1].startswith(start)


async def test_unposting_has_no_standard_event() -> None:
    async with (
        receiver() as (hook, address),
        running_zuora(callout_url=address) as zuora,
        aiohttp.ClientSession() as session,
    ):
        async with session.post(f"{zuora.url}/_sandbox/invoices", json={"items": 1}) as answer:
            made = await answer.json()
        async with session.post(f"{zuora.url}/_sandbox/invoices/{made['id']}/unpost", json={}) as answer:
            assert answer.status == 200
        unposted = await post_invoices(zuora.url, 0)

    assert (len(hook.seen), unposted["notifications"]) == (1, 1)

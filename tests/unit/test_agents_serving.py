"""Probes, metrics, and sites that start on any port and stop in time."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence

import aiohttp
import pytest
from aiohttp import web

from agents import serving
from agents.serving import add_probes, start_site, stop_signal
from schemas.errors import SettingsError

HOST = "127.0.0.1"


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def ready() -> Sequence[str]:
    return []


async def not_ready() -> Sequence[str]:
    return ["Kafka is not connected yet"]


async def hanging() -> Sequence[str]:
    await asyncio.Event().wait()
    return []


async def failing() -> Sequence[str]:
    raise RuntimeError("password=hunter2")


@pytest.mark.parametrize(
    ("check", "status", "said"),
    [
        (ready, 200, "ready"),
        (not_ready, 503, "Kafka is not connected yet"),
        (hanging, 503, "took longer"),
        (failing, 503, "check itself failed"),
    ],
)
async def test_readiness_says_why_not(
    check: serving.WhyNotReady, status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "READINESS_SECONDS", 0.05)
    app = web.Application()
    add_probes(app, check)
    site = await start_site(app, HOST, 0)
    try:
        answered, text = await get(f"{site.url}/readyz")
        alive, _ = await get(f"{site.url}/healthz")
    finally:
        await site.stop()
    assert (answered, alive) == (status, 200)
    assert said in text
    assert "hunter2" not in text


async def test_metrics_are_in_the_words_of_prometheus() -> None:
    app = web.Application()
    add_probes(app, ready)
    site = await start_site(app, HOST, 0)
    try:
        status, text = await get(f"{site.url}/metrics")
    finally:
        await site.stop()
    assert status == 200
    assert "# TYPE process_cpu_seconds_total counter" in text


async def test_port_0_takes_a_free_port_and_says_which() -> None:
    first = await start_site(web.Application(), HOST, 0)
    second = await start_site(web.Application(), HOST, 0)
    try:
        assert 0 not in (first.port, second.port)
        assert first.port != second.port
    finally:
        await first.stop()
        await second.stop()


async def test_a_taken_port_is_a_settings_error_that_names_it() -> None:
    site = await start_site(web.Application(), HOST, 0)
    try:
        with pytest.raises(SettingsError, match=f"cannot listen on {HOST}:{site.port}"):
            await start_site(web.Application(), HOST, site.port)
    finally:
        await site.stop()


async def test_a_stop_lets_a_running_request_end() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        entered.set()
        await go_on.wait()
        return web.Response(text="done")

    app = web.Application()
    app.router.add_get("/", slow)
    site = await start_site(app, HOST, 0)
    asking = asyncio.create_task(get(site.url))
    await entered.wait()
    stopping = asyncio.create_task(site.stop())
    await asyncio.sleep(0)
    go_on.set()
    assert await asking == (200, "done")
    await stopping


async def test_a_stop_takes_less_than_5_seconds_whatever_a_request_does() -> None:
    entered = asyncio.Event()

    async def stuck(_: web.Request) -> web.Response:
        entered.set()
        await asyncio.Event().wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", stuck)
    site = await start_site(app, HOST, 0)
    asking = asyncio.create_task(get(site.url))
    await entered.wait()
    started = time.monotonic()
    await site.stop()
    assert time.monotonic() - started < 5
    with pytest.raises(aiohttp.ClientError):
        await asking


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_wait(number: signal.Signals) -> None:
    waiting = asyncio.create_task(stop_signal())
    await asyncio.sleep(0)
    os.kill(os.getpid(), number)
    await asyncio.wait_for(waiting, 30)

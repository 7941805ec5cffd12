"""Starts and stops a sandbox server: in a test's own event loop, or as a program that ends on SIGTERM."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from deploy.sandbox.exact import Json, dumps

#: A program that is told to end does so at once: open requests get this long. Supervisors expect a quick exit.
_SHUTDOWN_SECONDS = 0.5


@asynccontextmanager
async def listening(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve the application while the context is open; yields its URL. Port 0 takes a free one."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{_reachable(host)}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", ""} else host


async def serve_until_told(app: web.Application, host: str, port: int, facts: Json) -> None:
    """Print one JSON line with the URL and the given facts, then serve until SIGTERM or SIGINT."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with listening(app, host, port) as url:
        print(dumps({"url": url, **facts}).decode(), flush=True)
        await told.wait()

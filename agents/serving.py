"""What every process shares over HTTP: health, readiness, metrics, and how a site starts and stops.

`GET /healthz` says that the process is alive, `GET /readyz` that it can do its work, `GET /metrics` is for Prometheus.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack

import structlog
from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from agents.plain_errors import PlainRunner
from agents.tls import ServerTls
from schemas.errors import SettingsError

log = structlog.get_logger(__name__)

WhyNotReady = Callable[[], Awaitable[Sequence[str]]]
"""Tells why a process cannot do its work, a sentence each; nothing when it can."""

READINESS_SECONDS = 2.0
"""A check that takes longer counts as not ready, so that a hung far side never hangs a probe."""

GRACE_SECONDS = 2.0
"""What running requests get to end at a stop. aiohttp waits it twice (before and after it cancels), and an orchestrator
that gives 10 s must never have to kill: 4 s at worst, below the 5 s that a stop may take."""

IDLE_SECONDS = 75.0
"""How long a connection may be without a whole request head: above the 60 s of usual load balancers, so that they close
first, and a limit for clients that trickle in headers."""

LINGERING_SECONDS = 2.0
"""How long the rest of a refused body is read and thrown away, so that the sender gets to see the answer."""


def add_probes(app: web.Application, why_not_ready: WhyNotReady) -> None:
    """Add `/healthz`, `/readyz` and `/metrics`."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        reasons = await _reasons(why_not_ready)
        if reasons:
            return web.json_response({"status": "not ready", "reasons": reasons}, status=503)
        return web.json_response({"status": "ready"})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", make_aiohttp_handler())


async def _reasons(why_not_ready: WhyNotReady) -> list[str]:
    try:
        async with asyncio.timeout(READINESS_SECONDS):
            return list(await why_not_ready())
    except TimeoutError:
        return [f"the check took longer than {READINESS_SECONDS:g} s"]
    except Exception:
        # Whatever goes wrong in a check: a process that cannot tell is not ready. The caller gets no inner details.
        log.exception("readiness check failed")
        return ["the check itself failed; see the log"]


class Site:
    """A running site; made by `start_site`."""

    def __init__(self, runner: web.AppRunner, host: str, resources: AsyncExitStack, *, secure: bool) -> None:
        self._resources = resources
        self._scheme = "https" if secure else "http"
        self.host = host
        self.port: int = runner.addresses[0][1]
        """The real port, also when 0 was asked for."""

    @property
    def url(self) -> str:
        """Where it answers on this machine, without a slash at the end."""
        here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"{self._scheme}://{here}:{self.port}"

    async def stop(self) -> None:
        """Take no more connections, let running requests end, within 5 s."""
        await self._resources.aclose()


async def start_site(
    app: web.Application, host: str, port: int, *, auto_decompress: bool = True, tls: ServerTls | None = None
) -> Site:
    """Serve `app` on `host` and `port`; port 0 takes a free one. Returns once it answers.

    Without `auto_decompress` handlers see bodies as they were sent. With `tls` it answers by TLS alone.

    Raises:
        SettingsError: the address cannot be listened on; the message names it.

    """
    runner = PlainRunner(
        app,
        access_log=None,  # URLs of callouts may carry secrets; metrics count what was answered
        shutdown_timeout=GRACE_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=LINGERING_SECONDS,
        auto_decompress=auto_decompress,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls.context if tls else None).start()
    except OSError as error:
        await runner.cleanup()
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    resources = AsyncExitStack()
    resources.push_async_callback(runner.cleanup)
    if tls:
        await resources.enter_async_context(tls.renewing())
    site = Site(runner, host, resources, secure=tls is not None)
    log.info("listening", host=host, port=site.port)
    return site


async def stop_signal() -> None:
    """Return when this process is asked to stop (SIGTERM, SIGINT)."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    try:
        await asked.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def run(main: Coroutine[None, None, None]) -> None:
    """Run a process's main coroutine to its end, on uvloop where there is one."""
    if sys.platform == "win32":
        asyncio.run(main)
        return
    import uvloop  # noqa: PLC0415 - not installed on Windows

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)

"""Puts the Zuora sandbox together: what every request passes on its way to an answer."""

import asyncio
import secrets
from collections.abc import AsyncIterator

from aiohttp import web

from deploy.sandbox.common_control import Handler, guarded
from deploy.sandbox.exact import json_response
from deploy.sandbox.faults import Fault
from deploy.sandbox.zuora import api, control, object_query
from deploy.sandbox.zuora.answers import ApiError, shaped
from deploy.sandbox.zuora.state import SANDBOX, ZuoraSandbox
from deploy.sandbox.zuora.store import SandboxError

#: A request that hangs is let go after this long; clients give up earlier.
_HANG_SECONDS = 600.0


def create_app(sandbox: ZuoraSandbox) -> web.Application:
    """Make the application around a sandbox."""
    app = web.Application(middlewares=[_guard], client_max_size=16 * 2**20)
    app[SANDBOX] = sandbox
    app.add_routes(
        [
            web.post("/oauth/token", sandbox.tokens.issue),
            *control.routes(),
            *api.routes(),
            *object_query.routes(),
            web.route("*", "/{path:.*}", api.unknown_path),
        ]
    )
    app.cleanup_ctx.append(_sending)
    return app


async def _sending(app: web.Application) -> AsyncIterator[None]:
    await app[SANDBOX].callouts.start()
    yield
    await app[SANDBOX].callouts.stop()


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count, delay, spoil, limit and authenticate; then shape whatever went wrong."""
    if request.path.startswith("/_sandbox"):
        return await guarded(request, handler, SandboxError)
    sandbox = request.app[SANDBOX]
    sandbox.traffic.arrive(f"{request.method} /{'/'.join(request.path.split('/')[1:3])}")
    version = request.headers.get("Zuora-Version", "")
    entered = sandbox.traffic.enter() if request.path != "/oauth/token" else None
    try:
        response = await _admitted(sandbox, request, handler, entered=entered)
    except ApiError as error:
        response = shaped(error, request.path, version)
    finally:
        if entered:
            sandbox.traffic.leave()
    if not response.prepared:
        _describe(sandbox, request, response)
    return response


async def _admitted(
    sandbox: ZuoraSandbox, request: web.Request, handler: Handler, *, entered: bool | None
) -> web.StreamResponse:
    await asyncio.sleep(sandbox.settings.latency_ms / 1000)
    if entered is False:
        raise _too_many_at_once(sandbox)
    wait = sandbox.traffic.rate_wait_seconds()
    if wait:
        return _rate_exceeded(wait)
    fault = sandbox.faults.take(request.method, request.path)
    if fault is not None:
        spoiled = await _spoiled(sandbox, request, fault)
        if spoiled is not None:
            return spoiled
    if request.path != "/oauth/token":
        sandbox.tokens.check(request)
        _check_version(sandbox, request)
    return await handler(request)


async def _spoiled(sandbox: ZuoraSandbox, request: web.Request, fault: Fault) -> web.StreamResponse | None:
    """Answer as the fault has it, or None where the request only takes longer."""
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
        return None
    if fault.kind == "hang":
        await asyncio.sleep(fault.seconds or _HANG_SECONDS)
    if fault.kind in {"hang", "drop"}:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)
    if fault.kind == "rate-limit":
        return _rate_exceeded(fault.seconds or 1)
    if fault.kind == "concurrency":
        raise _too_many_at_once(sandbox, fault.seconds)
    if fault.kind == "garbage":
        return web.Response(text=fault.body or "<html><body>upstream", content_type="text/html", status=200)
    status = 404 if fault.kind == "not-found" else fault.status
    code = {404: 50000040, 401: 90000011, 500: 50000060, 503: 50000061, 409: 50000050}.get(status, 50000060)
    raise ApiError(status, code, fault.body or f"ordered fault {status}")


def _rate_exceeded(wait: float) -> web.Response:
    seconds = max(1, round(wait + 0.499))
    body = {
        "reasons": [{"code": 70, "message": f"API Rate limit exceeded for the minute, retry after {seconds} seconds"}]
    }
    return json_response(body, 429, {"RateLimit-Remaining": "0", "RateLimit-Reset": str(seconds)})


def _too_many_at_once(sandbox: ZuoraSandbox, seconds: float = 0) -> ApiError:
    wait = seconds or sandbox.settings.concurrency_retry_seconds
    message = (
        "The total number of concurrent requests has exceeded the limit allowed by the system. "
        "Please resubmit your request later."
    )
    return ApiError(429, 50000070, message, {"Retry-After": f"{wait:g}", "Concurrency-Limit-Remaining": "0"})


def _check_version(sandbox: ZuoraSandbox, request: web.Request) -> None:
    """Zuora-Version concerns /v1 only.

    Without it a tenant falls back to its oldest behaviour, so strict tests want it.
    """
    if not request.path.startswith("/v1/") or request.headers.get("Zuora-Version"):
        return
    sandbox.counts["withoutVersion"] += 1
    if sandbox.settings.missing_version == "refuse":
        message = "Zuora-Version must be sent: without it the tenant answers as version 186.0"
        raise ApiError(400, "MissingVersion", message)


def _describe(sandbox: ZuoraSandbox, request: web.Request, response: web.StreamResponse) -> None:
    headers = response.headers
    headers["Zuora-Request-Id"] = secrets.token_hex(16)
    if "Zuora-Track-Id" in request.headers:
        headers["Zuora-Track-Id"] = request.headers["Zuora-Track-Id"]
    limit = sandbox.settings.requests_per_minute
    if limit:
        headers.setdefault("RateLimit-Limit", f"{limit}, {limit};w={sandbox.settings.window_seconds:g}")
        headers.setdefault("RateLimit-Remaining", str(sandbox.traffic.remaining()))
        headers.setdefault("RateLimit-Reset", f"{sandbox.settings.window_seconds:g}")
    if sandbox.settings.concurrency:
        headers["Concurrency-Limit-Type"] = "Default"
        headers["Concurrency-Limit-Limit"] = str(sandbox.settings.concurrency)
        left = max(sandbox.settings.concurrency - sandbox.traffic.under_way, 0)
        headers.setdefault("Concurrency-Limit-Remaining", str(left))

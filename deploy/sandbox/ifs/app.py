"""Puts the IFS sandbox together: what every request passes on its way to an answer."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import unquote

from aiohttp import web

from deploy.sandbox.common_control import Handler, guarded
from deploy.sandbox.exact import json_response, loads
from deploy.sandbox.faults import Fault
from deploy.sandbox.ifs import api, control
from deploy.sandbox.ifs.booking import drop, timed_out
from deploy.sandbox.ifs.errors import OdataError, not_found
from deploy.sandbox.ifs.state import REQUEST_FAULTS, SANDBOX, IfsSandbox

#: A request that hangs is let go after this long; clients give up earlier.
_HANG_SECONDS = 600.0


def create_app(sandbox: IfsSandbox) -> web.Application:
    """Make the application around a sandbox."""
    app = web.Application(middlewares=[_guard], client_max_size=64 * 2**20)
    app[SANDBOX] = sandbox
    app.add_routes(
        [
            web.post("/auth/realms/{realm}/protocol/openid-connect/token", sandbox.issue_token),
            *control.routes(),
            *api.routes(),
            web.route("*", "/{path:.*}", _unknown),
        ]
    )
    app.cleanup_ctx.append(_late_commits)
    return app


async def _late_commits(app: web.Application) -> AsyncIterator[None]:
    yield
    for task in list(app[SANDBOX].late):
        if isinstance(task, asyncio.Task):
            task.cancel()


async def _unknown(request: web.Request) -> web.Response:
    raise not_found(request.path)


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count, delay, spoil, limit and authenticate; then give errors their shape."""
    if request.path.startswith("/_sandbox"):
        return await guarded(request, handler, OdataError)
    sandbox = request.app[SANDBOX]
    try:
        if request.path.startswith("/auth/"):
            return await handler(request)
        return await _admitted(sandbox, request, handler)
    except OdataError as error:
        sandbox.counts[f"status:{error.status}"] += 1
        return json_response(error.body(), error.status, error.headers)


async def _admitted(sandbox: IfsSandbox, request: web.Request, handler: Handler) -> web.StreamResponse:
    sandbox.traffic.arrive(f"{request.method} {request.path.rpartition('/v1/')[2].partition('(')[0]}")
    sandbox.traffic.enter()
    try:
        await asyncio.sleep(sandbox.settings.latency_ms / 1000)
        wait = sandbox.traffic.rate_wait_seconds()
        if wait:
            raise _too_many(sandbox, wait)
        if not sandbox.token_is_good(request):
            return json_response({"error": {"message": "Unauthorized"}}, 401, {"WWW-Authenticate": "Bearer"})
        fault = sandbox.faults.take(request.method, unquote(request.raw_path), REQUEST_FAULTS)
        if fault is not None:
            if fault.kind == "empty":
                return _emptied(await handler(request))
            spoiled = await _spoiled(sandbox, request, fault)
            if spoiled is not None:
                return spoiled
        return await handler(request)
    finally:
        sandbox.traffic.leave()


def _too_many(sandbox: IfsSandbox, wait: float) -> OdataError:
    seconds = max(1, round(wait + 0.499))
    message = f"Request limit of {sandbox.settings.requests_per_minute} per minute exceeded."
    return OdataError(429, "TOO_MANY_REQUESTS", message, headers={"Retry-After": str(seconds)})


async def _spoiled(sandbox: IfsSandbox, request: web.Request, fault: Fault) -> web.StreamResponse | None:
    """Answer as the fault has it, or None where the request only takes longer."""
    if fault.kind == "slow":
        return await _slow(request, fault)
    if fault.kind == "hang":
        await asyncio.sleep(fault.seconds or _HANG_SECONDS)
    if fault.kind in {"hang", "drop"}:
        return drop(request)
    if fault.kind == "rate-limit":
        raise _too_many(sandbox, fault.seconds or 1)
    if fault.kind == "locked":
        details = [
            {
                "code": 20113,
                "message": "ORA-20113: Voucher.FND_LOCKED: The Voucher record is locked by another user. Please retry.",
            }
        ]
        raise OdataError(423, "DATABASE_ERROR", "The record is locked.", details)
    if fault.kind == "metadata-changed":
        raise OdataError(503, "MI_MODIFIED_ERROR", "The projection has been modified. Please retry.")
    if fault.kind == "database-error":
        details = [{"code": 60, "message": "ORA-00060: deadlock detected while waiting for resource"}]
        raise OdataError(500, "DATABASE_ERROR", "Database error occurred. Contact administrator.", details)
    if fault.body is not None:
        return web.Response(text=fault.body, status=fault.status, content_type="text/html")
    raise OdataError(
        fault.status, "INTERNAL_ERROR" if fault.status == 500 else "ODP_UNAVAILABLE", f"ordered fault {fault.status}"
    )


def _emptied(response: web.StreamResponse) -> web.StreamResponse:
    """The same list without its elements, as for a user who may not see them; its tag stays."""
    if not isinstance(response, web.Response) or response.status != 200 or not isinstance(response.body, bytes):
        return response
    body = loads(response.body)
    tag = {"ETag": response.headers["ETag"]} if "ETag" in response.headers else {}
    return json_response({**body, "value": []} if "value" in body else body, headers=tag)


async def _slow(request: web.Request, fault: Fault) -> web.StreamResponse | None:
    """Take the ordered time, but not more than the client's `Prefer: wait=n`: then 504, and nothing was done."""
    for part in request.headers.get("Prefer", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "wait" and value.isdecimal() and float(value) < fault.seconds:
            await asyncio.sleep(float(value))
            raise timed_out(float(value))
    await asyncio.sleep(fault.seconds)
    return None

"""The pages for people. They work without JavaScript; with it they bring themselves up to date."""

import asyncio
import hashlib
from typing import Any

from aiohttp import web

from agents.console.access import SESSION_SECONDS, Identity
from agents.console.api import KAFKA, MODEL, NAMES, STATE, wanted
from agents.console.guard import ACCESS, IDENTITY, SESSION_COOKIE
from agents.console.templating import page
from schemas.base import DocumentType, Status
from streams.projection.queries import ReadModel, Wanted
from streams.record_details import record_details

ROWS = 50
MOST_GAPS = 25
"""Missing mappings on the first page; the API has them all."""


async def get_overview(request: web.Request) -> web.StreamResponse:
    """Answer `GET /`: totals, what is missing, and the records; 304 when nothing changed since."""
    tag = _tag(request)
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    filters = wanted(request)
    values = await asyncio.to_thread(_overview, request.app[MODEL], filters, request.query.get("cursor"))
    query = {name: text for name, text in request.query.items() if name != "cursor" and text}
    response = page(
        request,
        "overview.html",
        {**_common(request), **values, "filters": filters, "query": query, "older": "cursor" in request.query},
    )
    response.headers["ETag"] = tag
    return response


async def get_record_page(request: web.Request) -> web.Response:
    """Answer `GET /records/{id}`: all that led to a record."""
    app = request.app
    record = await asyncio.to_thread(app[MODEL].record, request.match_info["id"])
    if record is None:
        raise web.HTTPNotFound(text="There is no such record.")
    found = await record_details(app[KAFKA], app[NAMES], app[MODEL], record)
    return page(request, "record.html", {**_common(request), "found": found, "record": found.record})


async def get_login(request: web.Request) -> web.Response:
    """Answer `GET /login`: asks for a token."""
    return page(request, "login.html", {"wrong": False, "next": _local(request.query.get("next"))})


async def post_login(request: web.Request) -> web.Response:
    """Answer `POST /login`: a token becomes a session."""
    form = await request.post()
    target = _local(str(form.get("next", "")))
    identity = request.app[ACCESS].by_token(str(form.get("token", "")).strip())
    if identity is None:
        return page(request, "login.html", {"wrong": True, "next": target}, status=401)
    response = web.HTTPSeeOther(target)
    response.set_cookie(
        SESSION_COOKIE,
        request.app[ACCESS].session(identity),
        max_age=SESSION_SECONDS,
        httponly=True,
        secure=request.secure or request.headers.get("X-Forwarded-Proto") == "https",
        samesite="Lax",
    )
    raise response


async def post_logout(_: web.Request) -> web.Response:
    """Answer `POST /logout`: ends the session in this browser."""
    response = web.HTTPSeeOther("/login")
    response.del_cookie(SESSION_COOKIE)
    raise response


def _overview(model: ReadModel, filters: Wanted, cursor: str | None) -> dict[str, Any]:
    missing = model.missing_mappings()
    return {
        "totals": {total.status: total for total in model.status_totals()},
        "missing": missing[:MOST_GAPS],
        "more_missing": max(0, len(missing) - MOST_GAPS),
        "page": model.records(filters, limit=ROWS, cursor=cursor),
    }


def _common(request: web.Request) -> dict[str, Any]:
    identity: Identity = request[IDENTITY]
    return {
        "identity": identity,
        "is_open": request.app[ACCESS].is_open,
        "state": request.app[STATE],
        "statuses": list(Status),
        "types": list(DocumentType),
    }


def _tag(request: web.Request) -> str:
    state = request.app[STATE]
    told = f"{id(state)}/{state.changes}/{request[IDENTITY].name}/{request.path_qs}"
    return f'"{hashlib.sha256(told.encode()).hexdigest()[:24]}"'


def _local(target: str | None) -> str:
    """Return a path of this site; anything that could lead elsewhere becomes the first page."""
    fits = target and target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if target and fits and target.isprintable() else "/"

"""The pages for people. They work without JavaScript; with it they bring themselves up to date."""

import asyncio
import hashlib
from enum import StrEnum
from typing import Any, TypeVar

from aiohttp import web

from agents.console.api import MODEL, NAMES, SETTINGS, STATE
from agents.console.cross_site import session_form
from agents.console.guard import ACCESS
from agents.console.refusals import IDENTITY
from agents.console.roles import Identity
from agents.console.templating import page
from schemas.base import DocumentType, Status
from schemas.errors import UsageError
from streams.projection.queries import ReadModel, Wanted
from streams.record_details import record_details

ROWS = 50
MOST_GAPS = 25
"""Missing mappings on the first page; the API has them all."""

C = TypeVar("C", bound=StrEnum)


async def get_overview(request: web.Request) -> web.StreamResponse:
    """Answer `GET /`: totals, what is missing, and the records; 304 when nothing changed since."""
    tag = _tag(request)
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    filters = _wanted(request)
    values = await asyncio.to_thread(_overview, request.app[MODEL], filters, request.query.get("cursor"))
    query = {name: text for name, text in request.query.items() if name != "cursor" and text}
    response = page(
        request,
        "overview.html",
        {**common(request), **values, "filters": filters, "query": query, "older": "cursor" in request.query},
    )
    response.headers["ETag"] = tag
    return response


async def get_record_page(request: web.Request) -> web.Response:
    """Answer `GET /records/{id}`: all that led to a record."""
    app = request.app
    record = await asyncio.to_thread(app[MODEL].record, request.match_info["id"])
    if record is None:
        raise web.HTTPNotFound(text="There is no such record.")
    found = await record_details(app[SETTINGS].kafka, app[NAMES], app[MODEL], record)
    return page(request, "record.html", {**common(request), "found": found, "record": found.record})


def _overview(model: ReadModel, filters: Wanted, cursor: str | None) -> dict[str, Any]:
    missing = model.missing_mappings()
    return {
        "totals": {total.status: total for total in model.status_totals()},
        "missing": missing[:MOST_GAPS],
        "more_missing": max(0, len(missing) - MOST_GAPS),
        "page": model.records(filters, limit=ROWS, cursor=cursor),
    }


def _wanted(request: web.Request) -> Wanted:
    """Return which records the filters choose; an empty one chooses nothing."""
    return Wanted(
        status=_choice(request, "status", Status),
        document_type=_choice(request, "type", DocumentType),
        account=request.query.get("account", "").strip() or None,
        search=request.query.get("search", "").strip() or None,
    )


def _choice(request: web.Request, name: str, choices: type[C]) -> C | None:
    text = request.query.get(name)
    try:
        return choices(text) if text else None
    except ValueError:
        raise UsageError(f"{name}: must be one of {', '.join(choices)}") from None


def common(request: web.Request) -> dict[str, Any]:
    """Return what every page for who is signed in shows."""
    identity: Identity = request[IDENTITY]
    return {
        "identity": identity,
        "form_token": session_form(request),
        "is_open": request.app[ACCESS].is_open,
        "state": request.app[STATE],
        "four_eyes": request.app[SETTINGS].four_eyes,
        "statuses": list(Status),
        "types": list(DocumentType),
    }


def _tag(request: web.Request) -> str:
    state = request.app[STATE]
    told = f"{id(state)}/{state.changes}/{request[IDENTITY].name}/{request.path_qs}"
    return f'"{hashlib.sha256(told.encode()).hexdigest()[:24]}"'

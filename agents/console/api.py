"""The API for programs: what the pages show, as JSON."""

import asyncio
from enum import StrEnum
from typing import Any, TypeVar

import orjson
from aiohttp import web

from agents.console.feed import FeedState
from schemas.base import DocumentType, Status
from schemas.errors import UsageError
from schemas.topics import TopicNames
from streams.projection.queries import ReadModel, Wanted
from streams.record_details import record_details
from streams.settings import KafkaSettings
from streams.views.json import json_value
from streams.views.mappings import mapping_json

MODEL = web.AppKey("model", ReadModel)
STATE = web.AppKey("state", FeedState)
KAFKA = web.AppKey("kafka", KafkaSettings)
NAMES = web.AppKey("names", TopicNames)

USUAL_LIMIT = 50
LARGEST_LIMIT = 500

C = TypeVar("C", bound=StrEnum)


async def get_records(request: web.Request) -> web.Response:
    """Answer `GET /api/records`: a page of records, the last received first."""
    page = await asyncio.to_thread(
        request.app[MODEL].records,
        wanted(request),
        limit=_number(request, "limit", USUAL_LIMIT, LARGEST_LIMIT),
        cursor=request.query.get("cursor"),
    )
    return json_response({"items": [json_value(record) for record in page.records], "nextCursor": page.next_cursor})


async def get_record(request: web.Request) -> web.Response:
    """Answer `GET /api/records/{id}`: a record with its events, document, vouchers and mapping versions."""
    app, record_id = request.app, request.match_info["id"]
    record = await asyncio.to_thread(app[MODEL].record, record_id)
    if record is None:
        raise web.HTTPNotFound(text=f"there is no record {record_id}")
    found = await record_details(app[KAFKA], app[NAMES], app[MODEL], record)
    return json_response(found.as_json())


async def get_missing_mappings(request: web.Request) -> web.Response:
    """Answer `GET /api/missing-mappings`: what is missing, what holds up most first."""
    found = await asyncio.to_thread(request.app[MODEL].missing_mappings)
    return json_response(_part_of([json_value(one) for one in found], request))


async def get_mappings(request: web.Request) -> web.Response:
    """Answer `GET /api/mappings`: mappings and rules as they stand; `kind` and `company` choose."""
    found = await asyncio.to_thread(request.app[MODEL].mappings)
    values = [mapping_json(one.key, one.version, one.event) for one in found]
    for name in ("kind", "company"):
        if name in request.query:
            values = [value for value in values if value.get(name) == request.query[name]]
    return json_response(_part_of(values, request))


async def get_summary(request: web.Request) -> web.Response:
    """Answer `GET /api/summary`: counts and amounts per status and currency, and how far the read model is."""
    model, state = request.app[MODEL], request.app[STATE]
    statuses = await asyncio.to_thread(model.status_totals)
    missing = await asyncio.to_thread(model.missing_mappings)
    return json_response(
        {
            "records": sum(status.records for status in statuses),
            "statuses": [json_value(status) for status in statuses],
            "missingMappings": len(missing),
            "projection": {"caughtUp": state.caught_up, "behind": state.behind, "trouble": state.trouble},
        }
    )


def wanted(request: web.Request) -> Wanted:
    """Return which records a request asks for: `status`, `account`, `type`, `search`.

    Raises:
        UsageError: a status or type that there is not.

    """
    return Wanted(
        status=_choice(request, "status", Status),
        document_type=_choice(request, "type", DocumentType),
        account=request.query.get("account", "").strip() or None,
        search=request.query.get("search", "").strip() or None,
    )


def _choice(request: web.Request, name: str, choices: type[C]) -> C | None:
    text = request.query.get(name)
    if not text:
        return None
    try:
        return choices(text)
    except ValueError:
        raise UsageError(f"{name}: must be one of {', '.join(choices)}") from None


def _number(request: web.Request, name: str, usual: int, largest: int, least: int = 1) -> int:
    text = request.query.get(name)
    if not text:
        return usual
    if not (text.isascii() and text.isdigit()) or not least <= int(text[:12]) <= largest:
        raise UsageError(f"{name}: must be a number from {least} to {largest}")
    return int(text)


def _part_of(values: list[dict[str, Any]], request: web.Request) -> dict[str, Any]:
    start = _number(request, "cursor", 0, 10**9, least=0)
    end = start + _number(request, "limit", LARGEST_LIMIT, LARGEST_LIMIT)
    return {"items": values[start:end], "nextCursor": str(end) if end < len(values) else None}


def json_response(value: Any) -> web.Response:
    """Answer with a JSON value."""
    return web.Response(body=orjson.dumps(value), content_type="application/json")

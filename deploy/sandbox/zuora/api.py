"""The v1 answers: documents by id or number, their items and parts in pages, callout history."""

import datetime as dt
import secrets
from decimal import Decimal
from typing import Any

from aiohttp import web
from yarl import URL

from deploy.sandbox.exact import Json, json_response
from deploy.sandbox.zuora.answers import ApiError, bad_query, not_found
from deploy.sandbox.zuora.state import SANDBOX
from deploy.sandbox.zuora.store import Record

#: Most entries on one page (Zuora), and how many without being asked.
PAGE_MOST, PAGE_DEFAULT = 40, 20
#: Item fields that the official model types as text and the samples show as numbers.
_EITHER_WAY = ("chargeAmount", "taxAmount", "balance")

_PLACES = {
    "invoices": "Invoice",
    "payments": "Payment",
    "refunds": "Refund",
    "credit-memos": "CreditMemo",
    "debit-memos": "DebitMemo",
}


def routes() -> list[web.RouteDef]:
    """All v1 routes."""
    return [
        web.get("/v1/accounts/{key}", get_account),
        web.get("/v1/object/invoice-item-adjustment/{key}", get_adjustment),
        web.get("/v1/notification-history/callout", get_callout_history),
        web.get("/v1/{place:invoices|payments|refunds|credit-memos|debit-memos}/{key}", get_document),
        web.get("/v1/{place:invoices|credit-memos|debit-memos}/{key}/items", get_items),
        web.get("/v1/{place:invoices|credit-memos|debit-memos}/{key}/items/{item}/taxation-items", get_taxation_items),
        web.get("/v1/{place:payments|refunds|credit-memos}/{key}/parts", get_parts),
        web.get("/v1/{place:payments|refunds|credit-memos|debit-memos}", list_documents),
    ]


def found(request: web.Request, kind: str) -> Record:
    """The record that the path names. Raises the 404 while it cannot be seen."""
    key = request.match_info["key"]
    record = request.app[SANDBOX].store.visible(kind, key)
    if record is None:
        raise not_found(key)
    return record


def page(request: web.Request, entries: list[Any], limit: int = PAGE_DEFAULT) -> tuple[list[Any], Json]:
    """Cut the asked page out of the entries; the second value is `{"nextPage": URL}` where there is more."""
    number, size = whole(request, "page", 1), whole(request, "pageSize", limit)
    if size > PAGE_MOST:
        raise bad_query(f"pageSize is at most {PAGE_MOST}")
    start = (number - 1) * size
    rest = {}
    if len(entries) > start + size:
        rest = {"nextPage": next_url(request, request.path, page=number + 1, pageSize=size)}
    return entries[start : start + size], rest


def next_url(request: web.Request, path: str, **query: int) -> str:
    """A page's address as Zuora gives it: absolute, with the other parameters kept."""
    return str(
        URL(f"http://{request.host}{path}").with_query(
            {**request.query, **{name: str(value) for name, value in query.items()}}
        )
    )


def whole(request: web.Request, name: str, default: int) -> int:
    """A query parameter that is a whole number from 1 on."""
    text = request.query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise bad_query(f"{name} must be a whole number from 1 on")
    return int(text)


async def get_document(request: web.Request) -> web.Response:
    """A header."""
    return json_response({"success": True, **found(request, _PLACES[request.match_info["place"]]).document})


async def get_account(request: web.Request) -> web.Response:
    """An account with contacts, metrics and tax."""
    return json_response({"success": True, **found(request, "Account").document})


async def get_adjustment(request: web.Request) -> web.Response:
    """An invoice item adjustment (older call: no `success`, names in PascalCase)."""
    return json_response(found(request, "InvoiceItemAdjustment").document)


async def get_items(request: web.Request) -> web.Response:
    """A page of items. An item's taxation items are cut at the page's size and have a `nextPage` of their own."""
    record = found(request, _PLACES[request.match_info["place"]])
    entries, more = page(request, record.items)
    size = whole(request, "pageSize", PAGE_DEFAULT)
    name = "invoiceItems" if record.kind == "Invoice" else "items"
    return json_response({"success": True, name: [_item(request, record, item, size) for item in entries], **more})


def _item(request: web.Request, record: Record, item: Json, size: int) -> Json:
    taxes = item["taxationItems"]
    path = f"{request.path}/{item['id']}/taxation-items"
    nested: Json = {"data": taxes[:size]}
    if len(taxes) > size:
        nested["nextPage"] = next_url(request, path, page=2, pageSize=size)
    shown = item | {"taxationItems": nested}
    if record.kind == "Invoice" and _as_text(request, item["id"]):
        shown |= {name: format(Decimal(item[name]), "f") for name in _EITHER_WAY}
    return shown


def _as_text(request: web.Request, item_id: str) -> bool:
    mode = request.app[SANDBOX].settings.item_amounts
    return mode == "strings" or (mode == "mixed" and int(item_id[-1], 16) % 2 == 0)


async def get_taxation_items(request: web.Request) -> web.Response:
    """A page of one item's taxation items."""
    record = found(request, _PLACES[request.match_info["place"]])
    item = next((each for each in record.items if each["id"] == request.match_info["item"]), None)
    if item is None:
        raise not_found(request.match_info["item"])
    entries, more = page(request, item["taxationItems"])
    return json_response({"success": True, "data": entries, **more})


async def get_parts(request: web.Request) -> web.Response:
    """A page of parts; a fully refunded payment has none."""
    entries, more = page(request, found(request, _PLACES[request.match_info["place"]]).parts)
    return json_response({"success": True, "parts": entries, **more})


async def list_documents(request: web.Request) -> web.Response:
    """A v1 list: filters are equalities, newest number first."""
    place = request.match_info["place"]
    records = sorted(request.app[SANDBOX].store.of_kind(_PLACES[place]), key=lambda record: record.number, reverse=True)
    shown = [record.document for record in records]
    for name, value in request.query.items():
        if name not in {"page", "pageSize", "sort"}:
            if shown and name not in shown[0]:
                raise bad_query(f"unknown query parameter {name}")
            shown = [document for document in shown if str(document[name]) == value]
    entries, more = page(request, shown)
    return json_response({"success": True, place.replace("-", ""): entries, **more})


async def get_callout_history(request: web.Request) -> web.Response:
    """Attempts of callouts, newest first; `failedOnly` is true unless told otherwise."""
    query = request.query
    entries = list(reversed(request.app[SANDBOX].callouts.history))
    if query.get("failedOnly", "true").lower() != "false":
        entries = [entry for entry in entries if entry["responseCode"] != "200"]
    if "objectId" in query:
        entries = [entry for entry in entries if entry["_objectId"] == query["objectId"]]
    if "eventCategory" in query:
        entries = [entry for entry in entries if entry["eventCategory"] == query["eventCategory"]]
    for name, after in (("startTime", True), ("endTime", False)):
        if name in query:
            bound = _moment(query[name])
            entries = [
                entry for entry in entries if (entry["createTime"] >= bound if after else entry["createTime"] <= bound)
            ]
    entries, more = page(request, entries)
    hidden = {"_objectId", "_notificationId"} | (
        set() if query.get("includeResponseContent") == "true" else {"responseContent"}
    )
    shown = [{name: value for name, value in entry.items() if name not in hidden} for entry in entries]
    return json_response({"success": True, "calloutHistories": shown, **more})


def _moment(text: str) -> str:
    try:
        return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - wire format has no offset
    except ValueError:
        raise bad_query("times are yyyy-MM-ddTHH:mm:ss") from None


async def unknown_path(request: web.Request) -> web.Response:
    """What no route knows."""
    raise ApiError(404, 50000040, f"no resource at {request.path} (sandbox request {secrets.token_hex(4)})")

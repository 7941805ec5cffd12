"""The API's questions: what the pages show, as JSON."""

import asyncio
from typing import Any, TypeVar

from aiohttp import web
from pydantic import Field

from agents.console.answers import (
    CompanyPage,
    ExplanationItem,
    MappingPage,
    MissingItem,
    MissingPage,
    PostVoucherItem,
    Projection,
    RecordAnswer,
    RecordPage,
    ReverseVoucherItem,
    RulePage,
    SummaryAnswer,
    VoucherPostedItem,
    VoucherRejectedItem,
    VoucherReversedItem,
    mapping_item,
)
from agents.console.feed import FeedState
from agents.console.operations import LARGEST_LIMIT, Limit, ListQuery, NoQuestion, Operation
from schemas.audit import Record
from schemas.base import DocumentType, Model, Status
from schemas.errors import UsageError
from schemas.topics import TopicNames
from schemas.vouchers import PostVoucher, ReverseVoucher, VoucherPosted, VoucherRejected, VoucherReversed
from streams.projection.queries import CurrentMapping, ReadModel, Wanted
from streams.record_details import record_details
from streams.settings import Settings

MODEL = web.AppKey("model", ReadModel)
STATE = web.AppKey("state", FeedState)
SETTINGS = web.AppKey("settings", Settings)
NAMES = web.AppKey("names", TopicNames)

LONGEST_WORD = 255
"""Characters of what is searched for."""

T = TypeVar("T")

_COMMANDS: dict[type[Model], Any] = {PostVoucher: PostVoucherItem, ReverseVoucher: ReverseVoucherItem}
_OUTCOMES: dict[type[Model], Any] = {
    VoucherPosted: VoucherPostedItem,
    VoucherReversed: VoucherReversedItem,
    VoucherRejected: VoucherRejectedItem,
}


class RecordsQuery(ListQuery):
    """Which records."""

    status: Status | None = None
    type: DocumentType | None = None
    account: str | None = Field(default=None, max_length=LONGEST_WORD)
    """A Zuora account id or number."""
    search: str | None = Field(default=None, max_length=LONGEST_WORD)
    """The beginning of a document's number or id, or of an account's number, name or id."""


class LongListQuery(ListQuery):
    """Which part of a list that is short as a rule."""

    limit: Limit = LARGEST_LIMIT


class MappingsQuery(LongListQuery):
    """Which mappings and rules."""

    kind: str | None = Field(default=None, max_length=LONGEST_WORD)
    company: str | None = Field(default=None, max_length=LONGEST_WORD)


async def get_records(request: web.Request, asked: RecordsQuery) -> RecordPage:
    """Answer a page of records."""
    wanted = Wanted(
        asked.status, (asked.account or "").strip() or None, asked.type, (asked.search or "").strip() or None
    )
    page = await asyncio.to_thread(request.app[MODEL].records, wanted, limit=asked.limit, cursor=asked.cursor)
    return RecordPage(items=tuple(page.records), next_cursor=page.next_cursor)


async def get_record(request: web.Request, _: NoQuestion) -> RecordAnswer:
    """Answer a record with its events, document, vouchers and mapping versions."""
    app, record = request.app, await record_of(request)
    found = await record_details(app[SETTINGS].kafka, app[NAMES], app[MODEL], record)
    return RecordAnswer.model_construct(
        **dict(record),
        events=tuple(found.steps),
        document=found.document,
        commands=tuple(_COMMANDS[type(one)].model_construct(**dict(one)) for one in found.commands),
        outcomes=tuple(_OUTCOMES[type(one)].model_construct(**dict(one)) for one in found.outcomes),
        mapping_versions=tuple(mapping_item(one.key, one.version, one.event) for one in found.mappings),
        explanations=tuple(ExplanationItem.model_validate(one.as_json()) for one in found.explanations),
    )


async def get_missing_mappings(request: web.Request, asked: LongListQuery) -> MissingPage:
    """Answer what is missing, what holds up most first."""
    found = await asyncio.to_thread(request.app[MODEL].missing_mappings)
    items, next_cursor = part_of([MissingItem.model_construct(**dict(one)) for one in found], asked)
    return MissingPage(items=items, next_cursor=next_cursor)


async def get_mappings(request: web.Request, asked: MappingsQuery) -> MappingPage:
    """Answer mappings and rules as they stand."""
    found = [
        one
        for one in await asyncio.to_thread(request.app[MODEL].mappings)
        if asked.kind in (None, one.kind) and asked.company in (None, getattr(one.event, "company", None))
    ]
    items, next_cursor = part_of(found, asked)
    return MappingPage.model_construct(items=tuple(map(_item, items)), next_cursor=next_cursor)


async def get_rules(request: web.Request, asked: LongListQuery) -> RulePage:
    """Answer the posting rules."""
    items, next_cursor = part_of(await _of_kind(request, "rule"), asked)
    return RulePage.model_construct(items=tuple(map(_item, items)), next_cursor=next_cursor)


async def get_companies(request: web.Request, asked: LongListQuery) -> CompanyPage:
    """Answer what is per company."""
    items, next_cursor = part_of(await _of_kind(request, "company"), asked)
    return CompanyPage.model_construct(items=tuple(map(_item, items)), next_cursor=next_cursor)


async def get_summary(request: web.Request, _: NoQuestion) -> SummaryAnswer:
    """Answer counts and amounts per status and currency, and how far the read model is."""
    model, state = request.app[MODEL], request.app[STATE]
    statuses = await asyncio.to_thread(model.status_totals)
    missing = await asyncio.to_thread(model.missing_mappings)
    return SummaryAnswer(
        records=sum(status.records for status in statuses),
        statuses=tuple(statuses),
        missing_mappings=len(missing),
        projection=Projection(caught_up=state.caught_up, behind=state.behind, trouble=state.trouble),
    )


async def record_of(request: web.Request) -> Record:
    """Return the record that the path names; 404 where there is none."""
    record = await asyncio.to_thread(request.app[MODEL].record, request.match_info["id"])
    if record is None:
        raise web.HTTPNotFound(text=f"there is no record {request.match_info['id']}")
    return record


def part_of(values: list[T], asked: ListQuery) -> tuple[tuple[T, ...], str | None]:
    """Return a page of a list, and the cursor of the next one.

    Raises:
        UsageError: the cursor is none of ours.

    """
    start = offset_of(asked)
    end = start + asked.limit
    return tuple(values[start:end]), str(end) if end < len(values) else None


def offset_of(asked: ListQuery) -> int:
    """Return where a page begins in a list that is counted from its head.

    Raises:
        UsageError: the cursor is none of ours.

    """
    cursor = asked.cursor or "0"
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise UsageError("cursor: not one that a list gave")
    return int(cursor)


async def _of_kind(request: web.Request, kind: str) -> list[CurrentMapping]:
    found = await asyncio.to_thread(request.app[MODEL].mappings)
    return [one for one in found if one.kind == kind]


def _item(one: CurrentMapping) -> Any:
    return mapping_item(one.key, one.version, one.event)


QUESTIONS = (
    Operation("GET", "/api/records", "Records, the last received first", RecordsQuery, RecordPage, get_records),
    Operation(
        "GET",
        "/api/records/{id}",
        "A record with its events, document, vouchers and why they are as they are",
        NoQuestion,
        RecordAnswer,
        get_record,
        also=(404, 503),
    ),
    Operation(
        "GET",
        "/api/missing-mappings",
        "Missing mappings, what holds up most first",
        LongListQuery,
        MissingPage,
        get_missing_mappings,
    ),
    Operation("GET", "/api/mappings", "Mappings and rules as they stand", MappingsQuery, MappingPage, get_mappings),
    Operation("GET", "/api/rules", "Posting rules", LongListQuery, RulePage, get_rules),
    Operation("GET", "/api/companies", "What is per company", LongListQuery, CompanyPage, get_companies),
    Operation("GET", "/api/summary", "Counts and amounts per status", NoQuestion, SummaryAnswer, get_summary),
)

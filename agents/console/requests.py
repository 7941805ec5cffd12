"""The API by which operators ask for a replay, a correction or a settlement: the same words as the command line's."""

import asyncio
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import Field, StringConstraints, ValidationError

from agents.console.access import Role, at_least
from agents.console.api import KAFKA, MODEL, NAMES, json_response
from agents.console.guard import IDENTITY
from schemas.audit import Record
from schemas.base import Date, Model, Status, Time, utc_now
from schemas.errors import UsageError
from streams.corrections import prepare_correction
from streams.log.messages import Message
from streams.log.sending import send_all
from streams.replaying import Selection, plan_replay
from streams.requests import (
    RequestError,
    Word,
    check_settlement,
    correction_message,
    replay_messages,
    settlement_message,
)
from streams.views.replay import Replay

PROCESS = "console"
MOST_RECORDS = 500
"""Named in one request; more are chosen by their status."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
B = TypeVar("B", bound=Model)


class ReplayBody(Model):
    """What to replay: records by their ids, or all of a status."""

    records: Annotated[tuple[Text, ...], Field(max_length=MOST_RECORDS)] = ()
    status: Status | None = None
    since: Time | None = None
    reason: Text | None = None
    date: Date | None = None
    refetch: bool = False
    dry_run: bool = False


class CorrectionBody(Model):
    """The word to correct a record; with fingerprints, only if they are still those that the person saw."""

    reason: Text
    date: Date | None = None
    dry_run: bool = False
    posted_fingerprint: str | None = None
    document_fingerprint: str | None = None


class SettlementBody(Model):
    """The word that a record was booked by hand."""

    voucher: Text
    reason: Text


@at_least(Role.OPERATOR)
async def post_replay(request: web.Request) -> web.Response:
    """Answer `POST /api/replay`: what happens with each record; with `dryRun` nothing is sent."""
    app, body = request.app, await _body(request, ReplayBody)
    if bool(body.records) == bool(body.status) or (body.since and not body.status):
        raise UsageError("name records, or choose them by status (and since); one of the two")
    if not body.reason and not body.dry_run:
        raise UsageError("reason: say why; it is kept with the request")
    replay = Replay(body.date, body.refetch)
    selection = Selection(body.records, body.status, body.since)
    planned = await asyncio.to_thread(plan_replay, app[MODEL], selection, replay)
    if not body.dry_run:
        word = _word(request, body.reason or "")
        await _send(request, [one for step in planned for one in replay_messages(app[NAMES], step, replay, word)])
    return json_response({"dryRun": body.dry_run, "items": [one.as_json() for one in planned]})


@at_least(Role.OPERATOR)
async def post_correction(request: web.Request) -> web.Response:
    """Answer `POST /api/records/{id}/correct`: what is reversed and what posted; with `dryRun` nothing is sent."""
    app, body, record = request.app, await _body(request, CorrectionBody), await _record(request)
    correction = await prepare_correction(app[KAFKA], app[NAMES], app[MODEL], record)
    found = (correction.posted_fingerprint, correction.document_fingerprint)
    seen = (body.posted_fingerprint, body.document_fingerprint)
    if any(given is not None and given != now for given, now in zip(seen, found, strict=True)):
        raise RequestError(f"{record.id} has changed since it was looked at: look at it once more")
    if not body.dry_run:
        if correction.obstacle:
            raise RequestError(f"{record.id} cannot be corrected yet: {correction.obstacle}; nothing was sent")
        await _send(request, [correction_message(app[NAMES], record, found, _word(request, body.reason), body.date)])
    return json_response({"dryRun": body.dry_run, **correction.as_json()})


@at_least(Role.OPERATOR)
async def post_settlement(request: web.Request) -> web.Response:
    """Answer `POST /api/records/{id}/settle`: accounting booked the record by hand."""
    body, record = await _body(request, SettlementBody), await _record(request)
    check_settlement(record)
    message = settlement_message(request.app[NAMES], record, body.voucher, _word(request, body.reason))
    await _send(request, [message])
    return json_response({"id": record.id, "voucher": body.voucher})


async def _body(request: web.Request, model: type[B]) -> B:
    # A form of another site can send everything but this type, whatever cookies a browser adds to it.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise UsageError(f"{where}: {first['msg']}") from None


async def _record(request: web.Request) -> Record:
    record = await asyncio.to_thread(request.app[MODEL].record, request.match_info["id"])
    if record is None:
        raise web.HTTPNotFound(text=f"there is no record {request.match_info['id']}")
    return record


def _word(request: web.Request, reason: str) -> Word:
    return Word(request[IDENTITY].name, utc_now(), reason, PROCESS)


async def _send(request: web.Request, messages: list[Message]) -> None:
    app = request.app
    await send_all(app[KAFKA], messages, client_id=f"{app[NAMES].app_id}-{PROCESS}")

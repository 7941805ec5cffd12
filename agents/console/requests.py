"""The API by which operators ask for a replay, a correction or a settlement: the same words as the command line's."""

import asyncio
from typing import Annotated

from aiohttp import web
from pydantic import Field

from agents.console.answers import CorrectionAnswer, PlannedItem, ReplayAnswer, SettlementAnswer
from agents.console.api import MODEL, NAMES, SETTINGS, record_of
from agents.console.operations import Asked, Operation, Text
from agents.console.refusals import IDENTITY
from agents.console.roles import Role
from agents.console.sending import PROCESS, send
from schemas.base import Date, Status, Time, utc_now
from schemas.errors import UsageError
from streams.corrections import prepare_correction
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

MOST_RECORDS = 500
"""Named in one request; more are chosen by their status."""


class ReplayBody(Asked):
    """What to replay: records by their ids, or all of a status."""

    records: Annotated[tuple[Text, ...], Field(max_length=MOST_RECORDS)] = ()
    status: Status | None = None
    since: Time | None = None
    reason: Text | None = None
    date: Date | None = None
    refetch: bool = False
    dry_run: bool = False


class CorrectionBody(Asked):
    """The word to correct a record; with fingerprints, only if they are still those that the person saw."""

    reason: Text
    date: Date | None = None
    dry_run: bool = False
    posted_fingerprint: str | None = None
    document_fingerprint: str | None = None


class SettlementBody(Asked):
    """The word that a record was booked by hand."""

    voucher: Text
    reason: Text


async def post_replay(request: web.Request, body: ReplayBody) -> ReplayAnswer:
    """Answer what happens with each record; with `dryRun` nothing is sent."""
    app = request.app
    if bool(body.records) == bool(body.status) or (body.since and not body.status):
        raise UsageError("name records, or choose them by status (and since); one of the two")
    if not body.reason and not body.dry_run:
        raise UsageError("reason: say why; it is kept with the request")
    replay = Replay(body.date, body.refetch)
    selection = Selection(body.records, body.status, body.since)
    planned = await asyncio.to_thread(plan_replay, app[MODEL], selection, replay)
    if not body.dry_run:
        word = _word(request, body.reason or "")
        await send(request, [one for step in planned for one in replay_messages(app[NAMES], step, replay, word)])
    items = tuple(PlannedItem(id=one.record.id, action=one.action, reason=one.reason) for one in planned)
    return ReplayAnswer(dry_run=body.dry_run, items=items)


async def post_correction(request: web.Request, body: CorrectionBody) -> CorrectionAnswer:
    """Answer what is reversed and what posted; with `dryRun` nothing is sent."""
    app, record = request.app, await record_of(request)
    correction = await prepare_correction(app[SETTINGS].kafka, app[NAMES], app[MODEL], record)
    found = (correction.posted_fingerprint, correction.document_fingerprint)
    seen = (body.posted_fingerprint, body.document_fingerprint)
    if any(given is not None and given != now for given, now in zip(seen, found, strict=True)):
        raise RequestError(f"{record.id} has changed since it was looked at: look at it once more")
    if not body.dry_run:
        if correction.obstacle:
            raise RequestError(f"{record.id} cannot be corrected yet: {correction.obstacle}; nothing was sent")
        await send(request, [correction_message(app[NAMES], record, found, _word(request, body.reason), body.date)])
    return CorrectionAnswer.model_validate({"dryRun": body.dry_run, **correction.as_json()})


async def post_settlement(request: web.Request, body: SettlementBody) -> SettlementAnswer:
    """Take accounting's word that they booked the record by hand."""
    record = await record_of(request)
    check_settlement(record)
    message = settlement_message(request.app[NAMES], record, body.voucher, _word(request, body.reason))
    await send(request, [message])
    return SettlementAnswer(id=record.id, voucher=body.voucher)


def _word(request: web.Request, reason: str) -> Word:
    return Word(request[IDENTITY].name, utc_now(), reason, PROCESS)


REQUESTS = (
    Operation(
        "POST",
        "/api/replay",
        "Replay records: what is in IFS Cloud is never posted again",
        ReplayBody,
        ReplayAnswer,
        post_replay,
        Role.OPERATOR,
        (404, 409, 503),
    ),
    Operation(
        "POST",
        "/api/records/{id}/correct",
        "Reverse what is posted of a record that changed since, and post it as it is now",
        CorrectionBody,
        CorrectionAnswer,
        post_correction,
        Role.OPERATOR,
        (404, 409, 503),
    ),
    Operation(
        "POST",
        "/api/records/{id}/settle",
        "Say that accounting booked a record by hand",
        SettlementBody,
        SettlementAnswer,
        post_settlement,
        Role.OPERATOR,
        (404, 409, 503),
    ),
)

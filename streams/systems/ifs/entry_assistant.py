"""Vouchers by the voucher entry assistant, the way that IFS Cloud itself ships (VoucherEntryAssistantHandling).

A draft is made, changed to the voucher's type, user group and date, and given its rows; all of that is virtual, in no
other set and of no consequence. One bound action, CreateVoucher, then books header and rows in one transaction: the
only request that can be uncertain. The draft is cleaned up whatever came of it, unless the poster is stopped just then.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import structlog

from schemas.errors import ConnectorError, FarSideError, UnreadableError
from schemas.vouchers import VoucherRow
from streams.accounting.conversion import Rate
from streams.settings import IfsSettings
from streams.systems.ifs import odata
from streams.systems.ifs.errors import Judgement, Verdict, judge, lost
from streams.systems.ifs.posting import BookingRequest, Created, NotPreparedError, Send, number_of
from streams.systems.ifs.refusals import REQUEST_NOT_UNDERSTOOD
from streams.systems.ifs.service import Service
from streams.systems.ifs.voucher_json import Command, row_body
from streams.systems.session import Answer

log = structlog.get_logger(__name__)

PROJECTION = "VoucherEntryAssistantHandling"
CREATE = "CreateVoucher"
CLEAN_UPS = ("RemoveTempVoucher", "CleanupVirtualEntity")
"""Actions that take a draft away: the assistant's own, and that of all virtual entities where it is not offered."""
CLEAN_UP_SECONDS = 10.0
"""A draft that is left behind harms nobody, so cleaning up must not hold up what comes next."""
ANY_TAG = "*"
"""Nobody else knows of a draft, so its tag guards nothing; IFS takes `*` where it gave none (OData 4.01 8.2.4)."""
GONE = "ODP_RESOURCE_NOTFOUND"
NOT_UNDERSTOOD = Judgement(
    Verdict.DATABASE, None, "the voucher entry assistant's answer names no draft (Objkey)", REQUEST_NOT_UNDERSTOOD
)
"""A few tries, then a person."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A draft as IFS shows it: what was given and what IFS made of it."""

    path: str
    shown: Mapping[str, Any]
    tag: str


class EntryAssistantPosting:
    """For tenants as they are shipped: 3 requests and one for each row make a voucher, 4 where the draft is changed."""

    def __init__(self, service: Service, settings: IfsSettings) -> None:
        self.hold = ("VouchersAnalysis", "VoucherSet")
        self.needs_tag = False
        self._service = service
        self._booking = BookingRequest(service, settings)

    @asynccontextmanager
    async def prepared(
        self, command: Command, rows: Sequence[VoucherRow], rate: Rate, tag: str | None
    ) -> AsyncIterator[Send]:
        """Make a draft with all rows; it is cleaned up on leaving, but where a stop cannot wait. Needs no tag."""
        del tag
        draft = await self._new(command)
        try:
            draft = await self._changed(command, draft)
            for row in rows:
                await self._add(draft, command, row, rate)
            yield partial(self._create, command, draft)
        except Exception:
            await self._clean_up(draft)
            raise
        await self._clean_up(draft)

    async def demand_offered(self) -> None:
        """Read the projection's service document: drafts of others cannot be read, and none is made for a check."""
        await self._service.entity(PROJECTION, "")

    async def _new(self, command: Command) -> _Draft:
        body = {
            "OpennedFrom": "NEW_VOUCHER",  # IFS's own spelling; anything else copies a voucher of the hold table
            "Company": command.company,
            "VoucherDate": command.voucher_date.isoformat(),
            "FunctionGroup": "M",
            "VoucherText2": command.reference,
            "UseCorrectionRows": False,
            "MultiCompanyMode": False,
        }
        answer = await self._prepare("VoucherSet", body)
        shown = _object(answer)
        objkey = shown.get("Objkey")
        if not isinstance(objkey, str) or not objkey:
            raise NotPreparedError(NOT_UNDERSTOOD)
        return _Draft(odata.by_key("VoucherSet", Objkey=objkey), shown, _tag(answer, shown))

    async def _changed(self, command: Command, draft: _Draft) -> _Draft:
        """Return the draft with the command's type, user group and date: IFS fills in its own, and derives from them.

        Raises:
            NotPreparedError: it could not be changed, or IFS keeps something else than was asked for.

        """
        wanted = {"VoucherType": command.voucher_type, "VoucherDate": command.voucher_date.isoformat()}
        if command.user_group:
            wanted["UserGroup"] = command.user_group
        changes = _differences(wanted, draft.shown)
        if not changes:
            return draft
        headers = {"If-Match": draft.tag, "Prefer": "return=representation"}
        answer = await self._prepare(draft.path, changes, headers, method="PATCH")
        shown = _object(answer)
        if not shown:
            # Not shown what IFS derived: the accounting year is not known, so the number will be looked up.
            shown = {name: value for name, value in draft.shown.items() if name != "AccountingYear"} | wanted
        kept = _differences(wanted, shown)
        if kept:
            words = ", ".join(f"{name} {shown.get(name)} instead of {value}" for name, value in kept.items())
            refused = Judgement(Verdict.REFUSED, None, f"the draft keeps {words}", REQUEST_NOT_UNDERSTOOD)
            raise NotPreparedError(refused)
        return _Draft(draft.path, shown, _tag(answer, shown))

    async def _add(self, draft: _Draft, command: Command, row: VoucherRow, rate: Rate) -> None:
        body = {
            "Company": command.company,
            **row_body(command, row, rate.rate, rate.conversion_factor),
            "Correction": False,
            "AddInternal": False,
            "IntManualAdded": False,
        }
        await self._prepare(f"{draft.path}/VoucherPostingArray", body)

    async def _prepare(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        *,
        method: Literal["POST", "PATCH"] = "POST",
    ) -> Answer:
        """Send one request of no consequence: what is not known to be done is simply done anew, in another draft."""
        await self._service.admit()
        url = self._service.url(PROJECTION, path)
        try:
            answer = await self._service.write(url, body, headers or {}, method=method)
        except FarSideError as error:
            raise NotPreparedError(_certain(lost(error))) from error
        judgement = judge(answer)
        if judgement.verdict is not Verdict.DONE:
            raise NotPreparedError(_certain(judgement))
        return answer

    async def _create(self, command: Command, draft: _Draft) -> Created:
        """Book the draft. Warnings that would ask a user "go on?" are answered with yes: nobody is there to ask."""
        headers = {"X-IFS-Accept-Warnings": "true"}
        judgement, answer = await self._booking.send(self._action(draft, CREATE), {}, headers)
        if judgement.verdict is Verdict.REFUSED and judgement.code == GONE:
            judgement = replace(judgement, verdict=Verdict.DATABASE)  # the draft is gone: a few tries with new ones
        if answer is None or judgement.verdict is not Verdict.DONE:
            return Created(judgement)
        told = {**draft.shown, "VoucherNo": _object(answer).get("value")}
        return Created(judgement, number_of(told, command.company))

    async def _clean_up(self, draft: _Draft) -> None:
        try:
            async with asyncio.timeout(CLEAN_UP_SECONDS):
                for action in CLEAN_UPS:
                    await self._service.admit()
                    judgement = judge(await self._service.write(self._action(draft, action), {}, {}))
                    if judgement.verdict is not Verdict.REFUSED:
                        break
            is_gone = judgement.verdict is Verdict.DONE or judgement.code == GONE
            words = None if is_gone else judgement.words
        except (ConnectorError, TimeoutError) as error:
            words = str(error) or "not answered in time"
        if words:
            log.info("a draft is left behind in IFS, where it harms nobody", draft=draft.path, words=words)

    def _action(self, draft: _Draft, action: str) -> str:
        return self._service.url(PROJECTION, f"{draft.path}/IfsApp.{PROJECTION}.VoucherEntry_{action}")


def _certain(judgement: Judgement) -> Judgement:
    """Return a judgement of a request that books nothing: what is uncertain of it does not matter."""
    return replace(judgement, verdict=Verdict.BUSY) if judgement.verdict is Verdict.UNCERTAIN else judgement


def _differences(wanted: Mapping[str, str], shown: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wanted and not shown; dates may come with a time."""
    return {
        name: value
        for name, value in wanted.items()
        if str(shown.get(name) or "")[: len(value) if name == "VoucherDate" else None] != value
    }


def _object(answer: Answer) -> dict[str, Any]:
    """Return the JSON object of an answer; an empty one where it has none."""
    try:
        body = answer.json()
    except UnreadableError:
        return {}
    return body if isinstance(body, dict) else {}


def _tag(answer: Answer, shown: Mapping[str, Any]) -> str:
    return odata.usable_tag(shown.get("@odata.etag")) or odata.usable_tag(answer.headers.get("ETag")) or ANY_TAG

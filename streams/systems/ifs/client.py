"""Vouchers in IFS Cloud: is it there already, and create it. Looks in the hold table and in the general ledger."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from schemas.errors import FarSideError, ForbiddenError, NotFoundError, RefusedError, SettingsError, UnreadableError
from schemas.vouchers import VoucherNumber, VoucherRow
from streams.accounting.conversion import Rate
from streams.settings import IfsSettings
from streams.systems.ifs import odata
from streams.systems.ifs.accounting_rules import AccountingRules
from streams.systems.ifs.basics import Basics
from streams.systems.ifs.errors import Judgement, Verdict, judge, lost
from streams.systems.ifs.service import Service
from streams.systems.ifs.voucher_json import Command, voucher_body
from streams.systems.session import Answer

SET = "VoucherSet"
HOLD_ROWS = ("VoucherRowsAnalysis", "VoucherRowSet")
SETTLE_MARGIN_SECONDS = 10.0
"""IFS is told to give up this long before absence is concluded: room for a commit on its way and a token's renewal."""
GIVE_UP_MARGIN_SECONDS = 5.0
"""How much longer than IFS we wait ourselves, so that its 504 arrives rather than our own time-out."""
_NUMBER_IN_LOCATION = re.compile(r"VoucherType='(?P<type>[^']*)',AccountingYear=(?P<year>\d+),VoucherNo=(?P<no>-?\d+)")


@dataclass(frozen=True, slots=True)
class Found:
    """A voucher that is in IFS under a reference; `rate` as its rows have it, where they were read."""

    number: VoucherNumber
    rate: Decimal | None = None
    conversion_factor: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What the hold table has of the references asked for, and the tag of the set that was read."""

    found: dict[str, Found]
    tag: str | None


@dataclass(frozen=True, slots=True)
class Created:
    """What came of a POST; `number` is None if it was done but the answer does not tell it."""

    judgement: Judgement
    number: VoucherNumber | None = None


class LookUpRefusedError(FarSideError):
    """A look-up is not allowed or not offered: that says nothing about absence, so nothing may be posted."""


class IfsClient:
    """Reads and creates vouchers of one tenant."""

    def __init__(self, service: Service, settings: IfsSettings) -> None:
        self.service = service
        self.basics = Basics(service)
        self.rules = AccountingRules(service)
        self._settings = settings
        self._wait_seconds = max(1, math.floor(settings.settle_seconds - SETTLE_MARGIN_SECONDS))
        self._has_hold_rows = True

    async def look_in_hold(self, company: str, references: Sequence[str]) -> Held:
        """Read the set: its tag, and which of the references the hold table has. One request, or a few for many.

        Raises:
            LookUpRefusedError: not granted or not there; never to be taken for absence.
            SettingsError: the set has no tag though one is required.
            TroubleError, UnauthorizedError: not answered.

        """
        url = self.service.url(self._settings.projection, SET)
        found: dict[str, Found] = {}
        tag = None
        for chunk, condition in odata.chunked(url, odata.equal("Company", company), "VoucherText2", references):
            query = odata.query(filter=condition, top=len(chunk) + 1)
            rows, tag = await self._look(self._settings.projection, SET, query)
            for row in rows:
                reference, number = _matching(row, "VoucherText2", chunk), _number(row, company)
                known = found.get(reference)
                # A person may have copied the voucher with its text: the older one is ours.
                if known is None or _age(number) < _age(known.number):
                    found[reference] = Found(number)
        if tag is None and self._settings.etag == "required":
            raise SettingsError(
                f"IFS gives no tag for {self._settings.projection}.svc/{SET}: neither an ETag header nor @odata.etag. "
                "If it needs none, set ZIFS_IFS__ETAG to if-given"
            )
        return Held(found, tag)

    async def look_in_ledger(self, company: str, reference: str) -> Found | None:
        """Look in the general ledger, where a voucher goes when IFS updates it. Raises like `look_in_hold`."""
        settings = self._settings
        return await self._look_at_rows(settings.gl_projection, settings.gl_entity_set, company, reference)

    async def look_in_hold_rows(self, company: str, reference: str) -> Found | None:
        """Look at the hold table's rows, whose reference nobody edits, unlike the voucher's text; None if not there.

        Not every tenant grants this set. It can only add evidence that something is there, so without it the look-up
        of vouchers decides alone.
        """
        if not self._has_hold_rows:
            return None
        try:
            return await self._look_at_rows(*HOLD_ROWS, company, reference)
        except (LookUpRefusedError, RefusedError):
            self._has_hold_rows = False
            return None

    async def create(self, command: Command, rows: Sequence[VoucherRow], rate: Rate, tag: str | None) -> Created:
        """Send the one POST. Its place in the budget must have been taken (`service.admit`).

        `Prefer: wait` makes IFS give up in time: what it has not done by then, it does not do later.
        """
        settings = self._settings
        body = voucher_body(
            command,
            rows,
            rate=rate.rate,
            conversion_factor=rate.conversion_factor,
            rows_property=settings.rows_property,
        )
        headers = {"Prefer": f"return=representation, wait={self._wait_seconds}"}
        if tag:
            headers["If-Match"] = tag
        try:
            answer = await self.service.post(
                self.service.url(settings.projection, SET), body, headers, self._wait_seconds + GIVE_UP_MARGIN_SECONDS
            )
        except FarSideError as error:
            return Created(lost(error))
        judgement = judge(answer)
        if judgement.verdict is not Verdict.DONE:
            return Created(judgement)
        return Created(judgement, _number_told(answer, command.company))

    async def _look_at_rows(self, projection: str, entity_set: str, company: str, reference: str) -> Found | None:
        condition = odata.all_of(odata.equal("Company", company), odata.equal("ReferenceNumber", reference))
        rows, _ = await self._look(projection, entity_set, odata.query(filter=condition, top=1))
        for row in rows:
            _matching(row, "ReferenceNumber", [reference])
            rate, factor = _positive(row, "CurrencyRate"), _positive(row, "ConversionFactor")
            return Found(_number(row, company), rate, factor)
        return None

    async def _look(self, projection: str, entity_set: str, query: str) -> tuple[list[dict[str, Any]], str | None]:
        try:
            page = await self.service.page(projection, entity_set, query)
        except (ForbiddenError, NotFoundError) as error:
            raise LookUpRefusedError(
                f"IFS does not let us look for vouchers in {projection}.svc/{entity_set} ({error.status}): without the "
                f"look-up nothing can be posted safely. Have it granted, or correct the settings. {error}",
                status=error.status,
            ) from error
        return page.rows, page.tag


def _matching(row: Mapping[str, Any], field: str, references: Sequence[str]) -> str:
    """Return which reference a row has; a row that was not asked for means that the filter was not obeyed."""
    value = row.get(field)
    if value in references:
        return str(value)
    if value is None and len(references) == 1:
        return references[0]
    raise LookUpRefusedError(
        f"IFS answers a look-up by {field} with rows of other values: a gateway drops $filter, so nothing is proven"
    )


def _number(row: Mapping[str, Any], company: str) -> VoucherNumber:
    try:
        return VoucherNumber(
            company=str(row.get("Company") or company),
            voucher_type=str(row["VoucherType"]),
            accounting_year=int(row["AccountingYear"]),
            voucher_no=int(row["VoucherNo"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LookUpRefusedError(
            f"IFS names no voucher type, year or number for a voucher it has: {error!r}"
        ) from error


def _age(number: VoucherNumber) -> tuple[int, int]:
    return number.accounting_year, number.voucher_no


def _number_told(answer: Answer, company: str) -> VoucherNumber | None:
    """Return the number that the answer to a POST gives in its body or else in its Location (204 has no body)."""
    try:
        body = answer.json()
    except UnreadableError:
        body = None
    if isinstance(body, dict) and body.get("VoucherNo") and body.get("AccountingYear") and body.get("VoucherType"):
        return _number(body, company)
    place = _NUMBER_IN_LOCATION.search(unquote(answer.headers.get("Location", "")))
    if place is None or int(place["no"]) == 0:
        return None
    return VoucherNumber(
        company=company, voucher_type=place["type"], accounting_year=int(place["year"]), voucher_no=int(place["no"])
    )


def _positive(row: Mapping[str, Any], field: str) -> Decimal | None:
    value = row.get(field)
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) and value > 0 else None

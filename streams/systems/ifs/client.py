"""Vouchers in IFS Cloud: is it there already, and where. Looks in the hold table and in the general ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from schemas.errors import FarSideError, ForbiddenError, NotFoundError, RefusedError, SettingsError
from schemas.vouchers import VoucherNumber
from streams.settings import IfsSettings
from streams.systems.ifs import odata
from streams.systems.ifs.accounting_rules import AccountingRules
from streams.systems.ifs.basics import Basics
from streams.systems.ifs.change_set import ChangeSetPosting
from streams.systems.ifs.entry_assistant import EntryAssistantPosting
from streams.systems.ifs.posting import Posting, number_of
from streams.systems.ifs.service import Page, Service
from streams.systems.ifs.voucher_set import VoucherSetPosting

HOLD_ROWS = ("VoucherRowsAnalysis", "VoucherRowSet")
MOST_ROWS = 1_000
"""Rows asked for where the rows of many vouchers are looked for; below the 5,000 at which IFS is said to fail."""


@dataclass(frozen=True, slots=True)
class Found:
    """A voucher that is in IFS under a reference; `rate` as its rows have it, where they were read."""

    number: VoucherNumber
    rate: Decimal | None = None
    conversion_factor: Decimal | None = None
    status: str | None = None
    """IFS's `VoucherStatus`, such as Approved, AwaitingApproval or Error; of the hold table only."""
    update_error: str | None = None
    """Why IFS could not move it into the general ledger, where it tried."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the hold table has of the references asked for, and the tag of the set that was read."""

    found: dict[str, Found]
    tag: str | None


class Place(StrEnum):
    """Where a voucher is: created, in the general ledger, or not in IFS (any more)."""

    HOLD_TABLE = "hold table"
    GENERAL_LEDGER = "general ledger"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the voucher of a reference is, and what IFS has of it; `found` is None if it is nowhere."""

    place: Place
    found: Found | None = None


class LookUpRefusedError(FarSideError):
    """A look-up is not allowed or not offered: that says nothing about absence, so nothing may be posted."""


class IfsClient:
    """Looks for vouchers of one tenant; `posting` is the way in which new ones get in."""

    def __init__(self, service: Service, settings: IfsSettings) -> None:
        self.service = service
        self.basics = Basics(service)
        self.rules = AccountingRules(service)
        self.posting: Posting = (
            EntryAssistantPosting(service, settings)
            if settings.posting == "entry-assistant"
            else VoucherSetPosting(service, settings)
        )
        self.change_sets = ChangeSetPosting(service, settings)
        self._settings = settings
        self._has_hold_rows = True

    async def look_in_hold(self, company: str, references: Sequence[str]) -> Held:
        """Read the set: its tag, and which of the references the hold table has. One request, or a few for many.

        Raises:
            LookUpRefusedError: not granted or not there; never to be taken for absence.
            SettingsError: the set has no tag though one is required.
            TroubleError, UnauthorizedError: not answered.

        """
        projection, entity_set = self.posting.hold
        held = await self._look_at_headers(company, references)
        if held.tag is not None or len(held.found) == len(set(references)) or not self.posting.needs_tag:
            return held
        # Some give a tag with rows only, and a look-up that finds nothing has none.
        newest = await self._newest(company)
        if newest.tag is None and newest.rows:
            raise SettingsError(
                f"IFS gives no tag for {projection}.svc/{entity_set}: neither an ETag header nor @odata.etag. "
                "If it needs none, set ZIFS_IFS__ETAG to if-given"
            )
        # What came in between the look and the tag would be hidden by it: the tag must be no newer than the look.
        return Held((await self._look_at_headers(company, references)).found, newest.tag)

    async def _newest(self, company: str) -> Page:
        """Read the company's newest voucher for the sake of its tag; the set of a new company is empty and has none."""
        projection, entity_set = self.posting.hold
        query = odata.query(filter=odata.equal("Company", company), orderby="VoucherNo desc", top=1)
        rows, tag = await self._look(projection, entity_set, query)
        return Page(rows, tag or next(filter(None, (odata.usable_tag(row.get("@odata.etag")) for row in rows)), None))

    async def where_is(self, company: str, reference: str) -> Whereabouts:
        """Tell where the voucher of a reference is: created (with its approval status), or in the general ledger.

        Raises:
            LookUpRefusedError: a look-up is not granted, or the company cannot be seen; that says nothing.
            TroubleError, UnauthorizedError: not answered.

        """
        found = await self._in_hold(company, reference)
        if found is None and (found := await self.look_in_ledger(company, reference)):
            return Whereabouts(Place.GENERAL_LEDGER, found)
        # A voucher on its way from one to the other can be in neither for a moment.
        found = found or await self._in_hold(company, reference)
        if found:
            return Whereabouts(Place.HOLD_TABLE, found)
        if await self.basics.company(company, fresh=True) is None:
            raise LookUpRefusedError(f"company {company} does not exist in IFS, or its service user may not see it")
        return Whereabouts(Place.NOWHERE)

    async def _in_hold(self, company: str, reference: str) -> Found | None:
        held = await self._look_at_headers(company, [reference])
        return held.found.get(reference) or await self.look_in_hold_rows(company, reference)

    async def _look_at_headers(self, company: str, references: Sequence[str]) -> Held:
        projection, entity_set = self.posting.hold
        url = self.service.url(projection, entity_set)
        found: dict[str, Found] = {}
        tag = None
        for chunk, condition in odata.chunked(url, odata.equal("Company", company), "VoucherText2", references):
            query = odata.query(filter=condition, top=len(chunk) + 1)
            rows, newer_tag = await self._look(projection, entity_set, query)
            tag = tag or newer_tag  # the first: it is old if anything came between it and the last chunk
            for row in rows:
                reference, number = _matching(row, "VoucherText2", chunk, company), _number(row, company)
                known = found.get(reference)
                # A person may have copied the voucher with its text: the older one is ours.
                if known is None or _age(number) < _age(known.number):
                    found[reference] = _found(row, number)
            if len(chunk) > 1 and len(rows) > len(chunk):  # copies: those that are missing may have had no room
                for missing in (reference for reference in chunk if reference not in found):
                    found |= (await self._look_at_headers(company, [missing])).found
        return Held(found, tag)

    async def look_beyond_hold(self, company: str, references: Sequence[str]) -> dict[str, Found]:
        """Look in the hold table and then in the ledger; the caller looks in the hold table again afterwards.

        A voucher on its way from one to the other can be in neither for a moment. Raises like `look_in_hold`.
        """
        found = dict((await self.look_in_hold(company, references)).found)
        for look in (self._rows_in_hold, self._rows_in_ledger):
            if missing := [reference for reference in references if reference not in found]:
                found |= await look(company, missing)
        return found

    async def look_in_ledger(self, company: str, reference: str) -> Found | None:
        """Look in the general ledger, where a voucher goes when IFS updates it. Raises like `look_in_hold`."""
        return (await self._rows_in_ledger(company, [reference])).get(reference)

    async def look_in_hold_rows(self, company: str, reference: str) -> Found | None:
        """Look at the hold table's rows, whose reference nobody edits, unlike the voucher's text; None if not there."""
        return (await self._rows_in_hold(company, [reference])).get(reference)

    async def _rows_in_ledger(self, company: str, references: Sequence[str]) -> dict[str, Found]:
        settings = self._settings
        return await self._look_at_rows(settings.gl_projection, settings.gl_entity_set, company, references)

    async def _rows_in_hold(self, company: str, references: Sequence[str]) -> dict[str, Found]:
        """Not every tenant grants this set.

        It can only add evidence that something is there, so without it the look-up of vouchers decides alone.
        """
        if not self._has_hold_rows:
            return {}
        try:
            return await self._look_at_rows(*HOLD_ROWS, company, references)
        except (LookUpRefusedError, RefusedError):
            self._has_hold_rows = False
            return {}

    async def _look_at_rows(
        self, projection: str, entity_set: str, company: str, references: Sequence[str]
    ) -> dict[str, Found]:
        found: dict[str, Found] = {}
        url = self.service.url(projection, entity_set)
        for chunk, condition in odata.chunked(url, odata.equal("Company", company), "ReferenceNumber", references):
            top = 1 if len(chunk) == 1 else MOST_ROWS
            rows, _ = await self._look(projection, entity_set, odata.query(filter=condition, top=top))
            for row in rows:
                reference = _matching(row, "ReferenceNumber", chunk, company)
                found.setdefault(reference, _found(row, _number(row, company)))
            if len(chunk) > 1 and len(rows) >= MOST_ROWS:  # those that are missing may have had no room
                for missing in (reference for reference in chunk if reference not in found):
                    found |= await self._look_at_rows(projection, entity_set, company, [missing])
        return found

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


def _matching(row: Mapping[str, Any], field: str, references: Sequence[str], company: str) -> str:
    """Return which reference a row has; a row that was not asked for means that the filter was not obeyed."""
    value = row.get(field)
    if value in references and row.get("Company", company) == company:
        return str(value)
    raise LookUpRefusedError(
        f"IFS answers a look-up by {field} in company {company} with rows that do not have it or are of another "
        "company: a gateway drops $filter, so nothing is proven"
    )


def _number(row: Mapping[str, Any], company: str) -> VoucherNumber:
    number = number_of(row, company)
    if number is None:
        raise LookUpRefusedError("IFS names no voucher type, year or number for a voucher it has")
    return number


def _found(row: Mapping[str, Any], number: VoucherNumber) -> Found:
    return Found(
        number,
        _positive(row, "CurrencyRate"),
        _positive(row, "ConversionFactor"),
        row.get("VoucherStatus") or None,
        row.get("UpdateError") or None,
    )


def _age(number: VoucherNumber) -> tuple[int, int]:
    return number.accounting_year, number.voucher_no


def _positive(row: Mapping[str, Any], field: str) -> Decimal | None:
    value = row.get(field)
    number = None if isinstance(value, str) else odata.decimal(value)
    return number if number is not None and number > 0 else None

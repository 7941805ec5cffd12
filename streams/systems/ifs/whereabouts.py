"""Where the vouchers of a record are in IFS Cloud, as people and programs are told."""

from collections.abc import Iterable
from typing import Any

from schemas.base import Model
from schemas.vouchers import VoucherNumber, VoucherPosted
from streams.systems.ifs.client import IfsClient

MOST_LOOKED_UP = 10
"""The newest vouchers of a record; each takes up to four requests."""


class VoucherPlace(Model):
    """Where one voucher is: `hold table` with its status there, `general ledger`, or `nowhere`."""

    reference: str
    place: str
    status: str | None = None
    update_error: str | None = None
    """Why IFS could not move it into the general ledger, where it tried."""
    voucher: VoucherNumber | None = None


async def places_of(client: IfsClient, posted: Iterable[VoucherPosted]) -> list[VoucherPlace]:
    """Look where vouchers are, at most the newest MOST_LOOKED_UP; what is a rehearsal is nowhere and not looked for.

    Raises:
        LookUpRefusedError: a look-up is not granted, or a company cannot be seen.
        TroubleError, UnauthorizedError: not answered.

    """
    companies = {one.reference: one.company for one in posted if not one.shadow}
    return [await _place_of(client, company, name) for name, company in list(companies.items())[-MOST_LOOKED_UP:]]


async def _place_of(client: IfsClient, company: str, reference: str) -> VoucherPlace:
    found = await client.where_is(company, reference)
    told: dict[str, Any] = {}
    if found.found:
        told = {
            "status": found.found.status,
            "update_error": found.found.update_error,
            "voucher": found.found.number,
        }
    return VoucherPlace(reference=reference, place=found.place.value, **told)

"""Header and rows in one POST to a set of vouchers, under the tag that was read from it."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import unquote

from schemas.errors import UnreadableError
from schemas.vouchers import VoucherNumber, VoucherRow
from streams.accounting.conversion import Rate
from streams.settings import IfsSettings
from streams.systems.ifs.errors import Verdict
from streams.systems.ifs.posting import BookingRequest, Created, Send, number_of
from streams.systems.ifs.service import Service
from streams.systems.ifs.voucher_json import Command, voucher_body
from streams.systems.session import Answer

SET = "VoucherSet"
_NUMBER_IN_LOCATION = re.compile(
    r"VoucherType='(?P<VoucherType>[^']*)',AccountingYear=(?P<AccountingYear>\d+),VoucherNo=(?P<VoucherNo>-?\d+)"
)


class VoucherSetPosting:
    """For tenants with a projection or gateway that takes whole vouchers."""

    def __init__(self, service: Service, settings: IfsSettings) -> None:
        self.hold = (settings.projection, SET)
        self.needs_tag = settings.etag == "required"
        self._url = service.url(settings.projection, SET)
        self._rows_property = settings.rows_property
        self._booking = BookingRequest(service, settings)

    @asynccontextmanager
    async def prepared(
        self, command: Command, rows: Sequence[VoucherRow], rate: Rate, tag: str | None
    ) -> AsyncIterator[Send]:
        """Make the body ready; there is nothing else to do before the POST."""
        body = voucher_body(
            command,
            rows,
            rate=rate.rate,
            conversion_factor=rate.conversion_factor,
            rows_property=self._rows_property,
        )
        yield partial(self._send, command.company, body, {"If-Match": tag} if tag else {})

    async def demand_offered(self) -> None:
        """Return: the look-up reads the very set that takes the POST."""

    async def _send(self, company: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Created:
        judgement, answer = await self._booking.send(self._url, body, headers, "return=representation, ")
        if answer is None or judgement.verdict is not Verdict.DONE:
            return Created(judgement)
        return Created(judgement, number_told(answer, company, body["VoucherText2"]))


def number_told(answer: Answer, company: str, reference: str) -> VoucherNumber | None:
    """Return the number that the answer to a POST gives in its body or else in its Location (204 has no body).

    None also where the body tells another voucher's reference or another company than those that are expected.
    """
    try:
        body = answer.json()
    except UnreadableError:
        body = None
    fields = body if isinstance(body, dict) else {}
    if fields.get("VoucherText2", reference) != reference or fields.get("Company", company) != company:
        return None
    number = number_of(fields, company)
    place = _NUMBER_IN_LOCATION.search(unquote(answer.headers.get("Location", "")))
    return number or (number_of(place.groupdict(), company) if place else None)

"""What all ways of getting a voucher into IFS Cloud have in common: prepare it, then send the one request that books.

Nothing of what is prepared counts for anything in IFS, so it may fail and be prepared again. Only `send` can be
uncertain: its caller writes down before that it is about to.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Protocol

from schemas.errors import FarSideError, UnreadableError
from schemas.vouchers import VoucherNumber, VoucherRow
from streams.accounting.conversion import Rate
from streams.settings import IfsSettings
from streams.systems.ifs.errors import Judgement, Verdict, judge, lost
from streams.systems.ifs.odata import whole
from streams.systems.ifs.service import Service
from streams.systems.ifs.voucher_json import Command
from streams.systems.session import Answer

SETTLE_MARGIN_SECONDS = 10.0
"""IFS is told to give up this long before absence is concluded: room for an intent that Kafka confirms, for the request
to leave and to arrive."""
LEAVES_WITHIN_SECONDS = 3.0
"""Of a request that books: a token's renewal and a new connection take some 0.1 s. What would leave later could still
be done after absence was concluded, so it is not sent."""
GIVE_UP_MARGIN_SECONDS = 5.0
"""How much longer than IFS we wait ourselves, so that its 504 arrives rather than our own time-out."""


@dataclass(frozen=True, slots=True)
class Created:
    """What came of a POST; `number` is None if it was done but the answer does not tell it."""

    judgement: Judgement
    number: VoucherNumber | None = None


class NotPreparedError(Exception):
    """A voucher could not be prepared, so nothing was booked for certain; `judgement` says what may be done next."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__(judgement.words)
        self.judgement = judgement


Send = Callable[[], Awaitable[Created]]
"""Sends the one request that books. Its place in the budget must have been taken (`service.admit`)."""


class Posting(Protocol):
    """A way of getting vouchers in."""

    hold: tuple[str, str]
    """Projection and entity set in which a voucher just created is looked for."""
    needs_tag: bool
    """Whether a voucher must not be sent without the tag of that set."""

    def prepared(
        self, command: Command, rows: Sequence[VoucherRow], rate: Rate, tag: str | None
    ) -> AbstractAsyncContextManager[Send]:
        """Make all ready for a voucher whose `rows` carry company amounts; leaves nothing behind.

        Raises:
            NotPreparedError: on entering.

        """
        ...

    async def demand_offered(self) -> None:
        """Raise ForbiddenError or NotFoundError where the tenant does not let us create vouchers this way."""
        ...


def number_of(row: Mapping[str, Any], company: str) -> VoucherNumber | None:
    """Return the number that a row of IFS gives a voucher; None if it gives none, or not all of it."""
    try:
        number = VoucherNumber(
            company=str(row.get("Company") or company),
            voucher_type=str(row["VoucherType"]),
            accounting_year=whole(row["AccountingYear"]),
            voucher_no=whole(row["VoucherNo"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
    return number if number.voucher_no else None


class BookingRequest:
    """Sends requests that book, with the time that IFS may take for them."""

    def __init__(self, service: Service, settings: IfsSettings) -> None:
        self._service = service
        self._wait_seconds = max(1, math.floor(settings.settle_seconds - SETTLE_MARGIN_SECONDS))

    async def send(
        self, url: str, body: Any, headers: Mapping[str, str], preference: str = ""
    ) -> tuple[Judgement, Answer | None]:
        """Send one; returns what came of it, and the answer if there was one.

        `Prefer: wait` makes IFS give up in time: what it has not done by then, it does not do later.
        """
        prefer = f"{preference}wait={self._wait_seconds}"
        seconds = self._wait_seconds + GIVE_UP_MARGIN_SECONDS
        try:
            answer = await self._service.write(
                url, body, {**headers, "Prefer": prefer}, seconds, leaves_within=LEAVES_WITHIN_SECONDS
            )
        except FarSideError as error:
            return lost(error), None
        judgement = judge(answer)
        if judgement.verdict is Verdict.DONE and not _is_of_ifs(answer):
            words = f"answered {answer.status} with something that is not IFS's"
            judgement = replace(judgement, verdict=Verdict.UNCERTAIN, words=words)
        return judgement, answer


def _is_of_ifs(answer: Answer) -> bool:
    """Tell an answer that says "done" from a gateway's page, or its 200 without a word, which say nothing of IFS."""
    if answer.status in (HTTPStatus.CREATED, HTTPStatus.NO_CONTENT):
        return True
    try:
        return isinstance(answer.json(), dict)
    except UnreadableError:
        return False

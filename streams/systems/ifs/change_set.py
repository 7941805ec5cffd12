"""Vouchers of one company in one request: a change set under the tag that was read from their set.

IFS books a change set in one transaction, all or nothing. Its parts are done one after the other, and each may take as
long as its `Prefer: wait` says, so many parts may be under way for longer than a single POST.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from schemas.errors import FarSideError, UnreadableError
from schemas.vouchers import VoucherNumber, VoucherRow
from streams.accounting.conversion import Rate
from streams.settings import IfsSettings
from streams.systems.bodies import write_json
from streams.systems.ifs.errors import Judgement, Verdict, judge, lost
from streams.systems.ifs.multipart import Part, PartAnswer, read_change_set, write_change_set
from streams.systems.ifs.posting import GIVE_UP_MARGIN_SECONDS, LEAVES_WITHIN_SECONDS, SETTLE_MARGIN_SECONDS
from streams.systems.ifs.service import Service
from streams.systems.ifs.voucher_json import Command, voucher_body
from streams.systems.ifs.voucher_set import SET, number_told
from streams.systems.session import Answer

SHORTEST_WAIT_SECONDS = 1
"""`Prefer: wait` knows whole seconds (RFC 7240 4.3), and no part can be given less."""


@dataclass(frozen=True, slots=True)
class VoucherPart:
    """One voucher to be booked; `rows` carry company amounts."""

    command: Command
    rows: Sequence[VoucherRow]
    rate: Rate


@dataclass(frozen=True, slots=True)
class Booked:
    """What came of a change set: `judgement` holds for all of it; `numbers` are those of its vouchers if it is done."""

    judgement: Judgement
    numbers: tuple[VoucherNumber | None, ...] = ()
    batch_refused: bool = False
    """The batch was refused before IFS looked at what is in it: too large, or batches are not offered."""


class ChangeSetPosting:
    """Books several vouchers at once, for tenants whose voucher set takes whole vouchers."""

    def __init__(self, service: Service, settings: IfsSettings) -> None:
        self._service = service
        self._url = service.url(settings.projection, "$batch")
        self._rows_property = settings.rows_property
        self.shortest_wait_seconds = SHORTEST_WAIT_SECONDS
        self._wait_seconds = max(1, math.floor(settings.settle_seconds - SETTLE_MARGIN_SECONDS))
        self._settle_seconds = settings.settle_seconds

    def settles_after(self, parts: int) -> timedelta:
        """Return how long after it was sent a change set of so many parts may still be done."""
        return timedelta(seconds=self._settle_seconds + self._total_seconds(parts) - self._wait_seconds)

    async def send(self, vouchers: Sequence[VoucherPart], tag: str | None) -> Booked:
        """Send one change set, whose place in the budget was taken before (`service.admit`)."""
        count = len(vouchers)
        content_type, body = write_change_set([self._part(one, tag, count) for one in vouchers])
        total = self._total_seconds(count)
        headers = {"Content-Type": content_type, "Accept": "multipart/mixed", "Prefer": f"wait={total}"}
        try:
            answer = await self._service.write_batch(
                self._url, body, headers, total + GIVE_UP_MARGIN_SECONDS, leaves_within=LEAVES_WITHIN_SECONDS
            )
        except FarSideError as error:
            return Booked(lost(error))
        judgement = judge(answer)
        if judgement.verdict is not Verdict.DONE:
            return Booked(judgement, batch_refused=judgement.verdict is Verdict.REFUSED)
        try:
            return _booked(read_change_set(answer), vouchers, judgement)
        except UnreadableError as error:
            return Booked(_unclear(judgement, str(error)))

    def _part(self, voucher: VoucherPart, tag: str | None, count: int) -> Part:
        body = voucher_body(
            voucher.command,
            voucher.rows,
            rate=voucher.rate.rate,
            conversion_factor=voucher.rate.conversion_factor,
            rows_property=self._rows_property,
        )
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Prefer": f"return=representation, wait={max(self._total_seconds(count) // count, SHORTEST_WAIT_SECONDS)}",
            **({"If-Match": tag} if tag else {}),
        }
        return Part(SET, headers, write_json(body))

    def _total_seconds(self, parts: int) -> int:
        return max(self._wait_seconds, parts * self.shortest_wait_seconds)


def _booked(told: list[PartAnswer] | Answer, vouchers: Sequence[VoucherPart], whole: Judgement) -> Booked:
    """Put answers and vouchers together; where anything does not fit, it is not known what was done."""
    if isinstance(told, Answer):
        judgement = judge(told)
        if judgement.verdict is Verdict.DONE:
            return Booked(_unclear(whole, "one answer for a whole change set, which says that it was done"))
        return Booked(judgement)
    if len(told) != len(vouchers):
        return Booked(_unclear(whole, f"{len(told)} answers to {len(vouchers)} vouchers"))
    numbers = [one.number for one in told]
    if sorted(number or 0 for number in numbers) == list(range(1, len(told) + 1)):
        told = sorted(told, key=lambda one: one.number or 0)
    elif any(number is not None for number in numbers):
        return Booked(_unclear(whole, "answers whose Content-ID is none of those sent"))
    if any(judge(one.answer).verdict is not Verdict.DONE for one in told):
        return Booked(_unclear(whole, "some vouchers of a change set done, and some not"))
    found = tuple(_number(one, voucher) for one, voucher in zip(told, vouchers, strict=True))
    known = [number for number in found if number]
    if len(set(known)) < len(known):
        return Booked(_unclear(whole, "one number for several vouchers"))
    return Booked(whole, found)


def _number(told: PartAnswer, voucher: VoucherPart) -> VoucherNumber | None:
    """Return the number that is told for a voucher; one that is told with another's reference is not this one's.

    Nor is one where neither Content-ID nor reference tells whose it is: answers in a change set come in any order.
    """
    reference = voucher.command.reference
    if told.number is None and reference.encode() not in told.answer.body:
        return None
    return number_told(told.answer, voucher.command.company, reference)


def _unclear(judgement: Judgement, words: str) -> Judgement:
    return replace(judgement, verdict=Verdict.UNCERTAIN, words=words)

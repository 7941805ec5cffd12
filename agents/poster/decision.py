"""What to do next with a command, from what is known of it and what was just seen. Pure: no clock, no network.

The rule behind all of it: a POST is sent only after a look found nothing, and never while an earlier one may have been
done. Absence counts only if the look began when IFS must have given up on that earlier one. How old that one is comes
from agents.poster.doubts: no clock that can jump has a say in it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from streams.systems.ifs.client import Found
from streams.systems.ifs.errors import Judgement, Verdict
from streams.systems.ifs.posting import Created

FAST_STALE_TRIES = 3
"""Stale tags in a row answered by an immediate fresh read; from then on with back-off, others are writing a lot."""
EAGER_LOOKS = 6
"""Looks in vain, over all POSTs of a command, until the next comes with back-off alone: some 30 s after the first POST.
A complete look takes five requests, and a few vouchers that IFS never answers must not use up what all may ask."""
DATABASE_TRIES = 3
"""Database errors in a row (a deadlock, a cancelled statement) before a person is asked."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a command without an outcome."""

    sent_at: datetime | None = None
    """When a POST was sent of which nobody knows whether it was done, as its intent tells; None if there is none such.
    It names that POST; how old it is comes with each look."""
    settle: timedelta | None = None
    """How long after it was sent that POST may still be done; None: as long as any single one."""
    acknowledged: bool = False
    """IFS said that it was done, only not under which number."""
    duplicate: Judgement | None = None
    """IFS said that it exists already."""
    stale: int = 0
    busy: int = 0
    database: int = 0
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Looked:
    """A look-up is over; `complete` if it went through hold table, general ledger and hold table again."""

    age: timedelta
    """How long ago at least the POST of unknown effect was sent when the look began; zero if there is none such."""
    complete: bool
    found: Found | None
    tag: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A POST was answered, or its answer was lost."""

    sent_at: datetime
    created: Created


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait as back-off says after the `attempt`-th time, at least `retry_after` seconds, and `at_most` so long."""

    attempt: int
    retry_after: float | None = None
    at_most: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """Look for the voucher, after a pause."""

    complete: bool
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """It is not there: send it under this tag. `absent_after` is when the POST was sent that is now proven undone."""

    tag: str | None
    absent_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """It is there: created just now, or found (`was_found`) under our reference."""

    found: Found
    was_found: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """IFS said no; a person must act."""

    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing can be posted safely, this or any other: end with one clear line."""

    line: str


Step = Look | Post | Posted | Rejected | Stopped


def first_step(standing: Standing) -> Step:
    """Return how to begin: after a POST of unknown effect with the complete look, else with the hold table."""
    return Look(complete=standing.sent_at is not None)


def decide(standing: Standing, seen: Looked | Answered, settle: timedelta) -> tuple[Standing, Step]:
    """Return what is known now, and the next step. `settle`: how long after it was sent a single POST may be done."""
    return _after_look(standing, seen, settle) if isinstance(seen, Looked) else _after_answer(standing, seen)


def _after_look(standing: Standing, seen: Looked, settle: timedelta) -> tuple[Standing, Step]:
    if seen.found:
        return standing, Posted(seen.found, was_found=True)
    needs_all = standing.sent_at is not None or standing.duplicate is not None
    if needs_all and not seen.complete:
        return standing, Look(complete=True)
    if standing.sent_at is not None:
        left = (standing.settle or settle) - seen.age
        if left > timedelta():
            looks = standing.looks + 1
            at_most = left if looks <= EAGER_LOOKS else None
            return replace(standing, looks=looks), Look(complete=True, pause=Pause(looks, at_most=at_most))
        if standing.acknowledged:
            return standing, Stopped(
                "IFS answered that a voucher was created, but it is in none of the places where we look: are "
                "ZIFS_IFS__PROJECTION and the GL settings those of the same tenant? Nothing is sent again"
            )
    if standing.duplicate:
        return standing, Rejected(standing.duplicate)
    return replace(standing, sent_at=None, settle=None), Post(seen.tag, absent_after=standing.sent_at)


def _after_answer(standing: Standing, seen: Answered) -> tuple[Standing, Step]:
    judgement = seen.created.judgement
    match judgement.verdict:
        case Verdict.DONE if seen.created.number:
            return standing, Posted(Found(seen.created.number), was_found=False)
        case Verdict.DONE:
            return replace(standing, sent_at=seen.sent_at, settle=None, acknowledged=True), Look(complete=True)
        case Verdict.UNCERTAIN:
            return replace(standing, sent_at=seen.sent_at, settle=None), Look(complete=True)
        case Verdict.DUPLICATE:
            return replace(standing, duplicate=judgement), Look(complete=True)
        case Verdict.STALE | Verdict.BUSY | Verdict.UNAUTHORIZED | Verdict.DATABASE:
            return _after_not_done(standing, judgement)
        case Verdict.TAG_DEMANDED:
            return standing, Stopped(
                f"IFS demands an If-Match that fits ({judgement.status} {judgement.words}), but the set gives no such "
                "tag: check ZIFS_IFS__PROJECTION and ZIFS_IFS__ETAG"
            )
    return standing, Rejected(judgement)


def _after_not_done(standing: Standing, judgement: Judgement) -> tuple[Standing, Step]:
    """Read again and decide again, sooner or later; a database error that stays is a person's."""
    if judgement.verdict is Verdict.STALE:
        stale = standing.stale + 1
        slow = Pause(stale - FAST_STALE_TRIES, judgement.retry_after) if stale > FAST_STALE_TRIES else None
        return replace(standing, stale=stale), Look(complete=False, pause=slow)
    if judgement.verdict is Verdict.DATABASE:
        database = standing.database + 1
        if database == DATABASE_TRIES:
            return standing, Rejected(judgement)
        return replace(standing, database=database), Look(complete=False, pause=Pause(database))
    busy = standing.busy + 1
    return replace(standing, busy=busy), Look(complete=False, pause=Pause(busy, judgement.retry_after))

"""What the bookkeeper does with a person's wish about a record: replay, correct, settle.

A wish names what it is about and acts only while that still holds; the record keeps the ids of those acted on.
"""

from dataclasses import replace
from datetime import datetime

from schemas.base import Status
from schemas.errors import UnreadableError
from schemas.requests import CorrectionRequested, ReplayRequested, Request, SettlementRecorded
from schemas.vouchers import VoucherPosted
from streams.accounting.bookkeeping import give_away, with_settled_unapplied
from streams.accounting.decisions import Arrival, Decision, Held, Terms, moved, noted
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.life_cycle import TRANSITIONS
from streams.accounting.record_state import RecordState
from streams.accounting.sending import reverse
from streams.accounting.settling import GONE, follow_in_ledger, settle

REMEMBERED_REQUESTS = 8
REPLAYABLE = frozenset({Status.MAPPING_MISSING, Status.REJECTED, Status.SETTLED_BY_HAND})
"""What a replay evaluates anew from the logged document; all others it leaves alone, or they are fetched."""
_NAMES = {ReplayRequested: "replay", CorrectionRequested: "correction", SettlementRecorded: "settlement"}


def take_replay(
    state: RecordState, held: Held | None, wish: ReplayRequested, newest: Arrival, terms: Terms
) -> Decision:
    """Evaluate the logged document under today's mapping and send it; `newest` is asked for by the wish."""
    _check_met(state, wish)
    if not _is_replayable(state):
        return _not_replayed(state, held)
    if state.standing:
        decision = follow_in_ledger(_awaited(state, wish, newest.asking.event_id), held, newest, terms)
    elif newest.document is None:
        decision = moved(state, Status.NOT_POSTED, newest.asking.at, reason=GONE)
    elif newest.captured.account_id != newest.account_id:
        decision = give_away(replace(state, status=Status.FETCHED, reason=None), newest)  # settled no more
    else:
        decision = settle(state, held, newest.document, newest.asking, terms)
        if decision.state.status is Status.SETTLED_BY_HAND:  # it waits its turn, and is left to nobody any more
            decision = replace(decision, state=_awaited(decision.state, wish, newest.asking.event_id))
    told = noted(state, held, f"replayed: {wish.reason}")
    return decision if decision.steps else replace(decision, steps=told.steps)


def take_refetch(state: RecordState, held: Held | None, wish: ReplayRequested, request_id: str) -> Decision:
    """Ask for a fresh document, also of a record whose newest one accounting cannot read.

    Where there is nothing to replay it is compared with what was posted: who asked may have seen another status.
    """
    _check_met(state, wish)
    if not _is_replayable(state):
        told = noted(state, held, f"fetched anew, and compared, since the record is {state.status}: {wish.reason}")
        return replace(told, fetch_anew=True)
    waiting = replace(held, voucher_date=wish.date) if held and wish.date else held
    told = noted(_awaited(state, wish, request_id), waiting, f"fetched anew: {wish.reason}")
    return replace(told, fetch_anew=True)


def _check_met(state: RecordState, wish: Request) -> None:
    """Refuse a wish about a record of which new state has met no document and no outcome yet: no line could tell it.

    Raises:
        UnreadableError: it has met none.

    """
    if not state.received_at:
        raise UnreadableError(f"{wish.record_id} has not been read again yet: ask again")


def _is_replayable(state: RecordState) -> bool:
    return state.status in REPLAYABLE and not state.is_on_its_way


def _not_replayed(state: RecordState, held: Held | None) -> Decision:
    return noted(state, held, f"replay: nothing to do for {state.status}")


def take_correction(
    state: RecordState,
    held: Held | None,
    wish: CorrectionRequested,
    newest: Arrival,
    *,
    base: VoucherPosted | None,
    terms: Terms,
) -> Decision:
    """Reverse what stands, the newest voucher first; refused where the new state does not translate completely."""
    _check_met(state, wish)
    now = "" if newest.document is None else state.fingerprint
    is_elsewhere = newest.captured.account_id != newest.account_id  # nothing but the reversal is done here then
    if state.status is not Status.CHANGED_AFTER_POSTING or base is None:
        return noted(state, held, f"correction refused: the record is {state.status}")
    if wish.posted_fingerprint != state.posted_fingerprint or not (is_elsewhere or wish.document_fingerprint == now):
        return noted(state, held, "correction refused: the document has changed since; look at it again")
    if newest.document is not None and not is_elsewhere:
        result = terms.evaluate(newest.document, None)
        if result.outcome in (Status.MAPPING_MISSING, Status.FAILED):
            note = f"correction refused: {result.reason or 'mappings are missing'}"
            return noted(state, held, note, result.missing)
    asking = newest.asking
    return reverse(state, base, asked_by=asking.event_id, at=asking.at, dated=wish.date, terms=terms)


def take_settlement(
    state: RecordState, held: Held | None, wish: SettlementRecorded, document: LedgerDocument | None, at: datetime
) -> Decision:
    """End a record that a person booked in IFS by hand; `document` is the newest, needed where its voucher stands."""
    _check_met(state, wish)
    if Status.SETTLED_BY_HAND not in TRANSITIONS[state.status] or state.is_on_its_way:
        return noted(state, held, f"settlement refused: the record is {state.status}")
    known = with_settled_unapplied(state, document)
    waits_no_more = replace(known, awaited_by=None, awaited_date=None)  # a fetch asked for before undoes nothing
    return moved(waits_no_more, Status.SETTLED_BY_HAND, at, reason=_by_hand(wish))


def take_unreadable_wish(
    state: RecordState, held: Held | None, wish: Request, request_id: str, *, reason: str, at: datetime
) -> Decision:
    """Decide about a wish for a record whose newest document cannot be read, and tell whoever asked.

    Nothing can be sent. A replay undoes a settlement all the same, as new state has to take it that knows of both.
    """
    advice = "mend it in Zuora, then replay it with a fresh fetch"
    if isinstance(wish, ReplayRequested) and state.status is Status.SETTLED_BY_HAND:
        undone = replace(_awaited(state, wish, request_id), settled_unapplied=None)
        note = f"no longer settled by hand; its newest document cannot be read ({reason}); {advice}"
        if state.standing:
            return moved(undone, state.status_in_ledger, at, note=note)
        return moved(undone, Status.FAILED, at, reason=reason, note=note)
    return noted(state, held, f"{_NAMES[type(wish)]} refused: its newest document cannot be read ({reason}); {advice}")


def remember_wish(state: RecordState | None, wish: Request, request_id: str, *, answered: bool) -> RecordState | None:
    """Fold a request into what new state knows of its record, which has its outcomes but no document yet.

    `answered`: an outcome came after it, so what was to be done was. Without one a settlement stands, a replay undoes
    it or is still to be sent, and its date is for what is held; a correction is not known to have been, and a person
    sees that it was not.
    """
    if answered:
        return state
    match wish:
        case SettlementRecorded():
            at = wish.at.isoformat()
            known = state or replace(RecordState.blank(wish.account_id), received_at=at)
            known = replace(known, reason=_by_hand(wish), updated_at=at, settled_at=at)
            return replace(known, status=Status.SETTLED_BY_HAND, awaited_by=None, awaited_date=None)
        case ReplayRequested() if state is not None and state.status in {Status.SETTLED_BY_HAND, Status.REJECTED}:
            undone = state.status_in_ledger if state.standing else Status.FETCHED
            status = undone if state.status is Status.SETTLED_BY_HAND else state.status
            dated = wish.date.isoformat() if wish.date else None
            return replace(state, status=status, settled_at=None, awaited_by=request_id, awaited_date=dated)
        case ReplayRequested(date=date) if date is not None:
            known = state or RecordState.blank(wish.account_id)
            return replace(known, awaited_by=request_id, awaited_date=date.isoformat())
    return state


def _awaited(state: RecordState, wish: ReplayRequested, request_id: str) -> RecordState:
    return replace(state, awaited_by=request_id, awaited_date=wish.date.isoformat() if wish.date else None)


def _by_hand(wish: SettlementRecorded) -> str:
    return f"booked by hand as {wish.voucher}: {wish.reason}"


def handled(decision: Decision, request_id: str) -> Decision:
    """Remember that a request was acted on."""
    requests = (*decision.state.handled_requests, request_id)[-REMEMBERED_REQUESTS:]
    return replace(decision, state=replace(decision.state, handled_requests=requests))

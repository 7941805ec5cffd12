"""Evaluates a document and carries its record to where it belongs: sent, held, or at its end."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from schemas.base import DocumentType, Status
from streams.accounting.decisions import Arrival, Asking, Decision, Held, Step, Terms, moved, noted
from streams.accounting.evaluation import ZERO_AMOUNT, Evaluation
from streams.accounting.ledger_document import LedgerDocument, summarised
from streams.accounting.record_state import RecordState
from streams.accounting.reference import APPLIED_ENDING
from streams.accounting.sending import nothing_to_post, reference_of, send

CHANGED = "changed in Zuora after posting"
GONE = "gone from Zuora"
TWICE = "more than one voucher of it stands in IFS"
POSTED_AGAIN = "in Zuora as it was posted"
STALE_AFTER = timedelta(days=1)
"""What was captured longer ago is fetched anew before it is released: it may be cancelled by now."""


def settle(state: RecordState, held: Held | None, document: LedgerDocument, asking: Asking, terms: Terms) -> Decision:
    """Evaluate a document and carry its record to where it belongs: sent, held, or at its end.

    What is posted already is evaluated for a change of a payment's U alone.
    """
    if held and asking.voucher_date is None:
        asking = asking.moved_to(held.voucher_date)
    applied = bool(state.standing)
    result = _evaluate(state, document, asking, terms)
    place = held.place if held else asking.offset
    if result.outcome is Status.READY and result.voucher is not None:
        ahead = terms.ahead(document.account_id, place)
        if ahead is None:
            return send(state, document, result.voucher, asking, terms)
        missing, kept = held.missing if held else (), summarised(document)
        fetched_at = held.fetched_at if held else None  # what was captured long ago is fetched anew then, as now
        waiting = Held(place, asking.offset, asking.event_id, (ahead,), missing, kept, fetched_at, asking.voucher_date)
        return Decision(_evaluated(state, document, result.company), held=waiting)
    nothing = nothing_to_post(document, result.company, asking) if result.reason == ZERO_AMOUNT else None
    if applied and nothing:  # both sides are one account
        decision = _settled_in_ledger(replace(state, booked_unapplied=str(document.unapplied)), asking)
    else:
        decision = _rest(_evaluated(state, document, result.company), held, document, result, asking)
    return replace(decision, nothing=nothing)


def release(state: RecordState, held: Held, document: LedgerDocument, asking: Asking, terms: Terms) -> Decision:
    """Evaluate a held record anew; without steps where nothing changed."""
    decision = settle(state, held, document, asking, terms)
    stale = held.fetched_at is not None and asking.at - held.fetched_at > STALE_AFTER
    if stale and decision.command is not None:
        return Decision(state, held=held, fetch_anew=True)
    return decision


def lose(state: RecordState, held: Held, reason: str, at: datetime) -> Decision:
    """End a held record whose document cannot be read any more; one whose voucher stands says so, and waits no longer.

    No mapping can help it: each release would only say the same again.
    """
    told = f"{reason}; `zuora-ifs replay --refetch` fetches it again"
    if state.standing:
        return noted(state, None, told, held.missing)
    return moved(state, Status.FAILED, at, reason=told)


def follow_in_ledger(state: RecordState, held: Held | None, arrival: Arrival, terms: Terms) -> Decision:
    """What is in the ledger is never posted again by itself; only a payment's U follows Zuora.

    Without steps where nothing changed. A change of U that IFS refused is sent again only where a person awaits it.
    """
    document, at = arrival.document, arrival.asking.at
    asking, is_awaited = asked_for(state, arrival.asking), state.awaited_by is not None
    was = state.status, state.reason
    state = replace(state, awaited_by=None, awaited_date=None)
    if is_awaited:
        state = replace(state, settled_unapplied=None)
    is_as_posted = document is not None and document.fingerprint == state.posted_fingerprint
    is_of_people = state.settled_unapplied is not None  # what is booked by hand is not booked here as well
    is_twice = _stands_twice(state)
    if document is None or not is_as_posted or is_of_people or is_twice or _is_partly_reversed(state, document):
        reason = GONE if document is None else TWICE if is_twice else CHANGED
        if (state.status, state.reason) == (Status.CHANGED_AFTER_POSTING, reason):
            return Decision(state)
        return moved(state, Status.CHANGED_AFTER_POSTING, at, reason=reason)
    back: tuple[Step, ...] = ()
    if state.status in {Status.CHANGED_AFTER_POSTING, Status.SETTLED_BY_HAND}:
        again = moved(state, state.status_in_ledger, at, note=POSTED_AGAIN)
        state, back = again.state, again.steps
    was_refused = state.status is Status.REJECTED and reference_of(state, document) == state.reference
    if not _has_new_unapplied(state, document):
        decision = _settled_in_ledger(state, asking)
    elif was_refused and not is_awaited:  # what waits its turn is a replay of it, or a U that Zuora took back
        decision = Decision(state, held=_replayed(held, document, asking))
    else:
        decision = settle(state, held, document, asking, terms)
    if back and (decision.state.status, decision.state.reason) == was:  # its account is in another company still
        return Decision(decision.state, held=decision.held)
    return replace(decision, steps=(*back, *decision.steps))


def _replayed(held: Held | None, document: LedgerDocument, asking: Asking) -> Held | None:
    """Return what waits its turn where that is a replay of a U that IFS refused.

    One too large to keep does not tell its U: then the newest document is sent in its turn, once more at the worst.
    """
    if held is None or held.document is None:
        return held and replace(held, document_offset=asking.offset)
    return held if held.document.unapplied == document.unapplied else None


def asked_for(state: RecordState, asking: Asking) -> Asking:
    """Return who asks: where a person wanted the fetch, their request, so that a refused voucher is a new command."""
    if state.awaited_by is None:
        return asking
    dated = date.fromisoformat(state.awaited_date) if state.awaited_date else None
    return replace(asking, event_id=state.awaited_by, voucher_date=dated)


def _evaluate(state: RecordState, document: LedgerDocument, asking: Asking, terms: Terms) -> Evaluation:
    if not state.standing:
        return terms.evaluate(document, asking.voucher_date)
    booked = Decimal(state.booked_unapplied or "0")
    return terms.evaluate_applied(document, booked, state.company or "", asking.voucher_date)


def _rest(
    state: RecordState, held: Held | None, document: LedgerDocument, result: Evaluation, asking: Asking
) -> Decision:
    """Let a record rest where its evaluation leaves it, waiting for what could change that."""
    waiting = None
    if result.waits_for:
        place, keys = held.place if held else asking.offset, tuple(sorted(result.waits_for))
        kept = summarised(document) if result.outcome is Status.MAPPING_MISSING else None
        fetched_at = held.fetched_at if held else None
        if result.outcome is Status.CAPTURED:
            fetched_at = fetched_at or asking.fetched_at or asking.at
        waiting = Held(
            place, asking.offset, asking.event_id, keys, result.missing, kept, fetched_at, asking.voucher_date
        )
    before = (state.status, state.reason, held.missing if held else ())
    if before == (result.outcome, result.reason, result.missing):
        return Decision(state, held=waiting)
    decision = moved(state, result.outcome, asking.at, reason=result.reason, missing=result.missing)
    return replace(decision, held=waiting)


def _evaluated(state: RecordState, document: LedgerDocument, company: str | None) -> RecordState:
    return replace(state, company=company or state.company, fingerprint=document.fingerprint)


def _settled_in_ledger(state: RecordState, asking: Asking) -> Decision:
    """Return what has nothing to be booked: it waits for no mapping and for no person any more."""
    if state.status in {Status.MAPPING_MISSING, Status.REJECTED}:
        return moved(state, state.status_in_ledger, asking.at, note=POSTED_AGAIN)
    return Decision(state)


def _is_partly_reversed(state: RecordState, document: LedgerDocument) -> bool:
    """Tell whether a correction took back some of a payment's vouchers and IFS refused to take back the rest."""
    return document.document_type is DocumentType.PAYMENT and bool(state.standing) and state.booked_unapplied is None


def _stands_twice(state: RecordState) -> bool:
    """Tell whether, besides a payment's changes of U, more than one voucher stands; see agents.poster.interlock."""
    return sum(not one.reference.endswith(APPLIED_ENDING) for one in state.standing) > 1


def _has_new_unapplied(state: RecordState, document: LedgerDocument) -> bool:
    """Tell whether a posted payment's U is not the one that is booked."""
    if document.document_type is not DocumentType.PAYMENT or not state.standing:
        return False
    return document.unapplied != Decimal(state.booked_unapplied or "0")

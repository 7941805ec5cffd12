"""What the bookkeeper does with a document: pure decisions on a record's state.

Every function gives the same end state when it meets an old event again: it compares offsets, fingerprints and command
ids, and never counts.
"""

from dataclasses import replace
from datetime import datetime

from schemas.base import DocumentType, Status
from schemas.notifications import DocumentCaptured, is_older
from streams.accounting.decisions import SEEN_AGAIN, Arrival, Decision, Held, Terms, moved, noted
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.record_state import RecordState
from streams.accounting.settling import GONE, asked_for, follow_in_ledger, settle

ACCOUNT_CHANGED = "account changed"
CAME_LATE = "an older state came behind a newer one: fetched again"


def take_document(state: RecordState | None, held: Held | None, arrival: Arrival, terms: Terms) -> Decision | None:
    """Decide about a document that was captured; None when it is old and known, or another partition's."""
    if state is not None and arrival.asking.offset <= state.document_offset:
        return _fill_in(state, held, arrival)
    if state is not None and _comes_late(state, arrival):
        return _ask_again(state, held, arrival)
    known = _described(state, arrival)
    # New state does nothing for an old document where a newer one is in the log: it might be sent under mappings that
    # came later, though Zuora took it back since.
    is_past = state is not None and arrival.asking.offset < state.newest_offset
    if _is_elsewhere(known, arrival) and not (is_past and (known.standing or known.settled_at)):
        return _elsewhere(state, known, held, arrival)
    if is_past:
        return Decision(_as_settled(state, known, arrival), held=held)
    if known.is_awaiting_hand_over:
        return Decision(known)
    return _here(state, known, held, arrival, terms)


def _here(
    state: RecordState | None, known: RecordState, held: Held | None, arrival: Arrival, terms: Terms
) -> Decision | None:
    """Decide about a document of this account."""
    if state is None and arrival.document is None:
        return None
    if known.is_on_its_way:
        return _while_on_its_way(known, arrival)
    if state is not None and _is_what_was_settled(state, arrival):
        return noted(with_settled_unapplied(known, arrival.document), held, SEEN_AGAIN)
    if known.standing:
        return _while_in_ledger(known, held, arrival, terms)
    return _while_free(state, known, held, arrival, terms)


def take_pending(state: RecordState, arrival: Arrival, terms: Terms) -> Decision | None:
    """Decide about the newer document that waited for the outcome that has just come."""
    before = replace(state, document_offset=arrival.asking.offset - 1, document_event="", pending_offset=None)
    return take_document(before, None, arrival, terms)


def take_over(
    state: RecordState, held: Held | None, arrival: Arrival | None, as_of: datetime | None, terms: Terms
) -> Decision:
    """Go on with a document that another account's partition handed over, for its state `as_of` when it was fetched.

    That state may not have arrived here yet, or a later one may have, by which the document belongs elsewhere again.
    What neither waited here nor was given away from here is at work already: it is told twice.
    """
    known = replace(state, is_handed_over=True, is_awaiting_hand_over=False, handed_to=None)
    if arrival is None:
        return Decision(known, held=held)
    if not state.is_awaiting_hand_over and state.handed_to is None:
        return Decision(state, held=held)
    if arrival.captured.account_id == arrival.account_id:
        return _here(state, known, held, arrival, terms) or Decision(known)
    has_read_on = as_of is None or arrival.captured.fetched_at >= as_of
    return give_away(known, arrival) if has_read_on else Decision(known)


def take_unreadable(state: RecordState | None, held: Held | None, arrival: Arrival, reason: str) -> Decision | None:
    """Decide about a document that accounting cannot read: it fails, unless it was sent or booked by hand before."""
    if state is not None and arrival.asking.offset < max(state.document_offset + 1, state.newest_offset):
        return None
    if state is not None and _comes_late(state, arrival):
        return _ask_again(state, held, arrival)
    known = _described(state, arrival)
    if known.is_on_its_way:  # the outcome ends it then; an older state that waited for that is no longer the newest
        known = replace(known, pending_offset=arrival.asking.offset)
    if known.is_on_its_way or known.standing or known.is_left_to_people:
        return noted(known, held, f"unreadable: {reason}")
    return moved(known, Status.FAILED, arrival.asking.at, reason=reason)


def _comes_late(state: RecordState, arrival: Arrival) -> bool:
    """Tell whether a newer state was here before: a collector that was taken for dead may send what it had fetched.

    What is older still when it was asked for again is what Zuora has.
    """
    if arrival.asking.offset < state.newest_offset:
        return False
    given = arrival.captured.updated_date
    return is_older(given, state.updated_date) and given != state.outdated


def _ask_again(state: RecordState, held: Held | None, arrival: Arrival) -> Decision:
    marked = replace(state, outdated=arrival.captured.updated_date)
    steps = noted(marked, held, CAME_LATE).steps if state.handed_to is None else ()  # else another account tells
    return Decision(marked, steps, held=held, fetch_anew=True)


def _fill_in(state: RecordState, held: Held | None, arrival: Arrival) -> Decision | None:
    """Describe a record that is known from its outcome alone, as new state begins; say nothing."""
    if arrival.asking.offset < state.document_offset or state.document_event:
        return None
    return Decision(_as_settled(state, _described(state, arrival), arrival), held=held)


def _described(state: RecordState | None, arrival: Arrival) -> RecordState:
    """Return the state with what the captured document says of itself, as the newest one met."""
    captured, asking = arrival.captured, arrival.asking
    known = state or RecordState.blank(arrival.account_id)
    return replace(
        described_as(known, captured, asking.at),
        account_id=arrival.account_id,
        document_offset=asking.offset,
        document_event=asking.event_id,
        newest_offset=known.newest_offset if asking.offset < known.newest_offset else -1,
        fingerprint=arrival.document.fingerprint if arrival.document else "",
        updated_date=captured.updated_date or known.updated_date,
        outdated=None,
        is_awaiting_hand_over=(known.is_awaiting_hand_over or _was_elsewhere(known, arrival))
        and not known.is_handed_over,
    )


def described_as(known: RecordState, captured: DocumentCaptured, at: datetime) -> RecordState:
    """Return the state with what people know the document by."""
    return replace(
        known,
        received_at=known.received_at or captured.received_at.isoformat(),
        updated_at=known.updated_at or at.isoformat(),
        document_number=captured.document_number or known.document_number,
        account_number=captured.account_number or known.account_number,
        account_name=captured.account_name or known.account_name,
        currency=captured.currency or known.currency,
        amount=known.amount if captured.amount is None else format(captured.amount, "f"),
    )


def _was_elsewhere(known: RecordState, arrival: Arrival) -> bool:
    """Whether the document came here from another account, whose partition has not handed it over yet."""
    # What was sent from here, or ended by a person here, had been handed over by then, whatever new state knows of it.
    was_here = known.document_event or known.reference or known.settled_at or known.awaited_by
    return known.handed_to is not None or (not was_here and bool(arrival.captured.former_account_ids))


def _is_elsewhere(known: RecordState, arrival: Arrival) -> bool:
    """Whether a document belongs to another account; one that is gone has its last one's id, and may never have."""
    is_other = arrival.captured.account_id != arrival.account_id
    return is_other and (not arrival.captured.gone or known.handed_to is not None)


def _elsewhere(state: RecordState | None, known: RecordState, held: Held | None, arrival: Arrival) -> Decision | None:
    """Decide about a document that belongs to another account now."""
    if known.is_on_its_way:
        return _while_on_its_way(known, arrival)
    if known.standing:
        return moved(known, Status.CHANGED_AFTER_POSTING, arrival.asking.at, reason=ACCOUNT_CHANGED)
    if state is not None and (state.handed_to is not None or state.is_awaiting_hand_over):
        return Decision(known)
    if state is not None and state.is_left_to_people:
        return noted(known, held, SEEN_AGAIN)
    return give_away(known, arrival)


def give_away(known: RecordState, arrival: Arrival) -> Decision:
    """Hand a document of which nothing is left here over to the account that it belongs to now."""
    new_account = arrival.captured.account_id
    as_of = arrival.captured.fetched_at
    given = replace(known, handed_to=new_account, handed_over_as_of=as_of.isoformat(), is_handed_over=False)
    return Decision(given, hand_over_to=new_account, handed_over_as_of=as_of)


def _while_on_its_way(state: RecordState, arrival: Arrival) -> Decision:
    """A newer state waits for the outcome of what was sent; the newest one wins."""
    document = arrival.document
    is_same = document is not None and document.fingerprint == state.sent_fingerprint
    if is_same and document is not None and document.document_type is not DocumentType.PAYMENT:
        return noted(replace(state, pending_offset=None), None, SEEN_AGAIN)
    note = SEEN_AGAIN if is_same else "changed in Zuora: waits for the outcome of the voucher"
    return noted(replace(state, pending_offset=arrival.asking.offset), None, note)


def _while_in_ledger(state: RecordState, held: Held | None, arrival: Arrival, terms: Terms) -> Decision:
    decision = follow_in_ledger(state, held, arrival, terms)
    return decision if decision.steps else _seen_again(decision)


def _while_free(
    state: RecordState | None, known: RecordState, held: Held | None, arrival: Arrival, terms: Terms
) -> Decision:
    """Nothing of it is in IFS or on its way: the newest state takes the place of what was."""
    document = arrival.document
    if state is not None and state.awaited_by is None and _is_left_alone(state, held, document):
        return noted(known, None, SEEN_AGAIN)  # what waited its turn was another state, which Zuora took back
    if document is None:
        return moved(known, Status.NOT_POSTED, arrival.asking.at, reason=GONE)
    fresh = replace(held, fetched_at=None) if held else None
    asked = replace(known, awaited_by=None, awaited_date=None)
    decision = settle(asked, fresh, document, asked_for(known, arrival.asking), terms)
    is_news = bool(decision.steps) or state is None or state.status is Status.FETCHED
    return decision if is_news else _seen_again(decision)


def _seen_again(decision: Decision) -> Decision:
    """Return what leaves a record as it was with a line in its history."""
    return replace(decision, steps=noted(decision.state, decision.held, SEEN_AGAIN).steps)


def _is_what_was_settled(state: RecordState, arrival: Arrival) -> bool:
    """Whether a document is the one that a person booked by hand, come again."""
    if not state.is_left_to_people:
        return False
    document = arrival.document
    is_older = state.settled_at is not None and arrival.captured.fetched_at.isoformat() <= state.settled_at
    is_same = state.fingerprint == (document.fingerprint if document else "")
    return is_older or (is_same and with_settled_unapplied(state, document) == state)


def _as_settled(state: RecordState | None, known: RecordState, arrival: Arrival) -> RecordState:
    """Return what new state knows with a document that is past: up to its U a person booked a payment by hand.

    Else a later one that says the same again would be news, and booked as well.
    """
    is_settled = state is not None and _is_what_was_settled(state, arrival)
    return with_settled_unapplied(known, arrival.document) if is_settled else known


def with_settled_unapplied(state: RecordState, document: LedgerDocument | None) -> RecordState:
    """Return the state of what was booked by hand with the U up to which it was, where its payment's voucher stands."""
    if document is None or document.document_type is not DocumentType.PAYMENT or not state.standing:
        return state
    return replace(state, settled_unapplied=format(document.unapplied, "f"))


def _is_left_alone(state: RecordState, held: Held | None, document: LedgerDocument | None) -> bool:
    """Whether a document that comes again finds its record as a person left it, or is to find it."""
    if state.status is Status.SETTLED_BY_HAND:
        return True
    if state.status is Status.CORRECTED:
        return document is None or not document.posts
    if state.status is not Status.REJECTED or document is None or document.fingerprint != state.sent_fingerprint:
        return False
    is_replayed = held is not None and state.fingerprint == state.sent_fingerprint  # and waits its turn
    return not is_replayed

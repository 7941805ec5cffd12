"""What the bookkeeper does with a document or an outcome: pure decisions on a record's state.

Every function gives the same end state when it meets an old event again: it compares offsets, fingerprints and command
ids, and never counts.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from schemas.audit import Gap
from schemas.base import Status
from schemas.envelope import assembled, event_id
from schemas.notifications import DocumentCaptured
from schemas.vouchers import PostingProgressed, PostVoucher, VoucherNumber, VoucherPosted, VoucherRejected
from streams.accounting.evaluation import Evaluation
from streams.accounting.ledger_document import LedgerDocument, summarised
from streams.accounting.life_cycle import IN_LEDGER, ON_ITS_WAY, check_transition
from streams.accounting.record_state import RecordState
from streams.accounting.reference import reference
from streams.accounting.voucher import Voucher

SEEN_AGAIN = "seen-again"
CHANGED = "changed in Zuora after posting"
GONE = "gone from Zuora"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a record's history."""

    previous: Status | None
    status: Status
    reason: str | None = None
    missing: tuple[Gap, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A record that waits, and for which keys."""

    place: int
    """Its place in the order: the offset of the document with which it began to wait."""
    document_offset: int
    """Of its newest document, which is read again from there when `document` is None."""
    event_id: str
    """Of its newest document."""
    keys: tuple[str, ...]
    missing: tuple[Gap, ...] = ()
    document: LedgerDocument | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows: the new state, the steps to tell, what is held from now on, and a command to send."""

    state: RecordState
    steps: tuple[Step, ...] = ()
    held: Held | None = None
    command: PostVoucher | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a decision may use besides the data: how to evaluate, who waits ahead, and what the settings say."""

    evaluate: Callable[[LedgerDocument], Evaluation]
    ahead: Callable[[str, int], str | None]
    """(account id, offset) to the key of a running release that still has earlier records of the account, if any."""
    app_id: str
    voucher_type: str
    user_group: str | None
    currency_type: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A captured document with its place in the log."""

    offset: int
    event_id: str
    captured: DocumentCaptured
    document: LedgerDocument | None
    """None when it is gone from Zuora."""
    at: datetime
    """The present moment, for `updated_at`."""


def take_document(state: RecordState | None, held: Held | None, arrival: Arrival, terms: Terms) -> Decision | None:
    """Decide about a document that was captured; None when it is old and known."""
    if state is not None and arrival.offset <= state.document_offset:
        return _fill_in(state, held, arrival)
    known = _described(state, arrival)
    if state is None:
        return settle(known, None, arrival.document, arrival, terms) if arrival.document else None
    if state.status in ON_ITS_WAY:
        return _while_on_its_way(known, arrival)
    if state.status in IN_LEDGER:
        return _while_in_ledger(known, arrival)
    if state.status is Status.SETTLED_BY_HAND or arrival.event_id == state.document_event:
        return _seen_again(known, held)
    if arrival.document is None:
        return _moved(known, Status.NOT_POSTED, arrival.at, reason=GONE)
    if state.status is Status.REJECTED and arrival.document.fingerprint == state.sent_fingerprint:
        return _seen_again(known, held)
    decision = settle(known, held, arrival.document, arrival, terms)
    return decision if decision.steps else _seen_again(decision.state, decision.held)


def take_pending(state: RecordState, arrival: Arrival, terms: Terms) -> Decision | None:
    """Decide about the newer document that waited for the outcome that has just come."""
    before = replace(state, document_offset=arrival.offset - 1, document_event="", pending_offset=None)
    return take_document(before, None, arrival, terms)


def settle(
    state: RecordState, held: Held | None, document: LedgerDocument, arrival: "Arrival | Turn", terms: Terms
) -> Decision:
    """Evaluate a document and carry its record to where it belongs: sent, held, or at its end."""
    result = terms.evaluate(document)
    place = held.place if held else arrival.offset
    if result.outcome is Status.READY and result.voucher is not None:
        ahead = terms.ahead(document.account_id, place)
        if ahead is None:
            return _send(state, document, result.voucher, arrival, terms)
        missing = held.missing if held else ()
        behind = Held(place, arrival.offset, arrival.event_id, (ahead,), missing, summarised(document))
        return Decision(_evaluated(state, document, result.company), held=behind)
    state = _evaluated(state, document, result.company)
    waits = tuple(sorted(result.waits_for))
    kept = summarised(document) if result.outcome is Status.MAPPING_MISSING else None
    now_held = Held(place, arrival.offset, arrival.event_id, waits, result.missing, kept) if waits else None
    before = (state.status, state.reason, held.missing if held else ())
    if before == (result.outcome, result.reason, result.missing):
        return Decision(state, held=now_held)
    moved = _moved(state, result.outcome, arrival.at, reason=result.reason, missing=result.missing)
    return replace(moved, held=now_held)


def _evaluated(state: RecordState, document: LedgerDocument, company: str | None) -> RecordState:
    return replace(state, company=company or state.company, fingerprint=document.fingerprint)


@dataclass(frozen=True, slots=True)
class Turn:
    """A held record whose turn has come in a release."""

    offset: int
    event_id: str
    at: datetime


def release(state: RecordState, held: Held, document: LedgerDocument, at: datetime, terms: Terms) -> Decision:
    """Evaluate a held record anew; without steps where nothing changed."""
    return settle(state, held, document, Turn(held.document_offset, held.event_id, at), terms)


def take_unreadable(state: RecordState | None, held: Held | None, arrival: Arrival, reason: str) -> Decision | None:
    """Decide about a document that accounting cannot read: it fails, unless something of it was sent before."""
    if state is not None and arrival.offset <= state.document_offset:
        return None
    known = _described(state, arrival)
    if state is not None and (state.status in ON_ITS_WAY or state.status in IN_LEDGER):
        return Decision(known, (Step(state.status, state.status, state.reason, note=f"unreadable: {reason}"),), held)
    return _moved(known, Status.FAILED, arrival.at, reason=reason)


def take_outcome(state: RecordState | None, outcome: VoucherPosted | VoucherRejected) -> Decision | None:
    """Decide about what became of a command; None when it is not the one on its way."""
    if state is None:
        return Decision(remember(None, outcome))
    if state.command != outcome.command_id:
        return None
    told = remember(state, outcome)
    return _moved(state, told.status, _time_of(outcome), reason=told.reason, becoming=told)


def remember(state: RecordState | None, outcome: VoucherPosted | VoucherRejected) -> RecordState:
    """Fold an outcome into what is known of its record: so even new state knows what is in IFS without asking."""
    at = _time_of(outcome).isoformat()
    known = state or RecordState(
        status=Status.POSTING,
        account_id=outcome.account_id,
        received_at=at,
        updated_at=at,
        company=outcome.company,
        document_offset=outcome.document_offset,
        fingerprint=outcome.fingerprint,
        reference=outcome.reference,
        sent_fingerprint=outcome.fingerprint,
    )
    if isinstance(outcome, VoucherRejected):
        return replace(known, status=Status.REJECTED, reason=f"{outcome.reason}: {outcome.message}")
    shadow = "shadow" if outcome.shadow else None
    return replace(known, status=Status.POSTED, reason=shadow, vouchers=_with_number(known.vouchers, outcome))


def take_progress(state: RecordState | None, progressed: PostingProgressed) -> Decision | None:
    """Decide about the poster's word on a command that is on its way."""
    if state is None or state.command != progressed.command_id:
        return None
    status = Status(progressed.progress)
    return None if status is state.status else _moved(state, status, progressed.at, reason=progressed.reason)


def _fill_in(state: RecordState, held: Held | None, arrival: Arrival) -> Decision | None:
    """Describe a record that is known from its outcome alone, as new state begins; say nothing."""
    if arrival.offset < state.document_offset or state.document_event:
        return None
    return Decision(_described(state, arrival), held=held)


def _described(state: RecordState | None, arrival: Arrival) -> RecordState:
    """Return the state with what the captured document says of itself."""
    captured = arrival.captured
    received_at = state.received_at if state else captured.received_at.isoformat()
    described = RecordState(
        status=Status.FETCHED,
        account_id=captured.account_id,
        received_at=received_at,
        updated_at=arrival.at.isoformat(),
        document_number=captured.document_number,
        account_number=captured.account_number,
        account_name=captured.account_name,
        currency=captured.currency,
        amount=None if captured.amount is None else format(captured.amount, "f"),
        document_offset=arrival.offset,
        document_event=arrival.event_id,
        fingerprint=arrival.document.fingerprint if arrival.document else "",
    )
    if state is None:
        return described
    return replace(
        described,
        status=state.status,
        reason=state.reason,
        company=state.company,
        updated_at=state.updated_at,
        document_number=described.document_number or state.document_number,
        currency=described.currency or state.currency,
        amount=described.amount or state.amount,
        fingerprint=described.fingerprint or state.fingerprint,
        pending_offset=state.pending_offset,
        command=state.command,
        reference=state.reference,
        sent_fingerprint=state.sent_fingerprint,
        vouchers=state.vouchers,
        handled_requests=state.handled_requests,
    )


def _while_on_its_way(state: RecordState, arrival: Arrival) -> Decision:
    """A newer state waits for the outcome of what was sent; the newest one wins."""
    if arrival.document is not None and arrival.document.fingerprint == state.sent_fingerprint:
        return _seen_again(replace(state, pending_offset=None), None)
    step = Step(state.status, state.status, state.reason, note="changed in Zuora: waits for the outcome of the voucher")
    return Decision(replace(state, pending_offset=arrival.offset), (step,))


def _while_in_ledger(state: RecordState, arrival: Arrival) -> Decision:
    """What is in the ledger is never posted again by itself."""
    if arrival.document is not None and arrival.document.fingerprint == state.sent_fingerprint:
        return _seen_again(state, None)
    reason = CHANGED if arrival.document is not None else GONE
    return _moved(state, Status.CHANGED_AFTER_POSTING, arrival.at, reason=reason)


def _seen_again(state: RecordState, held: Held | None) -> Decision:
    missing = held.missing if held else ()
    return Decision(state, (Step(state.status, state.status, state.reason, missing, SEEN_AGAIN),), held)


def _moved(
    state: RecordState,
    status: Status,
    at: datetime,
    *,
    reason: str | None = None,
    missing: tuple[Gap, ...] = (),
    becoming: RecordState | None = None,
) -> Decision:
    step = _step(state, state.status, status, reason, missing)
    command = state.command if status in ON_ITS_WAY else None
    moved = replace(becoming or state, status=status, reason=reason, updated_at=at.isoformat(), command=command)
    return Decision(moved, (step,))


def _step(
    state: RecordState, previous: Status, status: Status, reason: str | None = None, missing: tuple[Gap, ...] = ()
) -> Step:
    check_transition(state.document_number or state.account_id, previous, status)
    return Step(previous, status, reason, missing)


def _send(
    state: RecordState, document: LedgerDocument, voucher: Voucher, arrival: "Arrival | Turn", terms: Terms
) -> Decision:
    """Send a voucher; its reference is a digest of the document, its command id of that and of what asked for it."""
    name = reference(document.number, document.document_id, document.fingerprint)
    command_id = event_id("command", name, arrival.event_id)
    command = assembled(
        PostVoucher,
        command_id=command_id,
        app_id=terms.app_id,
        record_id=document.record_id,
        document_type=document.document_type,
        account_id=document.account_id,
        reference=name,
        fingerprint=document.fingerprint,
        document_offset=arrival.offset,
        company=voucher.company,
        voucher_type=voucher.voucher_type or terms.voucher_type,
        voucher_date=voucher.voucher_date,
        rate_date=voucher.rate_date,
        user_group=voucher.user_group or terms.user_group,
        text=voucher.text,
        currency=voucher.currency,
        currency_type=voucher.currency_type or terms.currency_type,
        rows=voucher.rows,
        rest_row=voucher.rest_row,
        mapping_versions=voucher.versions,
    )
    steps = (_step(state, state.status, Status.READY), _step(state, Status.READY, Status.POSTING))
    sent = replace(
        state,
        status=Status.POSTING,
        reason=None,
        updated_at=arrival.at.isoformat(),
        company=voucher.company,
        fingerprint=document.fingerprint,
        command=command_id,
        reference=name,
        sent_fingerprint=document.fingerprint,
    )
    return Decision(sent, steps, command=command)


def _time_of(outcome: VoucherPosted | VoucherRejected) -> datetime:
    return outcome.posted_at if isinstance(outcome, VoucherPosted) else outcome.rejected_at


def _with_number(vouchers: tuple[dict[str, Any], ...], posted: VoucherPosted) -> tuple[dict[str, Any], ...]:
    """Add the voucher's number, once; in shadow mode it has none."""
    if posted.shadow or posted.accounting_year is None or posted.voucher_no is None:
        return vouchers
    number = VoucherNumber(
        company=posted.company,
        voucher_type=posted.voucher_type,
        accounting_year=posted.accounting_year,
        voucher_no=posted.voucher_no,
    ).model_dump(by_alias=True)
    return (*(voucher for voucher in vouchers if voucher != number), number)

"""What the bookkeeper does with what became of a command, and with the poster's word on the way."""

from dataclasses import replace
from datetime import date, datetime
from typing import Any

from schemas.base import Status
from schemas.vouchers import (
    ANOTHER_STANDS,
    NothingToPost,
    PostingProgressed,
    VoucherNumber,
    VoucherPosted,
    VoucherRejected,
    VoucherReversed,
)
from streams.accounting.bookkeeping import ACCOUNT_CHANGED, give_away
from streams.accounting.decisions import Arrival, Decision, Held, Terms, moved, noted, step
from streams.accounting.evaluation import ZERO_AMOUNT, payment_key
from streams.accounting.record_state import SHADOW, RecordState, Sent, Standing, beginning_of
from streams.accounting.reference import REVERSAL_ENDING
from streams.accounting.sending import found_on_its_way, reverse, with_newest_pending
from streams.accounting.settling import settle

SENT_LATE = "this voucher was sent late, by a worker taken for dead"
REFUSED_LATE = "another voucher of it was sent late, by a worker taken for dead, and refused: nothing was booked"

_IN_LEDGER = (
    "standing",
    "posted_fingerprint",
    "rate",
    "booked_unapplied",
    "vouchers",
    "reversed_reference",
    "settled_unapplied",
)
"""What a voucher changes of its record's state while another command is on its way."""

Outcome = VoucherPosted | VoucherRejected
"""What `ledger.voucher.v1` tells; a VoucherReversed is a VoucherPosted too."""


def take_outcome(state: RecordState | None, held: Held | None, outcome: Outcome, offset: int) -> Decision | None:
    """Decide about what became of a command; None where nothing follows.

    `offset` is the outcome's own, in the partition of its account.
    """
    if state is None:
        return Decision(remember(None, outcome, offset))
    if state.command != outcome.command_id:
        if isinstance(outcome, VoucherRejected) or _number_of(outcome) in (None, *state.vouchers):
            return _pass_by(state, held, outcome)
        return _learn(state, outcome, offset)
    told = remember(state, outcome, offset)
    if _is_past(state, outcome):  # a command that had come late was told again: what stands now is what counts
        done = replace(state, status=state.status_in_ledger, reason=None, correction=None, correction_date=None)
        told = with_newest_pending(done)
    happened = step(state, state.status, told.status, told.reason)
    told = replace(told, updated_at=_time_of(outcome).isoformat(), command=None)
    is_elsewhere = state.handed_to is not None and not told.standing  # its history is the other account's
    after = told if told.forgotten is None else found_on_its_way(told, told.forgotten)
    return Decision(after, () if is_elsewhere else (happened,))


def _pass_by(state: RecordState, held: Held | None, outcome: Outcome) -> Decision | None:
    """Note a command whose outcome was met before, or that posted nothing, so that no start takes it up."""
    known = state if state.is_on_its_way else replace(state, last_command=beginning_of(outcome.command_id))
    if known == state:
        return None
    is_news = state.last_command is not None and state.handed_to is None  # else new state meets it, or another's
    if is_news and isinstance(outcome, VoucherRejected) and outcome.reason == ANOTHER_STANDS:
        # What its sender told may have come late too: whoever reads the history sees here what holds.
        return noted(known, held, REFUSED_LATE)
    return Decision(known, held=held)


def _learn(state: RecordState, outcome: VoucherPosted, offset: int) -> Decision:
    """Take over a voucher that this state did not ask for: a worker that was taken for dead had sent its command late.

    It stands, so it is as if it had been on its way: what is newer in Zuora waited for it.
    """
    reverses = outcome.reverses_reference if isinstance(outcome, VoucherReversed) else None
    facts = outcome.command_id, outcome.reference, outcome.fingerprint, outcome.company
    found = found_on_its_way(state, Sent(*facts, reverses, outcome.document_offset))
    told = remember(found, outcome, offset)
    if state.is_on_its_way:
        in_ledger = {name: getattr(told, name) for name in _IN_LEDGER}
        return noted(replace(state, pending_offset=found.pending_offset, **in_ledger), None, SENT_LATE)
    if state.status is Status.SETTLED_BY_HAND and not state.standing:
        reason = f"in IFS as well: {state.reason}"
        told = replace(told, status=Status.CHANGED_AFTER_POSTING, reason=reason, pending_offset=None)
    happened = replace(step(state, Status.POSTING, told.status, told.reason), note=SENT_LATE)
    told = replace(told, updated_at=_time_of(outcome).isoformat(), command=None, handed_to=None)
    return Decision(told, (happened,))


def remember(state: RecordState | None, outcome: Outcome, offset: int) -> RecordState:
    """Fold an outcome into what is known of its record: so even new state knows what is in IFS without asking."""
    if state is not None and _is_past(state, outcome):
        return state
    at = _time_of(outcome).isoformat()
    known = state or replace(RecordState.blank(outcome.account_id), received_at=at, updated_at=at)
    if outcome.document_offset > known.document_offset:  # in new state, or sent late: else its document was met before
        known = replace(
            known,
            company=outcome.company,
            document_offset=outcome.document_offset,
            document_event="",
            fingerprint=outcome.fingerprint,
        )
    if not outcome.reference.endswith(REVERSAL_ENDING):
        known = replace(known, reference=outcome.reference, sent_fingerprint=outcome.fingerprint)
    match outcome:
        case VoucherRejected():
            return _refused(known, outcome)
        case VoucherPosted(shadow=True):
            return _rehearsed(known, outcome)
        case VoucherReversed():
            return _reversed(known, outcome)
    return _posted(known, outcome, offset)


def remember_nothing(state: RecordState | None, told: NothingToPost) -> RecordState:
    """Fold the word that a document came to nothing into what new state knows from the outcomes of its record."""
    at = told.at.isoformat()
    known = state or replace(RecordState.blank(told.account_id), received_at=at)
    if told.document_offset < known.document_offset:
        return known
    # Whatever handed it over to here had done so by then.
    known = replace(known, document_offset=told.document_offset, company=told.company, is_handed_over=True)
    if known.standing:
        unapplied = None if told.unapplied is None else str(told.unapplied)
        return replace(known, booked_unapplied=unapplied)
    status, reason = Status.NOT_POSTED, ZERO_AMOUNT
    return replace(known, status=status, reason=reason, fingerprint=told.fingerprint, updated_at=at)


def wait_for_payment(state: RecordState, newest: Arrival) -> Decision:
    """Let a refund that was rehearsed wait: once its payment stands in IFS, it is posted itself.

    `newest` is asked for by the word that it was rehearsed: what is sent then is another command.
    """
    document, asking = newest.document, newest.asking
    if document is None or not document.payment_id:
        return Decision(state)
    key, fetched_at = payment_key(document), asking.fetched_at
    return Decision(state, held=Held(asking.offset, asking.offset, asking.event_id, (key,), fetched_at=fetched_at))


def take_reversed(state: RecordState, base: VoucherPosted | None, newest: Arrival | None, terms: Terms) -> Decision:
    """Go on with a correction: reverse what still stands, else post the document as it is now, where it posts.

    `base` is the next voucher to be reversed, `newest` the record's newest document.
    """
    if base is not None and newest is not None:
        dated = date.fromisoformat(state.correction_date) if state.correction_date else None
        return reverse(state, base, asked_by=state.correction or "", at=newest.asking.at, dated=dated, terms=terms)
    done = replace(state, correction=None, correction_date=None, pending_offset=None)  # `newest` is what was pending
    if newest is None or newest.document is None or not newest.document.posts:
        return Decision(done)
    if newest.captured.account_id != newest.account_id:
        return give_away(replace(done, reason=ACCOUNT_CHANGED), newest)
    return settle(done, None, newest.document, newest.asking, terms)


def end_unreadable(state: RecordState, reason: str, at: datetime) -> Decision:
    """End what a record's newest document was to follow, for accounting cannot read it.

    What still stands, after a correction too, is left to people; where the log has lost the document, no line told it.
    """
    done = replace(state, correction=None, correction_date=None, pending_offset=None)
    if done.standing:
        return noted(done, None, f"its newest document cannot be read: {reason}")
    return moved(done, Status.FAILED, at, reason=reason)


def take_progress(state: RecordState | None, progressed: PostingProgressed) -> Decision | None:
    """Decide about the poster's word on a command that is on its way."""
    if state is None or state.command != progressed.command_id:
        return None
    status = Status(progressed.progress)
    return None if status is state.status else moved(state, status, progressed.at, reason=progressed.reason)


def _refused(known: RecordState, refused: VoucherRejected) -> RecordState:
    """A voucher that IFS refused is `rejected`; a reversal that it refused leaves what stands as it was."""
    reason = f"{refused.reason}: {refused.message}"
    if refused.reference.endswith(REVERSAL_ENDING):
        status = Status.CHANGED_AFTER_POSTING
        return replace(known, status=status, reason=reason, correction=None, correction_date=None)
    return replace(known, status=Status.REJECTED, reason=reason)


def _reversed(known: RecordState, reversal: VoucherReversed) -> RecordState:
    standing = tuple(one for one in known.standing if one.reference != reversal.reverses_reference)
    whole = known.standing[0].reference if known.standing else reversal.reverses_reference
    return replace(
        known,
        status=Status.CHANGED_AFTER_POSTING if standing else Status.CORRECTED,
        reason=f"{reversal.reverses_reference} is reversed" if standing else None,
        standing=standing,
        vouchers=_with_number(known.vouchers, reversal),
        reversed_reference=whole if not standing else known.reversed_reference,
        posted_fingerprint=known.posted_fingerprint if standing else None,
        settled_unapplied=None,
        booked_unapplied=None,  # also where more stands: until that is reversed too, nobody's U is booked
    )


def _rehearsed(known: RecordState, told: VoucherPosted) -> RecordState:
    """In shadow mode nothing happened in IFS: what stands there stands as it was, and of what it was."""
    if isinstance(told, VoucherReversed):
        status, reason = Status.CHANGED_AFTER_POSTING, f"{SHADOW}: {told.reverses_reference} is not reversed"
        return replace(known, status=status, reason=reason, correction=None, correction_date=None)
    return replace(known, status=known.status_in_ledger, reason=SHADOW)


def _posted(known: RecordState, posted: VoucherPosted, offset: int) -> RecordState:
    stood = next((one for one in known.standing if one.reference == posted.reference), None)
    others = (one for one in known.standing if one is not stood)
    # A command may have been sent twice, after a crash and under another mapping: IFS has what was told first.
    told = replace(
        known,
        reason=None,
        company=known.company if stood else posted.company,
        standing=(*others, stood or Standing(offset, posted.reference)),
        posted_fingerprint=posted.fingerprint,
        rate=(
            posted.company_currency,
            format(posted.rate, "f"),
            format(posted.conversion_factor, "f"),
            posted.inverted,
        ),
        booked_unapplied=None if posted.unapplied is None else str(posted.unapplied),
        vouchers=_with_number(known.vouchers, posted),
    )
    return replace(told, status=told.status_in_ledger)


def _time_of(outcome: Outcome) -> datetime:
    return outcome.rejected_at if isinstance(outcome, VoucherRejected) else outcome.posted_at


def _is_past(state: RecordState, outcome: Outcome) -> bool:
    """Tell whether an outcome is told again of what was reversed since, or of a reversal that was made before."""
    if isinstance(outcome, VoucherRejected) or _number_of(outcome) not in state.vouchers:
        return False
    changed = outcome.reverses_reference if isinstance(outcome, VoucherReversed) else outcome.reference
    return all(one.reference != changed for one in state.standing)


def _number_of(posted: VoucherPosted) -> dict[str, Any] | None:
    """Return a voucher's number as states keep it; None in shadow mode."""
    if posted.accounting_year is None or posted.voucher_no is None:
        return None
    return VoucherNumber(
        company=posted.company,
        voucher_type=posted.voucher_type,
        accounting_year=posted.accounting_year,
        voucher_no=posted.voucher_no,
    ).model_dump(by_alias=True)


def _with_number(vouchers: tuple[dict[str, Any], ...], posted: VoucherPosted) -> tuple[dict[str, Any], ...]:
    """Add the voucher's number, once."""
    number = _number_of(posted)
    if number is None:
        return vouchers
    return (*(voucher for voucher in vouchers if voucher != number), number)

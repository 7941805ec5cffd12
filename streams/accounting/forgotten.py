"""What was said of a record and forgotten: a crash came after a word was in the log and before its state was written.

The event that it followed from is met again, but not before all others: a newer document may come first, or a release.
So what the log tells is taken up before any event is handled, else the newer state would be sent beside the older one,
or be called posted while its voucher is being reversed.
"""

from dataclasses import replace
from datetime import datetime

from schemas.notifications import DocumentCaptured
from streams.accounting.bookkeeping import described_as
from streams.accounting.record_state import RecordState, Sent, beginning_of
from streams.accounting.sending import found_on_its_way


def take_up_sent(known: RecordState, sent: Sent) -> RecordState | None:
    """Return the state with the last command that the log has of a record; None where it knows it."""
    if known.last_command == beginning_of(sent.command_id) or known.forgotten == sent:
        return None
    if known.command == sent.command_id or (known.last_command is None and known.reference == sent.reference):
        return None  # written by an earlier release, or made from the outcomes alone
    return replace(known, forgotten=sent) if known.is_on_its_way else found_on_its_way(known, sent)


def begun(known: RecordState, captured: DocumentCaptured | None, at: datetime) -> RecordState:
    """Return the state of a record of which no document is known; what its command was made from may be lost too."""
    return replace(known, received_at=at.isoformat()) if captured is None else described_as(known, captured, at)


def take_up_handed_over(state: RecordState | None, account_id: str, as_of: datetime | None) -> RecordState | None:
    """Return the state of a document that the log says was handed over to an account; None where it knows that."""
    if state is None or as_of is None or state.handed_over_as_of == as_of.isoformat():
        return None
    if state.is_on_its_way or state.standing:
        return None
    return replace(state, handed_to=account_id, handed_over_as_of=as_of.isoformat(), is_handed_over=False)

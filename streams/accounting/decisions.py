"""What a decision about a record is made of, and what it says: steps to tell, what is held, a command to send."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from schemas.audit import Gap
from schemas.base import Status
from schemas.notifications import DocumentCaptured
from schemas.vouchers import NothingToPost, PostVoucher, ReverseVoucher
from streams.accounting.chart import CompanyTerms
from streams.accounting.evaluation import Evaluation
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.life_cycle import check_transition
from streams.accounting.record_state import RecordState

SEEN_AGAIN = "seen-again"


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
    fetched_at: datetime | None = None
    """Of what is captured: after a day it is fetched anew before it is released."""
    voucher_date: date | None = None
    """Where a person moved it: it holds for as long as the record waits."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows: the new state, the steps to tell, what is held from now on, and what to send."""

    state: RecordState
    steps: tuple[Step, ...] = ()
    held: Held | None = None
    command: PostVoucher | ReverseVoucher | None = None
    nothing: NothingToPost | None = None
    """The document came to nothing; told, since another mapping could make something of it."""
    hand_over_to: str | None = None
    """The account that the document belongs to now; its partition goes on with it."""
    handed_over_as_of: datetime | None = None
    """When the document was fetched that says so."""
    fetch_anew: bool = False
    """The document is too old to be acted on and is asked for again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a decision may use besides the data: how to evaluate, who waits ahead, and what the settings say."""

    evaluate: Callable[[LedgerDocument, date | None], Evaluation]
    """(document, the voucher's date where it is not the document's) to what becomes of it."""
    evaluate_applied: Callable[[LedgerDocument, Decimal, str, date | None], Evaluation]
    """(payment, U booked, company, date) to the voucher of the difference."""
    ahead: Callable[[str, int], str | None]
    """(account id, offset) to the key of a running release that still has earlier records of the account, if any."""
    stands: Callable[[str, str], bool]
    """(account id, record id) to whether a voucher of it stands in IFS."""
    company: Callable[[str], CompanyTerms | None]
    app_id: str
    voucher_type: str
    user_group: str | None
    currency_type: str


@dataclass(frozen=True, slots=True)
class Asking:
    """Why a document is looked at now."""

    offset: int
    """Of the document in `zuora.document.v1`."""
    event_id: str
    """Of what asks for it: the document itself, or a person's request; command ids are made from it."""
    at: datetime
    """The present moment."""
    voucher_date: date | None = None
    """Where a person moved it."""
    fetched_at: datetime | None = None
    """When the document was fetched, where that is known: a log that is read again has old ones."""

    def moved_to(self, voucher_date: date | None) -> "Asking":
        """Return it with the date that a person gave the voucher."""
        return replace(self, voucher_date=voucher_date)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A captured document with its place in the log."""

    asking: Asking
    account_id: str
    """The account whose partition this is: the key of the event."""
    captured: DocumentCaptured
    document: LedgerDocument | None
    """None when it is gone from Zuora."""


def moved(
    state: RecordState,
    status: Status,
    at: datetime,
    *,
    reason: str | None = None,
    missing: tuple[Gap, ...] = (),
    note: str | None = None,
) -> Decision:
    """Return the record in another status, by a step that the life cycle allows; nothing of it is held."""
    told = replace(step(state, state.status, status, reason), missing=missing, note=note)
    return Decision(replace(state, status=status, reason=reason, updated_at=at.isoformat()), (told,))


def noted(state: RecordState, held: Held | None, note: str, missing: tuple[Gap, ...] | None = None) -> Decision:
    """Return the record as it is, with a line in its history."""
    gaps = missing if missing is not None else held.missing if held else ()
    return Decision(state, (Step(state.status, state.status, state.reason, gaps, note),), held)


def step(state: RecordState, previous: Status, status: Status, reason: str | None = None) -> Step:
    """Return a step, refusing one that the life cycle does not allow."""
    check_transition(state.document_number or state.account_id, previous, status)
    return Step(previous, status, reason)

"""What is sent to the poster: a voucher, a payment's change of U, the reversal of what stands; or word of none."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from schemas.base import DocumentType, Status
from schemas.envelope import assembled, event_id
from schemas.vouchers import KnownRate, NothingToPost, PostVoucher, ReverseVoucher, VoucherNumber, VoucherPosted
from streams.accounting.decisions import Asking, Decision, Terms, step
from streams.accounting.evaluation import payment_record
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.record_state import RecordState, Sent, beginning_of, reversing
from streams.accounting.reference import applied_reference, reference, reversal_reference
from streams.accounting.voucher import Voucher, shortened, swapped


def send(state: RecordState, document: LedgerDocument, voucher: Voucher, asking: Asking, terms: Terms) -> Decision:
    """Send a voucher; its reference is a digest of the document, its command id of that and of what asked for it."""
    name = reference_of(state, document)
    command_id = event_id("command", name, asking.event_id)
    command = assembled(
        PostVoucher,
        command_id=command_id,
        app_id=terms.app_id,
        record_id=document.record_id,
        document_type=document.document_type,
        account_id=document.account_id,
        reference=name,
        fingerprint=document.fingerprint,
        document_offset=asking.offset,
        unapplied=document.unapplied if document.document_type is DocumentType.PAYMENT else None,
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
        known_rate=_rate_of_the_first(state) if state.standing else None,
        mapping_versions=voucher.versions,
        rehearsal=bool(document.payment_id) and not terms.stands(document.account_id, payment_record(document)),
        stands=tuple(one.reference for one in state.standing),
    )
    steps = (step(state, state.status, Status.READY), step(state, Status.READY, Status.POSTING))
    sent = on_its_way(state, Sent(command_id, name, document.fingerprint, voucher.company))
    return Decision(replace(sent, updated_at=asking.at.isoformat()), steps, command=command)


def on_its_way(state: RecordState, sent: Sent) -> RecordState:
    """Return the state of a record whose command was sent; who asked for a reversal, its sender adds."""
    if sent.reverses is not None:
        return replace(
            state,
            status=Status.POSTING,
            reason=reversing(sent.reverses),
            command=sent.command_id,
            last_command=beginning_of(sent.command_id),
            forgotten=None,
            correction=sent.command_id,
            correction_date=None,
        )
    return replace(
        state,
        status=Status.POSTING,
        reason=None,
        company=sent.company,
        fingerprint=sent.fingerprint,
        command=sent.command_id,
        last_command=beginning_of(sent.command_id),
        forgotten=None,
        reference=sent.reference,
        sent_fingerprint=sent.fingerprint,
        correction=None,
        correction_date=None,
        awaited_by=None,  # a fetch asked for before sends nothing again, and moves no later voucher
        awaited_date=None,
    )


def found_on_its_way(state: RecordState, sent: Sent) -> RecordState:
    """Return the state of a record of whose command it did not tell: what is newer in Zuora waits for the outcome."""
    known = on_its_way(state, sent)
    is_older = state.document_offset < sent.document_offset
    return known if is_older or sent.reverses is not None else with_newest_pending(known)


def with_newest_pending(state: RecordState) -> RecordState:
    """Return the state with the newest document that was met waiting for an outcome, unless one waits already."""
    if not state.document_event or state.pending_offset is not None:
        return state
    return replace(state, pending_offset=state.document_offset)


def nothing_to_post(document: LedgerDocument, company: str | None, asking: Asking) -> NothingToPost:
    """Return the word that a document, or its payment's change of U, came to nothing in its company."""
    return NothingToPost(
        record_id=document.record_id,
        document_type=document.document_type,
        account_id=document.account_id,
        company=company or "",
        fingerprint=document.fingerprint,
        document_offset=asking.offset,
        unapplied=document.unapplied if document.document_type is DocumentType.PAYMENT else None,
        at=asking.at,
    )


def reference_of(state: RecordState, document: LedgerDocument) -> str:
    """Return the reference of what is to be sent: of the document's own voucher, or of its payment's change of U."""
    if not state.standing:
        return reference(document.number, document.document_id, document.fingerprint, state.reversed_reference)
    booked = Decimal(state.booked_unapplied or "0")
    newest = state.standing[-1].reference
    return applied_reference(document.number, document.document_id, newest, booked, document.unapplied)


def _rate_of_the_first(state: RecordState) -> KnownRate | None:
    """Return the rate of the document's own voucher, for a change of its U."""
    if state.rate is None:
        return None
    currency, rate, factor, inverted = state.rate
    return KnownRate(
        company_currency=currency, rate=Decimal(rate), conversion_factor=Decimal(factor), inverted=inverted
    )


def reverse(
    state: RecordState, base: VoucherPosted, *, asked_by: str, at: datetime, dated: date | None, terms: Terms
) -> Decision:
    """Send the reversal of the voucher `base`, which is the newest that stands.

    It repeats the original's currency and company amounts, sides swapped, at the original's rate; its date is the
    original's unless a person gave another.
    """
    name = reversal_reference(base.reference)
    company = terms.company(base.company)
    command = ReverseVoucher(
        command_id=event_id("command", name, asked_by),
        app_id=terms.app_id,
        record_id=base.record_id,
        document_type=base.document_type,
        account_id=base.account_id,
        reference=name,
        fingerprint=base.fingerprint,
        document_offset=base.document_offset,
        company=base.company,
        reverses=VoucherNumber(
            company=base.company,
            voucher_type=base.voucher_type,
            accounting_year=base.accounting_year or 0,
            voucher_no=base.voucher_no or 0,
        ),
        reverses_reference=base.reference,
        voucher_type=base.voucher_type,
        voucher_date=dated or base.voucher_date,
        user_group=(company.user_group if company else None) or terms.user_group,
        text=shortened(f"Reversal of {base.reference}"),
        currency=base.currency,
        currency_type=(company.currency_type if company else None) or terms.currency_type,
        rows=swapped(base.rows),
        known_rate=KnownRate(
            company_currency=base.company_currency,
            rate=base.rate,
            conversion_factor=base.conversion_factor,
            inverted=base.inverted,
        ),
    )
    told = step(state, state.status, Status.POSTING, reversing(base.reference))
    sent = replace(
        on_its_way(state, Sent(command.command_id, name, base.fingerprint, base.company, base.reference)),
        updated_at=at.isoformat(),
        correction=asked_by,
        correction_date=dated.isoformat() if dated else None,
    )
    return Decision(sent, (told,), command=command)

"""The poster's events: what became of a command, and what it is doing about an uncertain one."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from agents.poster.state import Outcome, PostedOutcome, RejectedOutcome
from schemas import topics
from schemas.base import Model
from schemas.envelope import assembled, event_id
from schemas.topics import TopicNames
from schemas.vouchers import (
    PostingProgressed,
    ReverseVoucher,
    VoucherPosted,
    VoucherRejected,
    VoucherReversed,
    VoucherRow,
    VoucherSubject,
)
from streams.log.messages import Message, event_message
from streams.systems.ifs.voucher_json import Command

PROCESS = "poster"


def outcome_message(
    names: TopicNames, command: Command, outcome: Outcome, rows: Sequence[VoucherRow], traceparent: str | None
) -> Message:
    """Return the outcome's event; its id follows from the command, so saying it twice says the same thing.

    `rows` are those with company amounts; a rejection has none.
    """
    event = _posted(command, outcome, rows) if isinstance(outcome, PostedOutcome) else _rejected(command, outcome)
    return _message(names.public(topics.VOUCHER), command, event, time=outcome.at, traceparent=traceparent)


def progress_message(
    names: TopicNames,
    command: Command,
    progress: Literal["uncertain", "posting"],
    reason: str,
    *,
    sent_at: datetime,
    at: datetime,
    traceparent: str | None,
) -> Message:
    """Return the word to the bookkeeper that the POST of `sent_at` is uncertain, or is known not to have been done."""
    event = PostingProgressed(**_subject(command), progress=progress, reason=reason, at=at)
    topic = names.working(topics.POSTING_PROGRESS)
    return _message(topic, command, event, progress, sent_at.isoformat(), time=at, traceparent=traceparent)


def _message(
    topic: str, command: Command, event: Model, *marks: str, time: datetime, traceparent: str | None
) -> Message:
    return event_message(
        topic,
        command.account_id,
        event,
        event_id=event_id(type(event).__name__, command.command_id, *marks),
        process=PROCESS,
        subject=command.record_id,
        time=time,
        traceparent=traceparent,
    )


def _posted(command: Command, outcome: PostedOutcome, rows: Sequence[VoucherRow]) -> VoucherPosted:
    number, rate = outcome.number, outcome.rate
    facts: dict[str, Any] = {
        **_subject(command),
        "company": number.company if number else command.company,
        "voucher_type": number.voucher_type if number else command.voucher_type,
        "accounting_year": number.accounting_year if number else None,
        "voucher_no": number.voucher_no if number else None,
        "voucher_date": command.voucher_date,
        "currency": command.currency,
        "company_currency": rate.company_currency,
        "rate": rate.rate,
        "conversion_factor": rate.conversion_factor,
        "inverted": rate.inverted,
        "amount": sum((row.debit for row in rows if row.debit is not None), Decimal(0)),
        "rows": tuple(rows),
        "shadow": outcome.shadow,
        "found": outcome.found,
        "posted_at": outcome.at,
    }
    if isinstance(command, ReverseVoucher):
        links = {"reverses": command.reverses, "reverses_reference": command.reverses_reference}
        return assembled(VoucherReversed, **facts, **links)
    return assembled(VoucherPosted, **facts)


def _rejected(command: Command, outcome: RejectedOutcome) -> VoucherRejected:
    return VoucherRejected(
        **_subject(command),
        reason=outcome.reason,
        code=outcome.code,
        message=outcome.message,
        advice=_advice(command, outcome.advice),
        rejected_at=outcome.at,
    )


def _advice(command: Command, advice: str) -> str:
    """Return what to do; a record whose reversal was refused is still changed after posting: no replay moves that."""
    if isinstance(command, ReverseVoucher):
        return f"{advice.replace('replay', 'correct')} The voucher to be reversed stands as it did."
    return advice


def _subject(command: Command) -> dict[str, Any]:
    return {name: getattr(command, name) for name in VoucherSubject.model_fields}

"""What people ask for about records, as the messages that carry it to the log."""

from dataclasses import dataclass
from datetime import datetime

from schemas.audit import Record
from schemas.base import Date, Status
from schemas.envelope import event_id
from schemas.errors import ConnectorError
from schemas.notifications import NotificationReceived
from schemas.requests import CorrectionRequested, ReplayRequested, Request, SettlementRecorded
from schemas.topics import NOTIFICATION, REQUEST, TopicNames
from streams.accounting.life_cycle import TRANSITIONS
from streams.log.messages import Message, event_message
from streams.views.replay import Action, Planned, Replay

ORIGIN = "replay"
"""Of a notification that no webhook brought."""


@dataclass(frozen=True, slots=True)
class Word:
    """A person's word: who says it, when and why; `process` is where it was said, such as `cli`."""

    actor: str
    at: datetime
    reason: str
    process: str


class RequestError(ConnectorError):
    """What is asked for cannot be done with a record as it stands."""


class UnknownRecordError(RequestError):
    """There is no record of a name that was given."""


def replay_messages(names: TopicNames, planned: Planned, replay: Replay, word: Word) -> list[Message]:
    """Return what sets a replay going: a notification for a fetch, a request where the bookkeeper has to be asked.

    Where it has to be, it also asks for the fetch: a document that came of itself undoes no settlement and sends no
    refused voucher again. Nothing where the plan sends nothing.
    """
    record = planned.record
    messages: list[Message] = []
    if planned.by_bookkeeper:
        request = ReplayRequested(
            record_id=record.id,
            account_id=_account_of(record),
            actor=word.actor,
            at=word.at,
            reason=word.reason,
            date=replay.date,
            refetch=replay.refetch,
        )
        messages.append(request_message(names, request, word.process))
    elif planned.action is Action.FETCH:
        messages.append(_notification(names, record, word))
    return messages


def correction_message(
    names: TopicNames, record: Record, fingerprints: tuple[str, str], word: Word, date: Date | None
) -> Message:
    """Return the word to correct a record; `fingerprints` are those of what is posted and of the newest document."""
    posted, document = fingerprints
    request = CorrectionRequested(
        record_id=record.id,
        account_id=_account_of(record),
        actor=word.actor,
        at=word.at,
        reason=word.reason,
        date=date,
        posted_fingerprint=posted,
        document_fingerprint=document,
    )
    return request_message(names, request, word.process)


def check_settlement(record: Record) -> None:
    """Refuse to settle what is not open.

    Raises:
        RequestError: the record's status does not allow it.

    """
    open_ones = [status for status in Status if Status.SETTLED_BY_HAND in TRANSITIONS[status]]
    if record.status not in open_ones:
        raise RequestError(
            f"{record.id} is {record.status}: only what is {', '.join(open_ones)} can be settled by hand"
        )


def settlement_message(names: TopicNames, record: Record, voucher: str, word: Word) -> Message:
    """Return the word that a person booked a record's document by hand."""
    request = SettlementRecorded(
        record_id=record.id,
        account_id=_account_of(record),
        actor=word.actor,
        at=word.at,
        reason=word.reason,
        voucher=voucher,
    )
    return request_message(names, request, word.process)


def request_message(names: TopicNames, request: Request, process: str) -> Message:
    """Return a request under its Zuora account, so that it meets the account's documents in their order."""
    kind = type(request).__name__
    return event_message(
        names.public(REQUEST),
        request.account_id,
        request,
        event_id=event_id("request", kind, request.record_id, request.actor, request.at.isoformat()),
        process=process,
        subject=request.record_id,
        time=request.at,
    )


def _notification(names: TopicNames, record: Record, word: Word) -> Message:
    notification = NotificationReceived(
        document_type=record.document_type,
        object_id=record.document_id,
        object_number=record.document_number,
        account_id=record.account_id,
        origin=ORIGIN,
        received_at=word.at,
        fields={"actor": word.actor, "reason": word.reason},
    )
    return event_message(
        names.public(NOTIFICATION),
        record.document_id,
        notification,
        event_id=event_id("notification", ORIGIN, record.id, word.actor, word.at.isoformat()),
        process=word.process,
        subject=record.id,
        time=word.at,
    )


def _account_of(record: Record) -> str:
    if record.account_id is None:
        raise RequestError(f"{record.id} was never fetched, so its Zuora account is not known: replay it first")
    return record.account_id

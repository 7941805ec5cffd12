"""What the collector tells: steps to the audit trail, documents, later tries, dead letters."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from agents.collector.errand import Errand
from agents.collector.object_state import ObjectState
from agents.runtime import Event
from schemas import topics
from schemas.audit import RecordStatusChanged
from schemas.base import Status
from schemas.envelope import event_id
from schemas.notifications import DocumentCaptured, FetchLater
from schemas.topics import TopicNames
from streams.log.messages import Message, dead_letter, event_message
from streams.systems.zuora.captured import captured_event_id

PROCESS = "collector"


class Teller:
    """Makes the messages that follow from an errand; all of them carry its trace on."""

    def __init__(self, names: TopicNames) -> None:
        self._names = names

    def step(
        self, errand: Errand, state: ObjectState, status: Status, at: datetime, **known: Any
    ) -> tuple[Message, ObjectState]:
        """Return a step of the record's life and the state after it; `known` are further fields of the record."""
        notification = errand.notification
        step = RecordStatusChanged.model_validate(
            {
                "id": errand.record_id,
                "document_type": errand.document_type,
                "document_id": errand.object_id,
                "document_number": state.number or notification.object_number,
                "account_id": state.last_account or notification.account_id,
                "status": status,
                "previous": state.status,
                "received_at": notification.received_at,
                "updated_at": at,
                "at": at,
                "actor": PROCESS,
                "cause": errand.cause,
                **known,
            }
        )
        message = event_message(
            self._names.public(topics.AUDIT),
            errand.record_id,
            step,
            event_id=event_id("status", errand.record_id, status, errand.cause),
            process=PROCESS,
            subject=errand.record_id,
            time=at,
            traceparent=errand.traceparent,
        )
        return message, replace(state, status=status)

    def document(self, errand: Errand, event: DocumentCaptured) -> Message:
        """Return a captured document under the account that it belongs to."""
        return event_message(
            self._names.public(topics.DOCUMENT),
            event.account_id,
            event,
            event_id=captured_event_id(event),
            process=PROCESS,
            subject=event.record_id,
            time=event.fetched_at,
            traceparent=errand.traceparent,
        )

    def later(self, errand: Errand, later: FetchLater) -> Message:
        """Return the word to ourselves to fetch later, or in another partition."""
        notification = later.notification
        return event_message(
            self._names.working(topics.FETCH_LATER),
            notification.object_id,
            later,
            event_id=event_id(
                "later", later.notification_event_id, notification.object_id, str(later.attempt), str(later.older)
            ),
            process=PROCESS,
            subject=notification.object_id,
            time=later.not_before,
            traceparent=errand.traceparent,
        )

    def dead_letter(self, event: Event, reason: str, error: BaseException | None = None) -> Message:
        """Return the bytes of an event that nothing can be done with."""
        return dead_letter(self._names.public(topics.DEAD_LETTER), event, reason, error)

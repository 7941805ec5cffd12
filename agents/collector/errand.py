"""One notification in hand: read from its event, with what has to be known while it is carried out."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from agents.runtime import Event
from schemas.base import DocumentType, Time, record_id
from schemas.envelope import decode_any, event_id
from schemas.errors import UnreadableError
from schemas.notifications import FetchLater, NotificationReceived
from streams.log.messages import header_text

_ZUORA_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Errand:
    """A notification to be carried out; `cause` is its event id, `attempt` how often its document was not there.

    `denials` is how often, the last times, Zuora said itself that a document captured before does not exist.
    """

    notification: NotificationReceived
    cause: str
    event: Event
    attempt: int = 0
    not_before: Time | None = None
    denials: int = 0

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return the errand of a notification or of a later try.

        Raises:
            UnreadableError: the event is neither.

        """
        match decode_any(event.headers, event.value):
            case NotificationReceived() as notification:
                _check_key(event, notification)
                cause = header_text(event.headers, "ce_id")
                # Other clients may leave the id out; where it lies in the log then tells it from all others.
                return cls(notification, cause or event_id(event.topic, str(event.partition), str(event.offset)), event)
            case FetchLater() as later:
                _check_key(event, later.notification)
                cause = later.notification_event_id
                return cls(later.notification, cause, event, later.attempt, later.not_before, later.denials)
            case other:
                raise UnreadableError(f"{type(other).__name__} is not for the collector")

    @property
    def document_type(self) -> DocumentType:
        """The kind of document it is about."""
        return self.notification.document_type

    @property
    def object_id(self) -> str:
        """The document's id, or its number where the callout carried only that."""
        return self.notification.object_id

    @property
    def record_id(self) -> str:
        """The record's id, if `object_id` is the document's id."""
        return record_id(self.document_type, self.object_id)

    @property
    def names_an_id(self) -> bool:
        """True where `object_id` looks like an id of Zuora's (32 hex characters) and not like a number."""
        return _ZUORA_ID.fullmatch(self.object_id) is not None

    @property
    def traceparent(self) -> str | None:
        """The trace that what follows carries on."""
        return header_text(self.event.headers, "traceparent")

    def of(self, document_type: DocumentType, document_id: str, *, origin: str | None = None) -> FetchLater:
        """Return the same errand for a document by its id, at once, for the partition of that id."""
        about: dict[str, object] = {"document_type": document_type, "object_id": document_id}
        if origin:
            about |= {"origin": origin, "object_number": None, "notification_id": None, "fields": {}}
        return FetchLater(
            notification=self.notification.model_copy(update=about),
            notification_event_id=event_id(self.cause, document_type, document_id) if origin else self.cause,
            not_before=self.notification.received_at,
            attempt=0,
        )

    def again(self, now: Time, delays: tuple[float, ...], longest: timedelta) -> FetchLater | None:
        """Return the next try, a delay later each time, the last `longest` after the callout; then None.

        Each delay is waited once however old the callout is: after hours without Zuora all of them are old, and what
        has just come up again may deny for a moment what is there.
        """
        deadline = self.notification.received_at + longest
        delay = timedelta(seconds=delays[min(max(self.attempt, 0), len(delays) - 1)])
        if now < deadline:
            return self._later(min(now + delay, deadline), denials=0)
        return self._later(now + delay, denials=0) if self.attempt < len(delays) else None

    def denied(self, now: Time, delays: tuple[float, ...]) -> FetchLater | None:
        """Return the next try of a document that Zuora has just denied; None once each delay was waited in vain.

        The callout may be of any age here: it may be a replay.
        """
        if self.denials >= len(delays):
            return None
        return self._later(now + timedelta(seconds=delays[self.denials]), denials=self.denials + 1)

    def _later(self, not_before: Time, *, denials: int) -> FetchLater:
        return FetchLater(
            notification=self.notification,
            notification_event_id=self.cause,
            not_before=not_before,
            attempt=self.attempt + 1,
            denials=denials,
        )


def _check_key(event: Event, notification: NotificationReceived) -> None:
    """Refuse what lies apart from all else that is told of its object."""
    if event.key != notification.object_id.encode():
        raise UnreadableError(f"not under the key of its object, which is {notification.object_id}")

"""One notification in hand: read from its event, with what has to be known while it is carried out."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from agents.runtime import Event
from schemas.base import LONGEST_TEXT, DocumentType, Time, record_id
from schemas.envelope import decode_any, encode, event_id
from schemas.errors import UnreadableError
from schemas.notifications import FetchLater, NotificationReceived
from streams.log.messages import header_text, trace_text

LARGEST_NOTIFICATION_BYTES = 768 * 1024
"""As JSON; with what is put around it a later try stays below the 1,000,000 bytes that every topic takes. Ingress makes
none of more than some 520 KiB."""
MOST_TRIES = 1000
"""Counted; far more than there are in ten minutes, and more is not believed of a topic that others can write to."""
_ZUORA_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Errand:
    """A notification to be carried out; `cause` is its event id, `attempt` how often its document was not there.

    `denials` is how often, the last times, Zuora said itself that a document captured before does not exist, and
    `older` how often it gave a state older than one captured before.
    """

    notification: NotificationReceived
    cause: str
    event: Event
    not_before: Time | None = None
    attempt: int = 0
    denials: int = 0
    older: int = 0

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return the errand of a notification or of a later try.

        Raises:
            UnreadableError: the event is neither, or too large for what is to be made of it.

        """
        match decode_any(event.headers, event.value):
            case NotificationReceived() as notification:
                _check(event, notification)
                cause = header_text(event.headers, "ce_id")
                # Other clients may leave the id out; where it lies in the log then tells it from all others.
                return cls(notification, cause or event_id(event.topic, str(event.partition), str(event.offset)), event)
            case FetchLater() as later:
                _check(event, later.notification)
                counts = [_counted(count) for count in (later.attempt, later.denials, later.older)]
                return cls(later.notification, later.notification_event_id, event, later.not_before, *counts)
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
        return trace_text(self.event.headers)

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
        """Return the next try, a delay later each time, the last `longest` after the callout; then None."""
        next_try = _next_try(now, delays, self.attempt, self.notification.received_at + longest)
        return self._later(next_try, attempt=self.attempt + 1) if next_try else None

    def outdated(self, now: Time, delays: tuple[float, ...], until: Time) -> FetchLater | None:
        """Return the next try of a document whose state was older than one captured before; None when it stayed so."""
        next_try = _next_try(now, delays, self.older, until)
        return self._later(next_try, attempt=self.attempt, older=self.older + 1) if next_try else None

    def denied(self, now: Time, delays: tuple[float, ...]) -> FetchLater | None:
        """Return the next try of a document that Zuora has just denied; None once each delay was waited in vain.

        The callout may be of any age here: it may be a replay.
        """
        if self.denials >= len(delays):
            return None
        not_before = now + timedelta(seconds=delays[self.denials])
        return self._later(not_before, attempt=self.attempt + 1, denials=self.denials + 1)

    def _later(self, not_before: Time, *, attempt: int, denials: int = 0, older: int = 0) -> FetchLater:
        return FetchLater(
            notification=self.notification,
            notification_event_id=self.cause,
            not_before=not_before,
            attempt=attempt,
            denials=denials,
            older=older,
        )


def _next_try(now: Time, delays: tuple[float, ...], tries: int, deadline: Time) -> Time | None:
    """Return when to try again after so many tries, the last time at the deadline; then None.

    Each delay is waited once however long ago the deadline was: after hours without Zuora it always is, and what has
    just come up again may deny for a moment what is there, or not know the newest of it.
    """
    delay = timedelta(seconds=delays[min(tries, len(delays) - 1)])
    if now < deadline:
        return min(now + delay, deadline)
    return now + delay if tries < len(delays) else None


def _counted(tries: int) -> int:
    return min(max(tries, 0), MOST_TRIES)


def _check(event: Event, notification: NotificationReceived) -> None:
    """Refuse what lies apart from all else that is told of its object, and what would not fit into what comes of it."""
    if event.key != notification.object_id.encode():
        raise UnreadableError(f"not under the key of its object, which is {notification.object_id}")
    if len(event.headers.get("ce_id", b"")) > LONGEST_TEXT:
        raise UnreadableError(f"its header ce_id is longer than {LONGEST_TEXT} bytes")
    # What it is as we write it: 1e9 becomes 1000000000.0.
    if len(encode(notification)) > LARGEST_NOTIFICATION_BYTES:
        raise UnreadableError(f"a notification of more than {LARGEST_NOTIFICATION_BYTES} bytes")

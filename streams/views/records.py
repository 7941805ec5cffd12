"""A record and its history, folded from the audit trail: the last event of a record is its state."""

from schemas.audit import Gap, Record, RecordStatusChanged
from schemas.base import Model, Status, Time

_FIELDS = tuple(Record.model_fields)


class Step(Model):
    """One line of a record's history."""

    event_id: str
    at: Time
    status: Status
    previous: Status | None = None
    reason: str | None = None
    note: str | None = None
    missing: tuple[Gap, ...] = ()
    actor: str
    cause: str
    posted_fingerprint: str | None = None
    document_fingerprint: str | None = None


def record_after(event: RecordStatusChanged) -> Record:
    """Return the record as it is after a step: the event carries all of its fields."""
    return Record.model_construct(**{name: getattr(event, name) for name in _FIELDS})


def step_of(event_id: str, event: RecordStatusChanged) -> Step:
    """Return the line that a step adds to the record's history."""
    return Step.model_construct(
        event_id=event_id,
        at=event.at,
        status=event.status,
        previous=event.previous,
        reason=event.reason,
        note=event.note,
        missing=event.missing,
        actor=event.actor,
        cause=event.cause,
        posted_fingerprint=event.posted_fingerprint,
        document_fingerprint=event.document_fingerprint,
    )

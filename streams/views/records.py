"""A record and its history, folded from the audit trail: the last event of a record is its state."""

from schemas.audit import Gap, Record, RecordStatusChanged
from schemas.base import Model, Status, Time

_FIELDS = tuple(Record.model_fields)
BEFORE_CAPTURE = frozenset({Status.RECEIVED, Status.FETCHED})
"""What the collector tells, which knows nothing of vouchers."""
_NOT_YET_CAPTURED = BEFORE_CAPTURE | {Status.FAILED}


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


def record_after(event: RecordStatusChanged, known: Record | None = None) -> Record:
    """Return the record as it is after a step: the event carries all of its fields.

    A collector that slept while another took over may tell of its steps when the bookkeeper has long gone on: such a
    step is part of the history and leaves the record as it is `known`.
    """
    if known and event.status in BEFORE_CAPTURE and known.status not in _NOT_YET_CAPTURED:
        return known
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

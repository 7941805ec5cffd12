"""Choosing the records of a replay from the read model, and what it would do with each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.audit import Record
from schemas.base import Status, Time
from streams.projection.queries import ReadModel, Wanted
from streams.requests import RequestError, UnknownRecordError
from streams.views.replay import Planned, Replay, plan

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records: those named, or all of a status, of which those that changed since `since` alone."""

    record_ids: Sequence[str] = ()
    status: Status | None = None
    since: Time | None = None


def plan_replay(model: ReadModel, selection: Selection, replay: Replay) -> list[Planned]:
    """Return what a replay does with each record, in the order in which the records were received.

    Raises:
        UnknownRecordError: there is no record of a name that was given.
        RequestError: it names several.

    """
    if selection.record_ids:
        chosen = {record.id: record for record in (record_named(model, text) for text in selection.record_ids)}
    else:
        chosen = {record.id: record for record in _of_status(model, selection)}
    in_order = sorted(chosen.values(), key=lambda record: (record.received_at, record.id))
    return [plan(record, replay) for record in in_order]


def record_named(model: ReadModel, text: str) -> Record:
    """Return the record that a person names by its id, its Zuora id or its document's number.

    Raises:
        UnknownRecordError: there is none.
        RequestError: there is more than one.

    """
    ids = model.record_ids(text)
    if len(ids) > 1:
        raise RequestError(f"{text!r} is more than one record: {', '.join(ids)}")
    record = model.record(ids[0]) if ids else None
    if record is None:
        raise UnknownRecordError(f"no record {text!r} in the audit log")
    return record


def _of_status(model: ReadModel, selection: Selection) -> Iterator[Record]:
    cursor = None
    while True:
        page = model.records(Wanted(status=selection.status), limit=PAGE, cursor=cursor)
        for record in page.records:
            if selection.since is None or record.updated_at >= selection.since:
                yield record
        cursor = page.next_cursor
        if cursor is None:
            return

"""The life of a record: which status may follow which. What is not in the table is refused.

One writer at a time: the collector until a record's first `DocumentCaptured`, from then on only the bookkeeper.
"""

from typing import Final

from schemas.base import Status
from schemas.errors import ConnectorError

_EVALUATED = frozenset({Status.READY, Status.MAPPING_MISSING, Status.CAPTURED, Status.NOT_POSTED, Status.FAILED})
"""What evaluating a document can lead to."""

IN_LEDGER = frozenset({Status.POSTED, Status.CORRECTED, Status.CHANGED_AFTER_POSTING})
"""A voucher of the record stands in IFS, or stood there and was reversed."""

TRANSITIONS: Final[dict[Status | None, frozenset[Status]]] = {
    None: frozenset({Status.RECEIVED}),
    Status.RECEIVED: frozenset({Status.FETCHED, Status.FAILED}),
    Status.FETCHED: _EVALUATED,
    Status.READY: frozenset({Status.POSTING}),
    # A refused reversal leaves its record changed after posting.
    Status.POSTING: IN_LEDGER | {Status.REJECTED, Status.UNCERTAIN},
    Status.UNCERTAIN: IN_LEDGER | {Status.REJECTED, Status.POSTING},
    # A payment's change of U is sent, or held, by itself. What was posted in shadow mode alone stands nowhere.
    Status.POSTED: _EVALUATED | {Status.CHANGED_AFTER_POSTING},
    # What stands in IFS and only lacked a change of U: Zuora may take that change back.
    Status.MAPPING_MISSING: _EVALUATED | IN_LEDGER | {Status.SETTLED_BY_HAND},
    Status.CAPTURED: _EVALUATED | {Status.SETTLED_BY_HAND},
    Status.NOT_POSTED: _EVALUATED,
    Status.REJECTED: _EVALUATED | IN_LEDGER | {Status.SETTLED_BY_HAND},
    # A record that the collector could not fetch starts anew when Zuora tells of it again.
    Status.FAILED: _EVALUATED | {Status.RECEIVED, Status.SETTLED_BY_HAND},
    Status.CHANGED_AFTER_POSTING: IN_LEDGER | {Status.POSTING, Status.SETTLED_BY_HAND},
    Status.CORRECTED: _EVALUATED | {Status.CHANGED_AFTER_POSTING},
    # One whose voucher stands goes back to what its document is against that.
    Status.SETTLED_BY_HAND: _EVALUATED | IN_LEDGER,
}


class TransitionError(ConnectorError):
    """A step that the table does not allow: a fault of this program."""


def check_transition(record_id: str, previous: Status | None, status: Status) -> None:
    """Refuse a step that is not in the table.

    Raises:
        TransitionError: it is not.

    """
    if status not in TRANSITIONS[previous]:
        raise TransitionError(f"{record_id}: {previous or 'nothing'} cannot become {status}")

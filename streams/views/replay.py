"""What a replay of a record would do: decided by its status alone, so that a preview and the real thing agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schemas.audit import Record
from schemas.base import Date, Status


class Action(StrEnum):
    """What a replay leads to."""

    FETCH = "fetch"
    """The document is fetched from Zuora again and evaluated."""
    EVALUATE = "evaluate"
    """The document in the log is evaluated under today's mappings and rules."""
    LOOK_UP = "look-up"
    """Nothing is sent: the poster looks whether the voucher is in IFS Cloud, without being asked."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Replay:
    """What a person asks for: a date moves the voucher, `refetch` fetches whatever the status is."""

    date: Date | None = None
    refetch: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """What a replay does with one record, and why."""

    record: Record
    action: Action
    reason: str
    by_bookkeeper: bool = False
    """The bookkeeper has to be asked, also where the document is fetched: that alone may change nothing."""

    def as_json(self) -> dict[str, Any]:
        """Return it as lists give it."""
        return {"id": self.record.id, "action": self.action.value, "reason": self.reason}


_ON_ITS_WAY = "it is on its way already"
_BY_STATUS: Mapping[Status, tuple[Action, str]] = {
    Status.RECEIVED: (Action.NOTHING, _ON_ITS_WAY),
    Status.FETCHED: (Action.NOTHING, _ON_ITS_WAY),
    Status.READY: (Action.NOTHING, _ON_ITS_WAY),
    Status.POSTING: (Action.LOOK_UP, "sent to IFS: the poster resolves it by itself, by looking"),
    Status.UNCERTAIN: (Action.LOOK_UP, "perhaps in IFS: the poster resolves it by itself, by looking"),
    Status.POSTED: (Action.NOTHING, "posted: nothing that is in IFS is posted again"),
    Status.CORRECTED: (Action.NOTHING, "corrected: nothing that is in IFS is posted again"),
    Status.CHANGED_AFTER_POSTING: (Action.NOTHING, "posted, then changed: correct it with `records correct`"),
    Status.MAPPING_MISSING: (Action.EVALUATE, "evaluated under today's mappings"),
    Status.REJECTED: (
        Action.EVALUATE,
        "evaluated under today's mappings, and sent to IFS again where they still make a voucher of it",
    ),
    Status.SETTLED_BY_HAND: (
        Action.EVALUATE,
        "the settlement is undone, and it is evaluated under today's mappings; a voucher that is in IFS stays as it is",
    ),
    Status.CAPTURED: (Action.FETCH, "fetched from Zuora again and evaluated"),
    Status.NOT_POSTED: (Action.FETCH, "fetched from Zuora again and evaluated"),
    Status.FAILED: (Action.FETCH, "fetched from Zuora again and evaluated"),
}


def plan(record: Record, replay: Replay) -> Planned:
    """Return what a replay does with a record."""
    action, reason = _BY_STATUS[record.status]
    asked = action is Action.EVALUATE and record.account_id is not None
    if action is Action.EVALUATE and not asked:
        action, reason = Action.FETCH, "its Zuora account is not known yet: fetched from Zuora and evaluated"
    elif replay.refetch and action is not Action.FETCH:
        action, reason = Action.FETCH, _refetched(action, reason)
    if replay.date and not asked and action is Action.FETCH:
        reason += "; the date moves nothing, since no voucher waits for one"
    return Planned(record, action, reason, by_bookkeeper=asked)


def _refetched(action: Action, reason: str) -> str:
    if action is Action.EVALUATE:
        return f"fetched from Zuora again; then {reason}"
    return f"fetched from Zuora again, and compared; {reason}"

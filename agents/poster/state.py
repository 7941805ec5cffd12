"""What the poster remembers of a command: its intent, then its outcome. A few hundred bytes each. And of a record.

An outcome does not hold the voucher's rows: they follow from the command and the rate, today and in ten years.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from agents.runtime import StateTable
from schemas.base import LEFT_OUT_IF_NONE, Model, Time
from schemas.vouchers import KnownRate, VoucherNumber


class Intent(Model):
    """A POST is about to be sent, or was; written down and confirmed before it is."""

    state: Literal["intent"] = "intent"
    sent_at: Time
    rate: KnownRate
    acknowledged: bool = False
    """IFS answered that it was done, without a number."""
    settle_seconds: float | None = None
    """How long after it was sent it may still be done: many in one request may take longer than one, and the setting
    may be shorter by the time that it is looked for. None in entries of before: as long as any single one."""


class PostedOutcome(Model):
    """It is in IFS; `number` is None in shadow mode only."""

    state: Literal["posted"] = "posted"
    number: VoucherNumber | None
    rate: KnownRate
    found: bool = False
    shadow: bool = False
    at: Time


class RejectedOutcome(Model):
    """IFS refused it."""

    state: Literal["rejected"] = "rejected"
    reason: str
    code: str | None
    message: str
    advice: str
    at: Time


Outcome = PostedOutcome | RejectedOutcome
Entry = Annotated[Intent | PostedOutcome | RejectedOutcome, Field(discriminator="state")]
_ENTRY: TypeAdapter[Intent | PostedOutcome | RejectedOutcome] = TypeAdapter(Entry)


class RecordEntry(Model):
    """What is known of a record, whoever sends its commands; see agents.poster.interlock."""

    open: str | None = LEFT_OUT_IF_NONE
    """The command that was to be sent last; whether it may have been done its own entry tells."""
    standing: tuple[str, ...] | None = LEFT_OUT_IF_NONE
    """References of its vouchers that stand in IFS; None where that is not known."""
    last: str | None = LEFT_OUT_IF_NONE
    """The beginning of the id of the command that was done last: where its own entry was lost with a crash, it is not
    another's voucher that stands."""


class Spent(Model):
    """Requests of the last minute: the start of each few seconds (since 1970) to how many were made in them."""

    requests: dict[int, int]


INTENT_BEGINS = b'{"state":"intent"'
"""So an intent is written; to see whether an entry is one costs nothing then."""


def command_key(command_id: str) -> str:
    """Return the key of a command's entry."""
    return f"command/{command_id}"


def record_key(record_id: str) -> str:
    """Return the key of a record's entry."""
    return f"record/{record_id}"


SPENT_KEY = "budget"


def read_entry(value: bytes | None) -> Intent | Outcome | None:
    """Read a command's entry; None if there is none."""
    return None if value is None else _ENTRY.validate_json(value)


def entry_of(commands: StateTable, command_id: str) -> Intent | Outcome | None:
    """Return what the table knows of a command; None if nothing."""
    return read_entry(commands.get(command_key(command_id)))


def written(entry: Model) -> bytes:
    """Return an entry as the table keeps it."""
    return entry.__pydantic_serializer__.to_json(entry, by_alias=True, exclude_defaults=False)

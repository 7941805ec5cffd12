"""What the bookkeeper remembers of a record: a few hundred bytes of JSON once it has come to its end."""

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import orjson

from schemas.base import Status
from schemas.vouchers import VoucherNumber


@dataclass(frozen=True, slots=True)
class Standing:
    """A voucher that stands in IFS: where the log tells of it, and its reference."""

    offset: int
    """In `ledger.voucher.v1`, in the partition of the account."""
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordState:
    """The state of one record in one account's partition. Times are ISO 8601 text, amounts decimal text."""

    status: Status
    account_id: str
    received_at: str
    updated_at: str
    document_number: str | None = None
    account_number: str | None = None
    account_name: str | None = None
    currency: str | None = None
    amount: str | None = None
    reason: str | None = None
    company: str | None = None
    document_offset: int = -1
    """Offset of the newest document acted on; an older one is a replay and is passed over."""
    document_event: str = ""
    """Its event id."""
    fingerprint: str = ""
    """Its fingerprint."""
    pending_offset: int | None = None
    """A newer, different document that waits for the outcome of the command on its way."""
    command: str | None = None
    """Id of the command on its way; an outcome of any other changes nothing."""
    reference: str | None = None
    """Of the newest voucher asked for."""
    sent_fingerprint: str | None = None
    """Of the document that it was made from."""
    standing: tuple[Standing, ...] = ()
    """The vouchers that stand in IFS: the document's own, then a payment's changes of U."""
    posted_fingerprint: str | None = None
    """Of the document whose voucher stands."""
    booked_unapplied: str | None = None
    """A payment's U as it is booked."""
    reversed_reference: str | None = None
    """Of the document's own voucher that was reversed last."""
    correction: str | None = None
    """Id of the request whose reversals are on their way."""
    correction_date: str | None = None
    """The date that it gave them."""
    handed_to: str | None = None
    """The account to whose partition the document was handed over."""
    is_awaiting_hand_over: bool = False
    """Another account's partition has the document still."""
    is_handed_over: bool = False
    """It was handed over to here."""
    vouchers: tuple[dict[str, Any], ...] = ()
    """All vouchers in IFS, as their numbers, reversals too; the last one is the newest."""
    handled_requests: tuple[str, ...] = ()
    """Ids of the last requests of people that were acted on."""

    @classmethod
    def blank(cls, account_id: str) -> "RecordState":
        """Return the state of a record of which nothing is known but that the collector fetched it."""
        return cls(status=Status.FETCHED, account_id=account_id, received_at="", updated_at="")

    @property
    def is_on_its_way(self) -> bool:
        """Whether a command was sent whose outcome is not known."""
        return self.command is not None

    @property
    def status_in_ledger(self) -> Status:
        """What it is called when its voucher stands."""
        return Status.CORRECTED if self.reversed_reference else Status.POSTED

    @property
    def voucher_numbers(self) -> tuple[VoucherNumber, ...]:
        """The numbers of all vouchers, oldest first."""
        return tuple(VoucherNumber.model_validate(voucher) for voucher in self.vouchers)

    def to_json(self) -> bytes:
        """Return the stored form; what is empty is left out."""
        values = zip(_NAMES, _values_of(self), strict=True)
        return orjson.dumps({name: value for name, value in values if value is not False and value not in _EMPTY})

    @classmethod
    def from_json(cls, stored: bytes) -> "RecordState":
        """Read the stored form; fields that a later release no longer has are passed over."""
        values = {name: value for name, value in orjson.loads(stored).items() if name in _NAMES}
        values["status"] = Status(values["status"])
        for name in ("vouchers", "handled_requests"):
            values[name] = tuple(values.get(name, ()))
        values["standing"] = tuple(Standing(**one) for one in values.get("standing", ()))
        return cls(**{"account_id": "", "received_at": "", "updated_at": "", **values})


_EMPTY: tuple[object, ...] = (None, "", (), -1)
_NAMES = tuple(field.name for field in fields(RecordState))
_values_of = attrgetter(*_NAMES)

"""What the bookkeeper remembers of a record: a few hundred bytes of JSON once it has come to its end."""

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import orjson

from schemas.base import Status
from schemas.vouchers import VoucherNumber


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
    vouchers: tuple[dict[str, Any], ...] = ()
    """All vouchers in IFS, as their numbers; the last one is the newest."""
    handled_requests: tuple[str, ...] = ()
    """Ids of the last requests of people that were acted on."""

    def to_json(self) -> bytes:
        """Return the stored form; what is empty is left out."""
        values = zip(_NAMES, _values_of(self), strict=True)
        return orjson.dumps({name: value for name, value in values if value not in _EMPTY})

    @classmethod
    def from_json(cls, stored: bytes) -> "RecordState":
        """Read the stored form; fields that a later release no longer has are passed over."""
        values = {name: value for name, value in orjson.loads(stored).items() if name in _NAMES}
        values["status"] = Status(values["status"])
        for name in ("vouchers", "handled_requests"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    @property
    def voucher_numbers(self) -> tuple[VoucherNumber, ...]:
        """The numbers of all vouchers, oldest first."""
        return tuple(VoucherNumber.model_validate(voucher) for voucher in self.vouchers)


_EMPTY: tuple[object, ...] = (None, "", (), -1)
_NAMES = tuple(field.name for field in fields(RecordState))
_values_of = attrgetter(*_NAMES)

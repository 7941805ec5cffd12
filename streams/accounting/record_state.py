"""What the bookkeeper remembers of a record: a few hundred bytes of JSON once it has come to its end."""

from dataclasses import astuple, dataclass, fields
from operator import attrgetter
from typing import Any

import orjson

from schemas.base import Status
from schemas.vouchers import VoucherNumber

SHADOW = "shadow"
"""The reason of a record whose newest voucher is one of shadow mode: it stands nowhere."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A voucher that stands in IFS: where the log tells of it, and its reference."""

    offset: int
    """In `ledger.voucher.v1`, in the partition of the account."""
    reference: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A command, as far as its record's state tells of it."""

    command_id: str
    reference: str
    fingerprint: str
    company: str
    reverses: str | None = None
    """The reference of the voucher to be reversed; None for a voucher of the document's own."""
    document_offset: int = -1
    """Of the document that it was made from; -1 where an earlier release kept it."""


ID_CHARACTERS = 12
"""Of a command's id, to tell the last one of a record from the others."""


def beginning_of(command_id: str) -> str:
    """Return what a state keeps of a command's id for good."""
    return command_id[:ID_CHARACTERS]


def reversing(reference: str) -> str:
    """Return the reason of a record whose voucher is being reversed."""
    return f"reversing {reference}"


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
    newest_offset: int = -1
    """Of new state that found several documents of it in the log: those before this one are past, not acted on."""
    fingerprint: str = ""
    """Its fingerprint."""
    updated_date: str | None = None
    """When Zuora changed it last, as Zuora says it."""
    outdated: str | None = None
    """The same of an older state that came behind it, which was asked for again."""
    pending_offset: int | None = None
    """A newer, different document that waits for the outcome of the command on its way."""
    command: str | None = None
    """Id of the command on its way; an outcome of any other changes nothing."""
    last_command: str | None = None
    """The beginning of the id of the last command that was sent: by it what a crash let be forgotten is known."""
    forgotten: Sent | None = None
    """What was sent after the command on its way, as the log tells; it goes on with its outcome."""
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
    rate: tuple[str, str, str, bool] | None = None
    """Of the document's own voucher: company currency, rate, conversion factor, whether quoted inverted."""
    reversed_reference: str | None = None
    """Of the document's own voucher that was reversed last."""
    correction: str | None = None
    """Id of the request whose reversals are on their way."""
    correction_date: str | None = None
    """The date that it gave them."""
    handed_to: str | None = None
    """The account to whose partition the document was handed over."""
    handed_over_as_of: str | None = None
    """When the document was fetched by which it was handed over last."""
    is_awaiting_hand_over: bool = False
    """Another account's partition has the document still."""
    is_handed_over: bool = False
    """It was handed over to here."""
    handed_over_offset: int = -1
    """Offset of the last word that it was handed over to here; an older one is a replay and is passed over."""
    awaited_by: str | None = None
    """Id of the request that asked for a fresh fetch: the next document is evaluated, also when it is the same."""
    awaited_date: str | None = None
    """The voucher date that it gave."""
    vouchers: tuple[dict[str, Any], ...] = ()
    """All vouchers in IFS, as their numbers, reversals too; the last one is the newest."""
    settled_at: str | None = None
    """Of new state that found a settlement in the log: documents fetched before it are what a person booked by hand."""
    settled_unapplied: str | None = None
    """U of a payment that a person brought up to date by hand while its voucher stands; later ones are told of."""
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
    def is_left_to_people(self) -> bool:
        """Whether a person booked it by hand, and nobody has asked for a fresh fetch since."""
        return self.status is Status.SETTLED_BY_HAND and self.awaited_by is None

    @property
    def is_rehearsed(self) -> bool:
        """Whether it is posted in shadow mode alone."""
        return self.reason == SHADOW and not self.standing

    @property
    def status_in_ledger(self) -> Status:
        """What it is called when its voucher stands."""
        return Status.CORRECTED if self.reversed_reference else Status.POSTED

    @property
    def voucher_numbers(self) -> tuple[VoucherNumber, ...]:
        """The numbers of all vouchers, oldest first."""
        return tuple(VoucherNumber.model_validate(voucher) for voucher in self.vouchers)

    def to_json(self) -> bytes:
        """Return the stored form: names shortened, what is empty left out, equal values told once.

        Without the account id, which the row's key tells. A finished record takes some 450 bytes, and there are
        millions of them.
        """
        values = dict(zip(_NAMES, _values_of(self), strict=True))
        del values["account_id"]
        for name in _OF_A_FINGERPRINT:
            if values[name] == self.fingerprint:
                values[name] = _SAME
        values["standing"] = [
            [one.offset, _SAME if one.reference == self.reference else one.reference] for one in self.standing
        ]
        values["forgotten"] = self.forgotten and list(astuple(self.forgotten))
        kept = values.items()
        return orjson.dumps({_SHORT[name]: value for name, value in kept if value is not False and value not in _EMPTY})

    @classmethod
    def from_json(cls, account_id: str, stored: bytes) -> "RecordState":
        """Read the stored form; fields that a later release no longer has are passed over."""
        told = orjson.loads(stored)
        values = {_LONG[name]: value for name, value in told.items() if name in _LONG}
        values["status"] = Status(values["status"])
        for name in ("vouchers", "handled_requests"):
            values[name] = tuple(values.get(name, ()))
        values["rate"] = tuple(values["rate"]) if "rate" in values else None
        values["forgotten"] = Sent(*values["forgotten"]) if "forgotten" in values else None
        for name in _OF_A_FINGERPRINT:
            if values.get(name) == _SAME:
                values[name] = values["fingerprint"]
        standing = values.get("standing", ())
        values["standing"] = tuple(
            Standing(offset, values["reference"] if name == _SAME else name) for offset, name in standing
        )
        return cls(**{"received_at": "", "updated_at": "", **values, "account_id": account_id})


_SAME = "="
_OF_A_FINGERPRINT = ("sent_fingerprint", "posted_fingerprint")
_EMPTY: tuple[object, ...] = (None, "", (), [], -1)
_SHORT = {
    "status": "s",
    "account_id": "a",
    "received_at": "r",
    "updated_at": "u",
    "document_number": "n",
    "account_number": "an",
    "account_name": "am",
    "currency": "c",
    "amount": "v",
    "reason": "w",
    "company": "co",
    "document_offset": "o",
    "document_event": "e",
    "newest_offset": "no",
    "fingerprint": "f",
    "updated_date": "d",
    "outdated": "od",
    "pending_offset": "po",
    "command": "k",
    "last_command": "lk",
    "forgotten": "fk",
    "reference": "rf",
    "sent_fingerprint": "sf",
    "standing": "st",
    "posted_fingerprint": "pf",
    "booked_unapplied": "bu",
    "rate": "rt",
    "reversed_reference": "rr",
    "correction": "cr",
    "correction_date": "cd",
    "handed_to": "ht",
    "handed_over_as_of": "hs",
    "is_awaiting_hand_over": "ah",
    "is_handed_over": "ho",
    "handed_over_offset": "hf",
    "awaited_by": "ab",
    "awaited_date": "ad",
    "vouchers": "vs",
    "settled_at": "sa",
    "settled_unapplied": "su",
    "handled_requests": "hr",
}
_LONG = {short: name for name, short in _SHORT.items()}
_NAMES = tuple(field.name for field in fields(RecordState))
_values_of = attrgetter(*_NAMES)

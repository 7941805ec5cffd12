"""The audit trail: one event for every step of every record."""

from typing import Literal

from schemas.base import LEFT_OUT_IF_NONE, Amount, DocumentType, Model, Status, Time
from schemas.mappings import MatchOn
from schemas.vouchers import VoucherNumber


class Gap(Model):
    """A mapping that is missing, with what to fill in; it names only what its kind has."""

    kind: Literal["account", "product", "tax", "cash", "unapplied", "rounding"]
    key: str | None = LEFT_OUT_IF_NONE
    company: str | None = LEFT_OUT_IF_NONE
    match_on: MatchOn | None = LEFT_OUT_IF_NONE
    currency: str | None = LEFT_OUT_IF_NONE
    gateway: str | None = LEFT_OUT_IF_NONE


class Record(Model):
    """A record as lists and `records show` give it."""

    id: str
    document_type: DocumentType
    document_number: str | None = None
    document_id: str
    account_id: str | None = None
    account_number: str | None = None
    account_name: str | None = None
    status: Status
    reason: str | None = None
    missing: tuple[Gap, ...] = ()
    company: str | None = None
    amount: Amount | None = None
    currency: str | None = None
    reference: str | None = None
    voucher: VoucherNumber | None = None
    vouchers: tuple[VoucherNumber, ...] = ()
    received_at: Time
    updated_at: Time


class RecordStatusChanged(Record):
    """A step of a record. Key: record id. The last one of a record is its state."""

    previous: Status | None = None
    note: str | None = None
    """A line for the history that changes no status, such as `seen-again`."""
    actor: str
    """Who did it: a person, or the agent's name."""
    at: Time
    cause: str
    """Id of the event that led to it."""
    posted_fingerprint: str | None = None
    """Of the document whose voucher stands in IFS."""
    document_fingerprint: str | None = None
    """Of the newest document; a correction is asked for these two."""

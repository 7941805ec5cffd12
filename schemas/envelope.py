"""How an event travels: JSON value, CloudEvents 1.0 attributes as headers (Kafka protocol binding, binary mode).

Ids are digests of what an event stands for, so that saying a thing twice says the same thing twice and the receiver
drops it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from schemas.audit import RecordStatusChanged
from schemas.base import Model
from schemas.credentials import CredentialSealed
from schemas.errors import UnreadableError
from schemas.mappings import (
    AccountMappingRemoved,
    AccountMappingSet,
    ChartRuleRemoved,
    ChartRuleSet,
    CompanySet,
    PostingRuleRemoved,
    PostingRuleSet,
)
from schemas.notifications import DocumentCaptured, FetchLater, NotificationReceived
from schemas.personal import PersonalKeyErased, PersonalKeySealed
from schemas.proposals import ChangeProposed, ProposalApproved, ProposalRefused
from schemas.releases import HandedOver, ReleaseNext
from schemas.requests import (
    CorrectionRequested,
    PostingPaused,
    PostingResumed,
    ReplayRequested,
    SettlementRecorded,
)
from schemas.vouchers import (
    NothingToPost,
    PostingProgressed,
    PostVoucher,
    ReverseVoucher,
    VoucherPosted,
    VoucherRejected,
    VoucherReversed,
)

EVENT_TYPES: dict[str, type[Model]] = {
    event.__name__: event
    for event in (
        NotificationReceived,
        DocumentCaptured,
        AccountMappingSet,
        AccountMappingRemoved,
        ChartRuleSet,
        ChartRuleRemoved,
        PostingRuleSet,
        PostingRuleRemoved,
        CompanySet,
        PostVoucher,
        ReverseVoucher,
        VoucherPosted,
        VoucherReversed,
        VoucherRejected,
        NothingToPost,
        ReplayRequested,
        CorrectionRequested,
        SettlementRecorded,
        PostingPaused,
        PostingResumed,
        RecordStatusChanged,
        FetchLater,
        ReleaseNext,
        HandedOver,
        PostingProgressed,
        CredentialSealed,
        PersonalKeySealed,
        PersonalKeyErased,
        ChangeProposed,
        ProposalApproved,
        ProposalRefused,
    )
}
"""`ce_type` to model: every event on every topic."""

SOURCE = "/zuora-ifs"
"""`ce_source` begins with it; the process's name follows."""

_SPECIFICATION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")

E = TypeVar("E", bound=Model)


def event_id(*parts: str) -> str:
    """Return the id of what `parts` stand for: 32 hex characters of a SHA-256 over them."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


@lru_cache(maxsize=64)
def utc_text(time: datetime) -> str:
    """Return a moment of UTC as text that ends in Z; kept, since one moment stands in several events."""
    return time.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Envelope:
    """The attributes of an event; `time` is when it happened."""

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    traceparent: str | None = None

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the Kafka headers."""
        pairs = [
            _SPECIFICATION,
            ("ce_id", self.id.encode()),
            ("ce_type", self.type.encode()),
            ("ce_source", self.source.encode()),
            ("ce_subject", self.subject.encode()),
            ("ce_time", utc_text(self.time).encode()),
            _CONTENT_TYPE,
        ]
        if self.traceparent:
            pairs.append(("traceparent", self.traceparent.encode()))
        return pairs


def encode(event: Model) -> bytes:
    """Return an event's value: JSON, camelCase."""
    return event.__pydantic_serializer__.to_json(event, by_alias=True)


def assembled(event_type: type[E], **values: Any) -> E:
    """Return an event, or a part of one, of values that are of its types already; the others have their default.

    As `model_construct()`, which takes 60 µs for 20 fields where this takes 3: every document has three such events.
    """
    event = event_type.__new__(event_type)
    object.__setattr__(event, "__dict__", _defaults(event_type) | values)
    object.__setattr__(event, "__pydantic_fields_set__", set(values))
    object.__setattr__(event, "__pydantic_extra__", None)
    object.__setattr__(event, "__pydantic_private__", None)
    return event


def encode_assembled(event: Model) -> bytes:
    """Return the bytes that `encode` returns, in a fifth of its time.

    For events of texts, whole numbers, amounts, moments of UTC, days and models of these.
    """
    return orjson.dumps(_by_alias(event), _plain, orjson.OPT_UTC_Z)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Model):
        return _by_alias(value)
    raise TypeError(f"{type(value).__name__} has no place in an event")


def _by_alias(model: Model) -> dict[str, Any]:
    values = model.__dict__
    return {
        alias: values[name]
        for name, alias, optional in _aliases(type(model))
        if not optional or values[name] is not None
    }


@cache
def _aliases(model: type[Model]) -> tuple[tuple[str, str, bool], ...]:
    """Return each field's name, its name on the wire, and whether it is left out where it is None."""
    return tuple(
        (name, field.serialization_alias or name, field.exclude_if is not None)
        for name, field in model.model_fields.items()
    )


@cache
def _defaults(model: type[Model]) -> dict[str, Any]:
    """Return the defaults of a model, without those that are made anew for each."""
    fields = model.model_fields.items()
    return {name: field.default for name, field in fields if not field.is_required() and field.default_factory is None}


def decode(event_type: type[E], value: bytes | None) -> E:
    """Read an event's value.

    Raises:
        UnreadableError: it is not such an event; the message names the first wrong field, never its content.

    """
    try:
        return event_type.model_validate_json(value or b"")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "value"
        raise UnreadableError(f"not a {event_type.__name__}: {where}: {first['msg']}") from None


def decode_any(headers: dict[str, bytes], value: bytes | None) -> Model:
    """Read an event by its `ce_type` header.

    Raises:
        UnreadableError: no or an unknown type, or the value is not of that type.

    """
    name = headers.get("ce_type", b"").decode(errors="replace")
    if name not in EVENT_TYPES:
        raise UnreadableError(f"unknown event type {name[:60]!r} in header ce_type")
    return decode(EVENT_TYPES[name], value)

"""How an event travels: JSON value, CloudEvents 1.0 attributes as headers (Kafka protocol binding, binary mode).

Ids are digests of what an event stands for, so that saying a thing twice says the same thing twice and the receiver
drops it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from schemas.audit import RecordStatusChanged
from schemas.base import Model
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
from schemas.releases import ReleaseNext
from schemas.requests import (
    CorrectionRequested,
    PostingPaused,
    PostingResumed,
    ReplayRequested,
    SettlementRecorded,
)
from schemas.vouchers import (
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
        ReplayRequested,
        CorrectionRequested,
        SettlementRecorded,
        PostingPaused,
        PostingResumed,
        RecordStatusChanged,
        FetchLater,
        ReleaseNext,
        PostingProgressed,
    )
}
"""`ce_type` to model: every event on every topic."""

SOURCE = "/zuora-ifs"
"""`ce_source` begins with it; the process's name follows."""

E = TypeVar("E", bound=Model)


def event_id(*parts: str) -> str:
    """Return the id of what `parts` stand for: 32 hex characters of a SHA-256 over them."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


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
            ("ce_specversion", "1.0"),
            ("ce_id", self.id),
            ("ce_type", self.type),
            ("ce_source", self.source),
            ("ce_subject", self.subject),
            ("ce_time", self.time.isoformat().replace("+00:00", "Z")),
            ("content-type", "application/json"),
        ]
        if self.traceparent:
            pairs.append(("traceparent", self.traceparent))
        return [(name, value.encode()) for name, value in pairs]


def encode(event: Model) -> bytes:
    """Return an event's value: JSON, camelCase."""
    return event.__pydantic_serializer__.to_json(event, by_alias=True)


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

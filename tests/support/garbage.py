"""Records that no agent can have meant: any bytes, and events in which a few fields are not what they should be."""

import json
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from schemas.base import DocumentType, Model
from schemas.envelope import EVENT_TYPES, encode
from schemas.notifications import FetchLater, NotificationReceived
from schemas.releases import HandedOver, ReleaseNext
from schemas.requests import CorrectionRequested, ReplayRequested, SettlementRecorded
from schemas.vouchers import PostingProgressed, VoucherRejected
from tests.support.bookkeeping import account, card_payment, cash, invoice, product
from tests.support.ledger import NOW
from tests.support.posting import command
from tests.support.projecting import step

NAMES_OF_HEADERS = st.sampled_from(["ce_id", "ce_type", "traceparent", "mapping_version", "dlq.topic", "note"])
HEADERS = st.dictionaries(NAMES_OF_HEADERS, st.binary(max_size=12), max_size=4)

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, -1, 0, 7, 10**30, -(2**63) - 1, 1.5, "", "A", "Invoice:inv-1", "x/y", "\ufffd", "NaN",
        "1E+999999999",
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30", [], {}, [[[]]], {"a": None}, "\u0000",
    ]
).map(deepcopy)  # fmt: skip
"""Values that stand where another is expected."""

SUBJECT: dict[str, Any] = {
    "command_id": "c", "app_id": "test", "record_id": "Invoice:inv-1", "document_type": DocumentType.INVOICE,
    "account_id": "A", "reference": "INV00001-X", "fingerprint": "f", "document_offset": 0, "company": "10",
}  # fmt: skip
WISH: dict[str, Any] = {
    "record_id": "Invoice:inv-1", "account_id": "A", "actor": "eva", "at": NOW, "reason": "as told"
}  # fmt: skip
NOTIFIED = NotificationReceived(document_type=DocumentType.INVOICE, object_id="A", received_at=NOW)
GOOD: list[Model] = [
    invoice(1, "A"),
    card_payment("10.00"),
    account("A"),
    product("ANL"),
    cash("EUR"),
    command(account_id="A"),
    VoucherRejected(**SUBJECT, reason="r", message="m", advice="a", rejected_at=NOW),
    PostingProgressed(**SUBJECT, progress="uncertain", reason="r", at=NOW),
    HandedOver(record_id="Invoice:inv-1", from_account_id="B"),
    ReleaseNext(waiting_key="account/A", after=-1, cause="c"),
    ReplayRequested(**WISH),
    CorrectionRequested(**WISH, posted_fingerprint="f", document_fingerprint="g"),
    SettlementRecorded(**WISH, voucher="4711"),
    NOTIFIED,
    step("Invoice:inv-1", "posted", amount="10.00"),
    FetchLater(notification=NOTIFIED, notification_event_id="n", not_before=NOW, attempt=0),
]
"""An event of each kind, whose fields are then exchanged for others."""


@st.composite
def spoilt_events(draw: st.DrawFn) -> tuple[dict[str, bytes], bytes]:
    """Return headers and value of an event of some type, in which a few fields are not what they should be."""
    event = draw(st.sampled_from(GOOD))
    told: dict[str, Any] = json.loads(encode(event))
    for _ in range(draw(st.integers(0, 3))):
        inside = draw(st.sampled_from([told, *(value for value in told.values() if isinstance(value, dict))]))
        if inside:
            inside[draw(st.sampled_from(sorted(inside)))] = draw(ODD)
    name = draw(st.sampled_from([type(event).__name__, *sorted(EVENT_TYPES)]))
    return draw(HEADERS) | {"ce_type": name.encode()}, json.dumps(told).encode()


ANYTHING = st.one_of(
    st.tuples(HEADERS, st.none() | st.binary(max_size=40)),
    st.tuples(HEADERS, st.sampled_from([b"{}", b"[]", b"null", b"[" * 300, b'{"a":' * 300])),
    spoilt_events(),
)
KEYS = st.none() | st.sampled_from([b"A", b"10", b"*", b"pay-1"]) | st.binary(max_size=8)

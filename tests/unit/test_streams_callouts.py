"""What a callout says: a table of good ones, a table of bad ones, and that nothing makes the reader raise."""

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.base import DocumentType, utc_now
from schemas.envelope import encode
from schemas.notifications import NotificationReceived
from streams.callouts.bodies import BodyTooLargeError, unpacked
from streams.callouts.reading import MOST_FIELDS_BYTES, Callout, Unknown, Unreadable, read_callout

JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"
ID = "8ad08d2989bd1f2c0189bd5a7e3a2001"


def read(body: Any, content_type: str = JSON, query: dict[str, str] | None = None) -> Callout | Unknown | Unreadable:
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return read_callout(raw, content_type, query or {}, {})


def callout(body: Any, content_type: str = JSON, query: dict[str, str] | None = None) -> Callout:
    result = read(body, content_type, query)
    assert isinstance(result, Callout), result
    return result


GOOD: list[tuple[Any, str]] = [
    ({"event": "InvoicePosted", "objectId": "1"}, "Invoice"),
    ({"eventType": "PaymentProcessed", "id": "1"}, "Payment"),
    ({"eventCategory": 1110, "objectId": "1"}, "Invoice"),
    ({"eventCategory": "2120", "objectId": "1"}, "Payment"),
    ({"eventCategory": "2410", "objectId": "1"}, "Refund"),
    ({"eventCategory": "2430", "objectId": "1"}, "Refund"),
    ({"eventCategory": "2720", "objectId": "1"}, "CreditMemo"),
    ({"eventCategory": "2820", "objectId": "1"}, "DebitMemo"),
    ({"EVENT": "invoiceposted", "OBJECTID": "1"}, "Invoice"),
    ({"event": "Invoice Posted", "object_id": "1"}, "Invoice"),
    ({"event": "External Payment Processed", "objectId": "1"}, "Payment"),
    ({"event": "PaymentRefundProcessed", "RefundId": "1", "PaymentId": "2"}, "Refund"),
    ({"event": "CreditMemoRefundProcessed", "RefundId": "1", "CreditMemoId": "2"}, "Refund"),
    ({"event": "CreditMemoPosted", "CreditMemoId": "1", "InvoiceId": "2"}, "CreditMemo"),
    ({"event": "DebitMemoPosted", "objectId": "1"}, "DebitMemo"),
    ({"event": "user.notification:InvoiceUnposted", "objectId": "1"}, "Invoice"),
    ({"event": "InvoiceItemAdjustmentCreated", "objectId": "1", "InvoiceId": "2"}, "Adjustment"),
    ({"event": "MonthEnd", "eventCategory": "1110", "objectId": "1"}, "Invoice"),
    ({"event": "OurOwnEvent", "objectType": "Credit Memo", "objectId": "1"}, "CreditMemo"),
    ({"event": "OurOwnEvent", "InvoiceId": "1"}, "Invoice"),
    ({"InvoiceId": "1"}, "Invoice"),
    ({"invoiceid": "1"}, "Invoice"),
    ({"Invoice.ID": "1"}, "Invoice"),
    ({"PaymentId": "1"}, "Payment"),
    ({"RefundId": "1"}, "Refund"),
    ({"CreditMemoId": "1"}, "CreditMemo"),
    ({"DebitMemoId": "1"}, "DebitMemo"),
    ({"AdjustmentId": "1"}, "Adjustment"),
    ({"InvoiceItemAdjustmentId": "1"}, "Adjustment"),
    ({"RefundId": "1", "PaymentId": "2", "InvoiceId": "3"}, "Refund"),
    ({"PaymentId": "null", "InvoiceId": "1", "RefundId": "", "CreditMemoId": None}, "Invoice"),
    ({"event": "InvoicePosted", "objectId": "null", "InvoiceId": "1"}, "Invoice"),
    ({"event": "InvoicePosted", "id": "id-of-the-event", "InvoiceId": "1"}, "Invoice"),
    ({"event": "InvoicePosted", "objectId": 1}, "Invoice"),
    ({"event": "InvoicePosted", "objectId": " 1 "}, "Invoice"),
    ({"event": "InvoicePosted", "InvoiceNumber": "1"}, "Invoice"),
    ({"event": "InvoicePosted", "Invoice": {"Id": "1"}}, "Invoice"),
    ({"event": "InvoicePosted", "data": {"id": "1"}}, "Invoice"),
    ({"data": {"InvoiceId": "1"}}, "Invoice"),
    ({"payload": {"Invoice": {"Id": "1"}, "Account": {"Id": "2"}}}, "Invoice"),
    ({"data": {"RefundId": "2"}, "RefundId": "1"}, "Refund"),
    ({"Invoice": {"Id": "1", "InvoiceNumber": "INV1"}, "Account": {"Id": "2"}}, "Invoice"),
]


@pytest.mark.parametrize(("fields", "document_type"), GOOD, ids=json.dumps)
def test_good_json_tells_type_and_id(fields: dict[str, Any], document_type: str) -> None:
    assert (callout(fields).document_type.value, callout(fields).object_id) == (document_type, "1")


def xml(*parameters: tuple[str, str], head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    inner = "".join(f'<parameter name="{name}">{value}</parameter>' for name, value in parameters)
    return f"{head}<callout>{inner}</callout>"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (xml(("InvoiceID", ID)), "application/xml"),
        (xml(("InvoiceID", ID)), "text/xml; charset=utf-8"),
        (xml(("InvoiceID", ID)), JSON),
        (xml(("InvoiceID", ID), head=""), ""),
        ("\n " + xml(("event", "InvoicePosted"), ("objectId", ID)), "text/xml"),
        ("\ufeff" + xml(("InvoiceID", ID), head=""), "text/xml"),
        (xml(("InvoiceID", ID), head='<?xml version="1.0" encoding="UTF-16"?>').encode("utf-16"), "text/xml"),
        (f"InvoiceId={ID}&amp=1", FORM),
        (f"event=InvoicePosted&objectId={ID}", FORM + "; charset=UTF-8"),
        (json.dumps({"InvoiceId": ID}), FORM),
        (json.dumps({"InvoiceId": ID}), "text/plain"),
        (json.dumps({"InvoiceId": ID}), ""),
        (json.dumps({"InvoiceId": ID}), "nonsense"),
        ("\ufeff" + json.dumps({"InvoiceId": ID}), JSON),
        (
            json.dumps({"InvoiceId": ID, "name": "Ä"}, ensure_ascii=False).encode("latin-1"),
            "text/json; charset=ISO-8859-1",
        ),
        (json.dumps({"InvoiceId": ID}).encode("utf-16"), "application/json; charset=utf-16"),
        ('{"InvoiceId": "first", "InvoiceId": "' + ID + '"}', JSON),
    ],
)
def test_the_content_tells_what_the_body_is(body: str | bytes, content_type: str) -> None:
    read_as = callout(body, content_type)
    assert (read_as.document_type, read_as.object_id) == (DocumentType.INVOICE, ID)


def test_all_that_is_known_is_read() -> None:
    fields = {
        "event": "InvoicePosted",
        "objectType": "Invoice",
        "objectId": ID,
        "objectNumber": "INV00004711",
        "accountId": "8ad09e2b86f1c1a90186f2a6c0d41001",
        "ownKey": {"nested": ["kept", 1, 2.50, None]},
    }
    read_as = read_callout(json.dumps(fields).encode(), JSON, {}, {"Zuora-Notification-Id": "8a90"})
    assert read_as == Callout(
        document_type=DocumentType.INVOICE,
        object_id=ID,
        event="InvoicePosted",
        object_number="INV00004711",
        account_id="8ad09e2b86f1c1a90186f2a6c0d41001",
        notification_id="8a90",
        fields=fields | {"ownKey": {"nested": ["kept", 1, "2.5", None]}},
    )


def test_the_query_is_read_too_and_the_body_is_believed() -> None:
    from_query = callout("", query={"event": "InvoicePosted", "objectId": "1"})
    from_both = callout({"objectId": "2"}, query={"event": "InvoicePosted", "objectId": "1"})
    from_empty_body_value = callout({"objectId": ""}, query={"event": "InvoicePosted", "objectId": "1"})
    assert [each.object_id for each in (from_query, from_both, from_empty_body_value)] == ["1", "2", "1"]


def test_credentials_do_not_reach_the_fields() -> None:
    fields = {
        "InvoiceId": "1",
        "Password": "x",
        "nested": {"access_token": "x", "kept": [{"client_secret": "x", "site": "Ulm"}]},
    }
    kept = callout(fields, query={"apiClientId": "x", "apiToken": "x", "api_key": "x", "region": "EU"}).fields
    assert kept == {"InvoiceId": "1", "nested": {"kept": [{"site": "Ulm"}]}, "region": "EU"}


def test_fields_are_bounded_and_the_id_is_found_all_the_same() -> None:
    fields = {f"note{number}": "x" * 1000 for number in range(2000)} | {"InvoiceId": "1"}
    read_as = callout(fields)
    assert read_as.object_id == "1"
    assert 0 < len(json.dumps(read_as.fields)) < MOST_FIELDS_BYTES + 100_000


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "SubscriptionCreated", "objectId": "1"},
        {"event": "PaymentMethodUpdated", "objectId": "1"},
        {"event": "PaymentRunCompletion", "objectId": "1"},
        {"event": "BillRunPosted", "objectId": "1"},
        {"eventCategory": "1410", "objectId": "1"},
        {"objectType": "Subscription", "objectId": "1"},
        {"objectId": "1"},
        {"AccountId": "1"},
        {"hello": "world"},
        {"InvoiceId": True},
        {"InvoiceId": "null"},
    ],
    ids=json.dumps,
)
def test_what_is_of_no_type_that_we_know_is_unknown(fields: dict[str, Any]) -> None:
    assert isinstance(read(fields), Unknown)


def test_the_id_of_another_object_inside_is_never_taken_for_the_documents() -> None:
    result = read({"event": "InvoicePosted", "Account": {"Id": "2"}})

    assert isinstance(result, Unreadable)


def test_an_unknown_callout_keeps_its_object_id() -> None:
    assert read({"event": "SubscriptionCreated", "objectId": "1"}) == Unknown(
        "of no type that we know: event 'SubscriptionCreated'", "1"
    )


DEEP = 100_000


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", JSON, "empty"),
        (b"  \n", JSON, "empty"),
        (b"{}", JSON, "empty"),
        (b"not json", JSON, "not JSON"),
        (b'{"InvoiceId": ', JSON, "not JSON"),
        (b'{"InvoiceId": "1"} {}', JSON, "not JSON"),
        (b'[{"InvoiceId": "1"}]', JSON, "not an object"),
        (b'"InvoicePosted"', JSON, "not an object"),
        (b"null", JSON, "not an object"),
        (b'{"InvoiceId": "1", "amount": NaN}', JSON, "NaN"),
        (b'{"InvoiceId": "\xff"}', JSON, "not utf-8"),
        (b'{"InvoiceId": "1", "x": "\\ud800"}', JSON, "surrogate"),
        (b'{"InvoiceId": "1", "x": ' + b"9" * 5000 + b"}", JSON, "not JSON"),
        (b"[" * DEEP, JSON, "deep"),
        (b'{"a":' * DEEP, JSON, "deep"),
        (b'{"InvoiceId": "1", "x": ' + b"[" * 100 + b"]" * 100 + b"}", JSON, "32 levels"),
        (b"<callout>", "text/xml", "not XML"),
        (b"<other/>", "text/xml", "not a <callout>"),
        (
            b'<!DOCTYPE c [<!ENTITY a "1">]><callout><parameter name="InvoiceId">&a;</parameter></callout>',
            "",
            "not XML",
        ),
        (b'<?xml version="1.0" encoding="nonsense"?><callout/>', "text/xml", "not XML"),
        (b"<callout/>", "text/xml", "empty"),
        (b"<a>" * DEEP, "text/xml", "not XML"),
        (xml(*[(f"p{n}", "") for n in range(1001)]).encode(), "text/xml", "1000 parameters"),
        (b"&".join(b"p%d=1" % n for n in range(1001)), FORM, "not a form"),
        (b"InvoiceId=%FF", FORM, "not a form"),
        (
            b'--x\r\nContent-Disposition: form-data; name="InvoiceId"\r\n\r\n1\r\n',
            "multipart/form-data; boundary=x",
            "not JSON",
        ),
        (b'{"event": "InvoicePosted"}', JSON, "without an object id"),
        (b'{"event": "InvoicePosted", "objectId": null}', JSON, "without an object id"),
        (b'{"event": "InvoicePosted", "objectId": {}}', JSON, "without an object id"),
        (b'{"event": "PaymentProcessed", "InvoiceId": "1"}', JSON, "without an object id"),
        (b'{"event": "InvoicePosted", "objectId": "a\\nb"}', JSON, "without an object id"),
        (b'{"event": "InvoicePosted", "objectId": "' + b"x" * 256 + b'"}', JSON, "without an object id"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_what_cannot_be_read_says_why(body: bytes, content_type: str, reason: str) -> None:
    result = read(body, content_type)
    assert isinstance(result, Unreadable), result
    assert reason in result.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
known_names = st.sampled_from(["event", "eventCategory", "objectType", "objectId", "InvoiceId", "PaymentId", "Account"])
known_values = st.sampled_from(["InvoicePosted", "1110", "CreditMemo", "", "null", "1"])
callouts = st.dictionaries(known_names | st.text(max_size=8), known_values | json_values, max_size=8)
bodies = st.one_of(
    st.binary(max_size=300),
    callouts.map(lambda fields: json.dumps(fields).encode()),
    st.lists(st.tuples(known_names, st.text(max_size=20))).map(lambda rows: xml(*rows).encode(errors="replace")),
)
content_types = st.sampled_from([JSON, FORM, "text/xml", "", "application/json; charset=utf-32"]) | st.text(max_size=40)


@settings(max_examples=600, deadline=None)
@given(bodies, content_types, st.dictionaries(known_names | st.text(max_size=8), st.text(max_size=8), max_size=3))
@example(b'{"InvoiceId": "1", "x": 1e999}', JSON, {})
@example(b"{}", 'application/json; charset="punycode"', {})
def test_the_reader_never_raises_and_what_it_reads_can_be_written(
    body: bytes, content_type: str, query: dict[str, str]
) -> None:
    result = read_callout(body, content_type, query, {})
    if isinstance(result, Callout):
        event = NotificationReceived(
            document_type=result.document_type,
            object_id=result.object_id,
            event=result.event,
            object_number=result.object_number,
            account_id=result.account_id,
            received_at=utc_now(),
            fields=result.fields,
        )
        assert NotificationReceived.model_validate_json(encode(event)).object_id == result.object_id


def test_compressed_bodies_are_unpacked_within_bounds() -> None:
    body = b'{"InvoiceId": "1"}'
    bomb = gzip.compress(b" " * 50_000_000)
    assert unpacked(gzip.compress(body), "gzip", 1024) == body
    assert unpacked(zlib.compress(body), "deflate", 1024) == body
    assert unpacked(body, "gzip", 1024) == body
    assert unpacked(body, "", 1024) == body
    with pytest.raises(BodyTooLargeError):
        unpacked(bomb, "gzip", 262_144)

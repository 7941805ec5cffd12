"""Numbers, types, tags and rates in answers of Zuora and IFS Cloud that nobody can mean: refused, or kept exactly."""

import asyncio
import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.base import DocumentType, utc_now
from schemas.errors import ConnectorError, RefusedError
from schemas.notifications import NotificationReceived
from streams.systems.ifs.basics import Company
from streams.systems.ifs.errors import Verdict
from streams.systems.zuora.captured import Fetched, as_text, captured
from streams.systems.zuora.errors import AnotherDocumentError
from tests.support.hostile_server import gzipped, http
from tests.support.hostile_systems import (
    ID,
    INVOICE,
    ifs,
    posted,
    zuora,
)
from tests.support.posting import command

# --- what the answers hold --------------------------------------------------------------------------------------------

SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["1e400", "-1", "1,234.56", "NaN", "Infinity", "0.1", "EUR", "XAU", "\ud800", "x" * 5_000, "\0"])
    | st.sampled_from([Decimal("1e400"), Decimal("1e39"), Decimal("1e-39"), Decimal("1e999999999"), 10**300])
)
ANYTHING = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner), max_leaves=5
)
FIELDS = (
    "invoiceNumber",
    "amount",
    "currency",
    "status",
    "invoiceDate",
    "updatedDate",
    "balance",
    "taxAmount",
    "items",
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_whatever_the_fields_hold_there_is_an_event_or_a_refusal(fields: dict[str, Any]) -> None:
    try:
        document = as_text({"id": ID, "accountId": "a1", **fields})
    except RefusedError:
        return
    fetched = Fetched(DocumentType.INVOICE, document)
    told = NotificationReceived(document_type=DocumentType.INVOICE, object_id=ID, received_at=utc_now())

    event = captured(told, fetched, None, utc_now())

    value = event.model_dump_json(by_alias=True)
    assert len(value) < 100_000
    assert type(event).model_validate_json(value).document == event.document


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("10.10", "10.10"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("123456789012345678.12", "123456789012345678.12"),
        ("1E+3", "1000"),
        ("9007199254740993", 9007199254740993),
        ("99999999999999999999", "99999999999999999999"),
        ("-0.00", "-0.00"),
    ],
)
async def test_an_amount_is_kept_digit_by_digit(given: str, kept: str | int) -> None:
    body = json.dumps(INVOICE).replace('"amount": 10', f'"amount": {given}').encode()
    async with zuora(gzipped(body)) as (client, _):
        fetched = await client.fetch(DocumentType.INVOICE, ID)
    assert fetched.document["amount"] == kept
    assert type(fetched.document["amount"]) is type(kept)


@pytest.mark.parametrize("amount", ["1e400", "1e999999999", "1e-400", "9" * 100])
async def test_an_amount_that_nobody_can_mean_is_refused_and_tried_no_more(amount: str) -> None:
    body = json.dumps(INVOICE).replace('"amount": 10', f'"amount": {amount}').encode()
    async with zuora(http(body)) as (client, _):
        with pytest.raises(RefusedError, match="more than 40 digits"):
            await client.fetch(DocumentType.INVOICE, ID)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 5},
        {"id": {}},
        {"id": "x" * 1_000},
        {"id": "a\nb"},
        {"accountId": None},
        {"accountId": ["a"]},
        {"accountId": "\0"},
        {"invoiceItems": 5},
        {"invoiceItems": [1]},
        {"success": False, "reasons": [1, None, {"code": {}, "message": ["x"]}]},
        {"success": "false"},
        {"amount": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
async def test_a_document_of_wrong_types_is_refused_in_a_short_line(wrong: dict[str, Any]) -> None:
    async with zuora(http({**INVOICE, **wrong})) as (client, _):
        with pytest.raises(RefusedError) as error:
            await client.fetch(DocumentType.INVOICE, ID)
    assert len(str(error.value)) < 400


async def test_another_document_than_the_one_asked_for_is_never_taken_for_it() -> None:
    async with zuora(http({**INVOICE, "id": ID[::-1]})) as (client, _):
        with pytest.raises(AnotherDocumentError, match="another document"):
            await client.fetch(DocumentType.INVOICE, ID)


ROW = {"Company": "10", "VoucherType": "M", "AccountingYear": 2026, "VoucherNo": 1, "VoucherText2": "INV1-AAAA"}


@pytest.mark.parametrize(
    "wrong",
    [
        b'"VoucherNo": 1e999999999',
        b'"VoucherNo": 12.5',
        b'"VoucherNo": "1_000_0"',
        b'"AccountingYear": []',
        b'"VoucherNo": true',
    ],
    ids=bytes.decode,
)
async def test_a_voucher_number_that_is_none_is_no_number(wrong: bytes) -> None:
    name = wrong.split(b":")[0]
    row = (
        b"{"
        + b", ".join(
            [wrong]
            + [
                b'"%s": %s' % (key.encode(), json.dumps(value).encode())
                for key, value in ROW.items()
                if b'"%s"' % key.encode() != name
            ]
        )
        + b"}"
    )
    async with ifs(http(row, 201)) as (client, _), asyncio.timeout(5):
        created = await posted(client)
    assert (created.judgement.verdict, created.number) == (Verdict.DONE, None) or wrong == b'"VoucherNo": "1_000_0"'


@pytest.mark.parametrize("tag", ["a\r\nX-Evil: 1", "\ud800", "é", 5, {}, "x" * 20_000, ""])
async def test_a_tag_that_would_break_a_header_is_no_tag(tag: Any) -> None:
    async with ifs(http({"value": [], "@odata.etag": tag})) as (client, _):
        assert (await client.service.page("P", "S", "")).tag is None


@pytest.mark.parametrize(
    "rate",
    [
        b"1e999999999",
        b'"NaN"',
        b'"sNaN"',
        b'"Infinity"',
        b"1e40",
        b"1e-40",
        b"-1",
        b"0",
        b"[]",
        b"true",
        b'"1,5"',
        b"null",
    ],
    ids=bytes.decode,
)
async def test_a_rate_that_nobody_can_mean_is_refused_before_anything_is_sent(rate: bytes) -> None:
    row = b'{"CurrencyCode": "SEK", "ValidFrom": "2026-01-01", "ConvFactor": 1, "CurrencyRate": %s}' % rate
    async with ifs(http(b'{"value": [%s]}' % row)) as (client, _):
        with pytest.raises(RefusedError, match="not a positive number"):
            await client.basics.rate(Company("10", "EUR", None), "1", "SEK", command().rate_date)


async def test_a_rate_of_another_currency_is_never_taken() -> None:
    row = {
        "CurrencyCode": "JPY",
        "CurrencyType": "1",
        "Company": "10",
        "ValidFrom": "2026-01-01",
        "CurrencyRate": 0.006,
    }
    async with ifs(http({"value": [row]})) as (client, _):
        with pytest.raises(RefusedError, match=r"a gateway drops \$filter"):
            await client.basics.rate(Company("10", "EUR", None), "1", "SEK", command().rate_date)


@pytest.mark.parametrize(
    "other",
    [{"CurrencyType": "2", "Inverted": True}, {"Company": "20", "Inverted": True}, {"CurrencyCode": "JPY"}],
    ids=["type", "company", "currency"],
)
async def test_how_another_is_quoted_is_never_taken(other: dict[str, Any]) -> None:
    async with ifs(http({"value": [other]})) as (client, _):
        with pytest.raises(RefusedError, match=r"a gateway drops \$filter"):
            await client.basics.quoted_inverted(Company("10", "EUR", None), "1")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.binary(max_size=200)
    | ANYTHING.filter(lambda value: "Decimal" not in repr(value)).map(lambda value: json.dumps(value).encode()),
    status=st.sampled_from([200, 201, 204, 207, 400, 401, 404, 412, 429, 500, 503]),
)
def test_no_answer_ends_a_client_otherwise_than_in_an_error_that_is_understood(body: bytes, status: int) -> None:
    answer = http(body if status != 204 else b"", status, retry_after="-1")

    async def ask() -> None:
        async with zuora(answer) as (client, _):
            with suppress(ConnectorError):
                await client.fetch(DocumentType.INVOICE, ID)
        async with ifs(answer) as (client_of_ifs, _):
            with suppress(ConnectorError):
                await client_of_ifs.basics.company("10")
                await client_of_ifs.where_is("10", "INV1-AAAA")
            assert (await posted(client_of_ifs)).number is None

    asyncio.run(ask())

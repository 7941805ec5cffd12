"""Zuora and IFS Cloud answer with anything at all, over real TCP: what comes of it is exact, or an error we know."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from decimal import Decimal
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from schemas.base import DocumentType, utc_now
from schemas.errors import ConnectorError, FarSideError, RefusedError, TroubleError, UnauthorizedError, UncertainError
from schemas.notifications import NotificationReceived
from streams.accounting.conversion import SAME_CURRENCY
from streams.settings import IfsSettings, ZuoraSettings
from streams.systems.budget import RateBudget
from streams.systems.ifs.basics import Company
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.errors import Verdict
from streams.systems.ifs.posting import Created
from streams.systems.ifs.service import connected, token_source
from streams.systems.retry import BackOff, retry_after_seconds
from streams.systems.session import HttpSession
from streams.systems.tokens import TokenSource
from streams.systems.zuora.captured import Fetched, as_text, captured
from streams.systems.zuora.client import ZuoraClient, zuora_session
from tests.support.hostile_server import HostileServer, Send, gzipped, hostile_server, http
from tests.support.posting import ROWS, command

ID = "8ad08d2989bd1f2c0189bd5a7e3a2001"
MIB = 1024 * 1024
INVOICE = {"id": ID, "accountId": "a1", "amount": 10, "currency": "EUR", "status": "Posted", "invoiceItems": []}
DEEP = b'{"a":' * 100_000

NOT_HTTP: dict[str, bytes] = {
    "nothing": b"",
    "garbage": b"\xff\x00\x01garbage\r\n\r\n",
    "a status that is none": b"HTTP/1.1 abc X\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 1000 X\r\n\r\n",
    "a header of 100 kB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "20,000 headers": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
    "cut off": http(INVOICE, content_length="5000"),
    "longer than told": http(INVOICE, content_length="5"),
    "a negative length": http(INVOICE, content_length="-5"),
    "a length of 30 digits": http(INVOICE, content_length="9" * 30),
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunks cut off": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "gzip cut off": http(gzip.compress(json.dumps(INVOICE).encode())[:-10], content_encoding="gzip"),
    "gzip that goes on": http(gzip.compress(json.dumps(INVOICE).encode()) + b"more", content_encoding="gzip"),
    "two in one gzip": http(gzip.compress(json.dumps(INVOICE).encode()) + gzip.compress(b" "), content_encoding="gzip"),
    "not gzip": http(INVOICE, content_encoding="gzip"),
    "a coding nobody asked for": http(INVOICE, content_encoding="br"),
}
"""What is no whole answer: trouble, and after a write uncertain."""

NOT_JSON: dict[str, bytes] = {
    "empty": http(b""),
    "HTML": http(b"<html><body>maintenance</body></html>", content_type="text/html"),
    "a list": http([INVOICE]),
    "a text": http("done"),
    "null": http(None),
    "nested 100,000 deep": http(DEEP),
    "a name twice": http(b'{"id": "%s", "accountId": "a1", "amount": 10, "amount": 1000}' % ID.encode()),
    "NaN": http(b'{"id": "%s", "accountId": "a1", "amount": NaN}' % ID.encode()),
    "Infinity": http(b'{"id": "%s", "accountId": "a1", "amount": -Infinity}' % ID.encode()),
    "a number beyond all numbers": http(b'{"id": "%s", "amount": 1e9999999999999999999999}' % ID.encode()),
    "5,000 digits": http(b'{"id": "%s", "amount": %s}' % (ID.encode(), b"9" * 5_000)),
    "Latin-1": http('{"id": "Malmö"}'.encode("latin-1")),
    "cut JSON": http(b'{"id": "%s", "accountId": "a1", "amount": 1' % ID.encode()),
}
"""Whole answers under 200 that are not the far side's: trouble."""

REDIRECTS = {str(status): http(b"", status, location="http://198.51.100.1/") for status in (301, 302, 303, 307, 308)}


@asynccontextmanager
async def zuora(answer: bytes | Send = b"", **session: Any) -> AsyncIterator[tuple[ZuoraClient, HostileServer]]:
    async with hostile_server(answer) as server:
        tokens = TokenSource(f"{server.url}/oauth/token", "id", SecretStr("planted-secret"), name="Zuora")
        async with HttpSession(server.url, tokens, name="Zuora", **session) as http_session:
            yield ZuoraClient(http_session, give_up_after_seconds=0.001, back_off=BackOff(0.001, 0.001)), server


@asynccontextmanager
async def ifs(answer: bytes | Send = b"", **more: Any) -> AsyncIterator[tuple[IfsClient, HostileServer]]:
    async with hostile_server(answer) as server:
        of_server = IfsSettings(
            base_url=server.url, realm="r", client_id="id", client_secret=SecretStr("planted-secret"), **more
        )
        async with connected(of_server, token_source(of_server), RateBudget(100_000)) as service:
            yield IfsClient(service, of_server), server


async def posted(client: IfsClient) -> Created:
    """Send a voucher, and return what the poster is told of it."""
    async with client.posting.prepared(command(), ROWS_BOTH, SAME_CURRENCY, '"tag"') as send:
        await client.service.admit()
        return await send()


ROWS_BOTH = tuple(row.model_copy(update={"company_debit": row.debit, "company_credit": row.credit}) for row in ROWS)


# --- what is no answer ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOT_HTTP | NOT_JSON | REDIRECTS)
async def test_what_is_no_answer_of_zuora_is_trouble_and_never_a_document(name: str) -> None:
    async with zuora((NOT_HTTP | NOT_JSON | REDIRECTS)[name]) as (client, _):
        with pytest.raises(TroubleError) as error:
            await client.fetch(DocumentType.INVOICE, ID)

    assert error.value.retriable
    assert "planted" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", NOT_HTTP | NOT_JSON | REDIRECTS)
async def test_what_is_no_answer_of_ifs_is_trouble_and_never_no_rows(name: str) -> None:
    async with ifs((NOT_HTTP | NOT_JSON | REDIRECTS)[name]) as (client, _):
        with pytest.raises(TroubleError) as error:
            await client.where_is("10", "INV1-AAAA")

    assert error.value.retriable
    assert "planted" not in str(error.value)


@pytest.mark.parametrize("name", (NOT_HTTP | NOT_JSON | REDIRECTS).keys() - {"empty"})
async def test_after_a_post_what_is_no_answer_of_ifs_leaves_it_uncertain(name: str) -> None:
    async with ifs((NOT_HTTP | NOT_JSON | REDIRECTS)[name]) as (client, server):
        created = await posted(client)

    assert (created.judgement.verdict, created.number) == (Verdict.UNCERTAIN, None)
    assert len(server.others) == 1


async def test_a_post_that_is_answered_with_nothing_but_200_is_looked_for_and_never_sent_again() -> None:
    async with ifs(NOT_JSON["empty"]) as (client, _):
        created = await posted(client)
    assert (created.judgement.verdict, created.number) == (Verdict.DONE, None)


# --- credentials ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_takes_credentials_to_another_host(status: int) -> None:
    async with hostile_server(http({})) as other:
        answer = http(b"", status, location=f"{other.url}/v1/invoices/x", set_cookie="a=b; Domain=127.0.0.1")
        async with zuora(answer) as (client, server):
            with pytest.raises(TroubleError):
                await client.get("/v1/invoices/x")
            server.token_answer = http(b"", status, location=f"{other.url}/oauth/token")
        async with ifs(answer) as (client_of_ifs, server):
            assert (await posted(client_of_ifs)).judgement.verdict is Verdict.UNCERTAIN
        async with ifs(answer) as (client_of_ifs, server):
            server.token_answer = http(b"", status, location=f"{other.url}/token")
            with pytest.raises(TroubleError):
                await client_of_ifs.where_is("10", "INV1-AAAA")
        assert other.requests == []


@pytest.mark.parametrize(
    "link", ["http://[", "http://evil.example/v1/x", "\ud800", "a\r\nb: c", "//evil.example/x", "é"]
)
async def test_a_next_page_elsewhere_is_asked_at_our_own_address_or_not_at_all(
    link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.systems.ifs.service.MOST_PAGES", 3)  # since this one goes on for ever
    async with ifs(http({"value": [], "@odata.nextLink": link})) as (client, server):
        with pytest.raises(TroubleError):
            await client.service.page("P", "S", "")
    assert all(request.headers["host"] == server.url.removeprefix("http://") for request in server.requests)

    async with zuora(http({**INVOICE, "nextPage": link})) as (reader, server):
        with pytest.raises(FarSideError):
            await reader.fetch(DocumentType.INVOICE, ID)
    assert all(request.headers["host"] == server.url.removeprefix("http://") for request in server.requests)


async def test_cookies_are_never_sent_back() -> None:
    async with zuora(http(INVOICE, set_cookie="session=1; \x01=\x02")) as (client, server):
        await client.get("/v1/a")
        await client.get("/v1/b")
    assert not any("cookie" in request.headers for request in server.requests)


TOKEN_ANSWERS = {
    **NOT_HTTP,
    **NOT_JSON,
    "no token": http({"expires_in": 3600}),
    "a token that is none": http({"access_token": {"a": 1}}),
    "a token with a line break": http({"access_token": "a\r\nX-Evil: 1"}),
    "a token of half a character": http({"access_token": "\ud800"}),
    "a life of 400 digits": http(b'{"access_token": "a", "expires_in": %s}' % (b"9" * 400)),
    "a life below zero": http({"access_token": "a", "expires_in": -1}),
    "a life that is none": http({"access_token": "a", "expires_in": []}),
    "100 kB": http({"access_token": "a" * 100_000}),
}


@pytest.mark.parametrize("name", TOKEN_ANSWERS.keys() - {"a name twice"})
async def test_a_token_endpoint_that_answers_nonsense_is_trouble(name: str) -> None:
    async with zuora(http(INVOICE)) as (client, server):
        server.token_answer = TOKEN_ANSWERS[name]
        with pytest.raises(TroubleError) as error:
            await client.get("/v1/a")
        assert server.others == []
    assert "planted" not in str(error.value)


async def test_a_token_endpoint_that_refuses_in_nonsense_is_told_as_a_refusal() -> None:
    async with zuora() as (client, server):
        for body in (b"\xff" * 10_000, DEEP[:50_000], b'{"error": ["\\ud800"]}', b'{"error": "a\\nb"}'):
            server.token_answer = http(body, 401)
            with pytest.raises(UnauthorizedError, match=r"^Zuora refuses the credentials \(401\): check"):
                await client.get("/v1/a")


# --- bounds -----------------------------------------------------------------------------------------------------------


@contextmanager
def memory_grows_by_less_than(most_bytes: int) -> Iterator[None]:
    process = psutil.Process()
    before = process.memory_info().rss
    yield
    grown = process.memory_info().rss - before
    assert grown < most_bytes, f"{grown / MIB:.0f} MiB"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("length", ["Content-Length: 500000000", "Content-Length: 99999999999999", "X: no length"])
async def test_an_answer_without_end_is_left_once_it_is_over_the_bound(length: str) -> None:
    async with ifs() as (client, server):
        server.answer = server.pour(HEAD + length.encode() + b"\r\n\r\n", b" " * MIB)
        with memory_grows_by_less_than(150 * MIB), pytest.raises(TroubleError, match="more than 33554432 bytes"):
            await client.service.page("P", "S", "")
        assert server.sent_bytes < 64 * MIB
        server.sent_bytes = 0
        with memory_grows_by_less_than(150 * MIB):
            assert (await posted(client)).judgement.verdict is Verdict.UNCERTAIN

    async with zuora(largest_body_bytes=MIB) as (reader, server):
        server.answer = server.pour(HEAD + length.encode() + b"\r\n\r\n", b" " * MIB)
        with pytest.raises(RefusedError, match="more than 1048576 bytes"):
            await reader.get("/v1/a")
        assert server.sent_bytes < 32 * MIB


async def test_a_few_kilobytes_that_unpack_to_many_megabytes_are_left_at_the_bound() -> None:
    answer = gzipped(b"\0" * 40 * MIB)
    assert len(answer) < MIB
    async with ifs(answer) as (client, _):
        with memory_grows_by_less_than(150 * MIB), pytest.raises(TroubleError, match="more than 33554432 bytes"):
            await client.service.page("P", "S", "")
        assert (await posted(client)).judgement.verdict is Verdict.UNCERTAIN
    async with zuora() as (reader, server):
        server.token_answer = answer
        with memory_grows_by_less_than(50 * MIB), pytest.raises(TroubleError, match="more than 65536 bytes"):
            await reader.get("/v1/a")


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def test_an_answer_that_drips_for_ever_is_left_in_time() -> None:
    async with zuora(drip, total_timeout=0.3) as (client, _):
        async with asyncio.timeout(10):
            with pytest.raises(TroubleError, match=r"did not answer within 0\.3 s"):
                await client.get("/v1/a")
            with pytest.raises(UncertainError):
                await client._session.request("POST", "/v1/a", json={}, is_write=True)


@given(st.text(max_size=40) | st.integers().map(str) | st.floats().map(str) | st.datetimes().map(str))
def test_a_wait_that_is_asked_for_is_within_an_hour_or_none(value: str) -> None:
    seconds = retry_after_seconds({"Retry-After": value})
    assert seconds is None or 0 <= seconds <= 3600


@pytest.mark.parametrize(
    "value", ["-1", "1000000000", "9" * 400, "Fri, 31 Dec 99999 23:59:59 GMT", "nan", "1e5", "\u0661"]
)
def test_waits_that_cannot_be_are_within_an_hour_or_none(value: str) -> None:
    seconds = retry_after_seconds({"Retry-After": value})
    assert seconds is None or 0 <= seconds <= 3600


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


async def test_another_document_than_the_one_asked_for_is_trouble() -> None:
    async with zuora(http({**INVOICE, "id": ID[::-1]})) as (client, _):
        with pytest.raises(TroubleError, match="another document"):
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


def test_the_session_of_the_settings_has_these_bounds() -> None:
    session = zuora_session(
        ZuoraSettings(base_url="https://zuora.example", client_id="a", client_secret=SecretStr("b"))
    )
    assert (session._largest_body_bytes, session._total_timeout) == (32 * MIB, 130.0)

"""The webhook over real sockets, with anything in them: one of the answers that are told, no echo, nothing lost."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agents.ingress.app import create_app
from agents.serving import Site, start_site
from schemas.envelope import decode
from schemas.notifications import NotificationReceived
from streams.callouts.bodies import read_fields, unpacked
from streams.callouts.reading import Callout, Unknown, Unreadable, read_callout
from streams.callouts.telling import notification_message
from streams.log.messages import Message
from streams.settings import Settings
from tests.support.ledger import NAMES, NOW

MIB = 1024 * 1024
MOST_BYTES = 262_144
AUTHORIZATION = b"Authorization: Basic dTpw\r\n"  # u:p
PLANTED = b"planted-bytes"
GOOD = b'{"event": "InvoicePosted", "objectId": "8ad0"}'
TOLD = {200, 400, 401, 404, 405, 408, 413, 415, 417, 429, 503}
"""The statuses that a caller may ever see; 500 is none of them."""


class KeepingLog:
    """Takes everything."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send_and_confirm(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        timeout_seconds: float = 10,
    ) -> None:
        assert timeout_seconds > 0
        self.messages.append(Message(topic, key, value, tuple(headers)))

    async def partitions(self, _topic: str) -> int:
        return 12


@asynccontextmanager
async def webhook() -> AsyncIterator[tuple[Site, KeepingLog]]:
    log = KeepingLog()
    wanted = {"basic_username": "u", "basic_password": "p", "max_body_bytes": MOST_BYTES}
    app = create_app(Settings.model_validate({"ingress": wanted}), log)
    site = await start_site(app, "127.0.0.1", 0, auto_decompress=False)
    try:
        yield site, log
    finally:
        await site.stop()


async def answered(site: Site, raw: bytes, *, seconds: float = 20) -> tuple[int, bytes]:
    """Send bytes as they are; return the status and all that came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        async with asyncio.timeout(seconds):
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 100 " in head.split(b"\r\n")[0]:
                head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            body = await reader.readexactly(length)
    finally:
        writer.transport.abort()
    return int(head.split(b" ", 2)[1]), head + body


def posted(body: bytes, *headers: bytes, target: bytes = b"/webhooks/zuora") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST %s HTTP/1.1\r\nHost: x\r\n%s%sContent-Length: %d\r\n\r\n%s" % (
        target, AUTHORIZATION, lines, len(body), body,
    )  # fmt: skip


OPEN = b"POST /webhooks/zuora HTTP/1.1\r\nHost: x\r\n" + AUTHORIZATION

NOT_HTTP: dict[str, bytes] = {
    "garbage": b"\xff\xfe\x00 " + PLANTED + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + PLANTED + b"\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"POST /webhooks/zuora HTTP/9.9\r\n\r\n",
    "an unknown method": PLANTED + b" /webhooks/zuora HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in a header": OPEN + b"X-A: \0" + PLANTED + b"\r\n\r\n",
    "a NUL in the credentials": OPEN + b"Authorization: Basic " + PLANTED + b"\0\r\n\r\n",
    "a header's name with blanks": OPEN + b"X A " + PLANTED + b": b\r\n\r\n",
    "a header without a colon": OPEN + PLANTED + b"\r\n\r\n",
    "a header of 20 kB": OPEN + b"X: " + PLANTED * 1_600 + b"\r\n\r\n",
    "5,000 headers": OPEN + b"X: " + PLANTED + b"\r\n" * 1 + b"X: 1\r\n" * 5_000 + b"\r\n",
    "a query of 20 kB": b"POST /webhooks/zuora?a=" + PLANTED * 1_600 + b" HTTP/1.1\r\n\r\n",
    "a URL that is none": b"POST http://[" + PLANTED + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a port that is none": b"POST http://planted-bytes:99999/webhooks/zuora HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the query": b"POST /webhooks/zuora?x=\xff\xfe" + PLANTED + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": OPEN + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "a length and chunks": OPEN + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a length below zero": OPEN + b"Content-Length: -2\r\n\r\n{}",
    "a length of 30 digits": OPEN + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}",
    "a length that is none": OPEN + b"Content-Length: " + PLANTED + b"\r\n\r\n{}",
    "a coding that is none": OPEN + b"Transfer-Encoding: " + PLANTED + b"\r\n\r\n2\r\n{}\r\n",
    "a chunk that is none": OPEN + b"Transfer-Encoding: chunked\r\n\r\nzz" + PLANTED + b"\r\n{}\r\n",
}
"""What is no request: nobody is authenticated, nothing is parked."""


@pytest.mark.parametrize("name", NOT_HTTP)
async def test_what_is_no_request_is_told_so_and_never_repeated(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with webhook() as (site, log):
        status, answer = await answered(site, NOT_HTTP[name])
        assert (await answered(site, posted(GOOD)))[0] == 200

    assert status in (400, 408)
    assert PLANTED not in answer
    assert b"Traceback" not in answer
    assert PLANTED.decode() not in caplog.text
    assert "Traceback" not in caplog.text
    assert len(log.messages) == 1


BOMB = gzip.compress(b"\0" * 50 * MIB)
NAMES_OF_ALL_KINDS = b"".join(b',"k%d":1' % number for number in range(20_000))
DEEP_XML = b"<a>" * 30_000 + b"</a>" * 30_000

ANSWERED: dict[str, tuple[bytes, int]] = {
    "as documented": (posted(GOOD), 200),
    "a wrong content type": (posted(GOOD, b"Content-Type: application/pdf"), 200),
    "a content type of bytes": (posted(GOOD, b"Content-Type: \xff\xfe; charset=\xff"), 200),
    "a charset by RFC 2231": (posted(GOOD, b"Content-Type: application/json; charset*=idna''%ff%fe"), 200),
    "a charset that is none": (posted(GOOD, b"Content-Type: application/json; charset=planted"), 200),
    "UTF-16": (posted(GOOD.decode().encode("utf-16"), b"Content-Type: application/json; charset=utf-16"), 200),
    "UTF-16 that nobody told of": (posted(GOOD.decode().encode("utf-16")), 400),
    "a byte order mark": (posted(b"\xef\xbb\xbf" + GOOD), 200),
    "a coding that is none": (posted(GOOD, b"Content-Encoding: planted"), 200),
    "gzip": (posted(gzip.compress(GOOD), b"Content-Encoding: gzip"), 200),
    "not gzip": (posted(b"planted-bytes", b"Content-Encoding: gzip"), 400),
    "gzip that goes on": (posted(gzip.compress(GOOD) + GOOD, b"Content-Encoding: gzip"), 400),
    "gzip cut off": (posted(gzip.compress(GOOD)[:-9], b"Content-Encoding: gzip"), 400),
    "50 MB in 50 kB": (posted(BOMB, b"Content-Encoding: gzip"), 413),
    "larger than allowed": (posted(b" " * (MOST_BYTES + 1)), 413),
    "nested 100,000 deep": (posted(b"[" * 100_000), 400),
    "nested 100 deep": (posted(b'{"event": "InvoicePosted", "id": "1", "x": ' + b"[" * 100 + b"]" * 100 + b"}"), 400),
    "NaN": (posted(b'{"event": "InvoicePosted", "id": "8ad0", "x": NaN}'), 400),
    "a number of 1e999999999": (posted(b'{"event": "InvoicePosted", "id": "8ad0", "x": 1e999999999}'), 200),
    "a number of 200,000 digits": (posted(b'{"event": "InvoicePosted", "id": "a", "x": %s}' % (b"9" * 200_000)), 400),
    "an id of 900 digits": (posted(b'{"event": "InvoicePosted", "id": %s}' % (b"9" * 900)), 400),
    "an id of 300 letters": (posted(b'{"event": "InvoicePosted", "id": "%s"}' % (b"a" * 300)), 400),
    "an id with a NUL": (posted(b'{"event": "InvoicePosted", "id": "a\\u0000b"}'), 400),
    "half a character": (posted(b'{"event": "InvoicePosted", "id": "8ad0", "x": "\\ud800"}'), 400),
    "half a character as a name": (posted(b'{"event": "InvoicePosted", "id": "8ad0", "\\ud800": 1}'), 400),
    "20,000 names": (posted(b'{"event": "InvoicePosted", "id": "8ad0"%s}' % NAMES_OF_ALL_KINDS), 200),
    "an entity": (posted(b'<!DOCTYPE a [<!ENTITY b "c">]><callout><parameter name="Id">&b;</parameter>'), 400),
    "an entity of a file": (posted(b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hosts">]><callout>&b;</a>'), 400),
    "XML nested 30,000 deep": (posted(DEEP_XML), 400),
    "XML in an encoding that is none": (posted(b'<?xml version="1.0" encoding="planted"?><callout/>'), 400),
    "XML in UTF-7": (posted(b'<?xml version="1.0" encoding="utf-7"?><callout/>'), 400),
    "2,000 parameters": (posted(b"<callout>" + b'<parameter name="a">1</parameter>' * 2_000 + b"</callout>"), 400),
    "a form of 2,000 fields": (posted(b"a=1&" * 2_000, b"Content-Type: application/x-www-form-urlencoded"), 400),
    "a query of bytes": (posted(b"", target=b"/webhooks/zuora?InvoiceId=8ad0&%ff%fe=%ed%a0%80&x=%00"), 200),
    "nothing at all": (posted(b""), 400),
    "a wrong password": (posted(GOOD).replace(b"dTpw", b"dTpx"), 401),
    "credentials of bytes": (posted(GOOD).replace(b"dTpw", b"\xff\xfe"), 401),
    "a promise that is none": (posted(GOOD, b"Expect: planted"), 417),
    "a switch to websockets": (posted(GOOD, b"Connection: Upgrade", b"Upgrade: websocket"), 200),
    "an id of a delivery in bytes": (posted(GOOD, b"Zuora-Notification-Id: \xff\xfe" + b"a" * 4_000), 200),
    "another path": (posted(GOOD, target=b"/planted-bytes"), 404),
    "another method": (posted(GOOD).replace(b"POST", b"PUT"), 405),
}  # fmt: skip


async def test_every_request_has_the_answer_that_is_told_and_what_cannot_be_read_is_parked_whole() -> None:
    process = psutil.Process()
    async with webhook() as (site, log):
        before = process.memory_info().rss
        for name, (raw, expected) in ANSWERED.items():
            kept = len(log.messages)
            status, answer = await answered(site, raw)
            assert (name, status) == (name, expected)
            assert status in TOLD, name
            assert PLANTED not in answer, name
            assert len(answer) < 1_000, name
            assert len(log.messages) - kept == (1 if expected in (200, 400) else 0), name
            if expected == 400:
                assert raw.endswith(log.messages[-1].value or b""), name
                assert log.messages[-1].topic == "connector.dead-letter.v1", name
        grown = process.memory_info().rss - before
    assert grown < 100 * MIB, f"{grown / MIB:.0f} MiB"


# --- whatever a body is -----------------------------------------------------------------------------------------------

WORD = st.text(max_size=8) | st.sampled_from(
    ["event", "objectId", "InvoicePosted", "Invoice", "Id", "data", "\ud800", "\0"]
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=8,
)
BODY = (
    st.binary(max_size=300)
    | VALUE.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(WORD, VALUE).map(
        lambda value: json.dumps({"event": "InvoicePosted", "id": "1", **value}).encode()
    )
    | st.tuples(st.text(max_size=50), st.sampled_from(["utf-16", "utf-32", "utf-7", "latin-1"])).map(
        lambda told: told[0].encode(told[1], errors="replace")
    )
    | st.text(max_size=40).map(
        lambda text: f'<callout><parameter name="InvoiceId">{text}</parameter></callout>'.encode()
    )
    | st.binary(max_size=100).map(gzip.compress)
)
HEADERS = st.fixed_dictionaries(
    {
        "Content-Type": st.text(max_size=40) | st.sampled_from(["application/json; charset*=utf-8''%ff", "text/xml"]),
        "Content-Encoding": st.sampled_from(["", "gzip", "deflate", "br", "GZIP ", "gzip, gzip"]),
        "Zuora-Notification-Id": st.text(max_size=20),
    }
)
QUERY = st.dictionaries(WORD, WORD, max_size=4)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BODY, HEADERS, QUERY)
@example(b'{"InvoiceId": "8ad0", "x": ' + b"[" * 40 + b"]" * 40 + b"}", {}, {})
def test_any_body_is_read_or_told_to_be_unreadable_and_any_event_can_be_written(
    body: bytes, headers: dict[str, str], query: dict[str, str]
) -> None:
    plain = unpacked(body, headers.get("Content-Encoding", ""), MOST_BYTES)
    callout = read_callout(plain, headers.get("Content-Type", ""), query, headers)

    assert isinstance(callout, Callout | Unknown | Unreadable)
    if isinstance(callout, Callout):
        message = notification_message(NAMES, callout, delivery="d", received_at=NOW, traceparent="t")
        event = decode(NotificationReceived, message.value)
        assert (event.object_id, event.fields) == (callout.object_id, callout.fields)
        assert len(message.value or b"") < MIB


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(BODY, HEADERS, QUERY), min_size=3, max_size=3))
def test_no_body_has_an_answer_but_those_that_are_told(
    requests: list[tuple[bytes, dict[str, str], dict[str, str]]],
) -> None:
    async def send() -> None:
        async with webhook() as (site, log):
            for number, (body, headers, _) in enumerate(requests, 1):
                sent = [
                    f"{name}: {value}".encode("utf-8", "replace")
                    for name, value in headers.items()
                    if value.isprintable()
                ]
                status, _ = await answered(site, posted(body, *sent))
                assert status in (200, 400, 413)
                assert len(log.messages) == number

    asyncio.run(send())


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "utf-32", "iso-8859-1", "windows-1252"])
def test_a_body_in_a_charset_that_is_told_is_read(charset: str) -> None:
    body = '{"InvoiceId": "8ad0", "name": "Malmö"}'.encode(charset)
    assert read_fields(body, f"application/json; charset={charset}") == {"InvoiceId": "8ad0", "name": "Malmö"}


async def test_a_caller_who_drips_his_body_is_told_so_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.ingress.app.BODY_SECONDS", 0.2)
    async with webhook() as (site, log):
        status, answer = await answered(site, OPEN + b"Content-Length: 100\r\n\r\n{")
    assert status == 408
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["success"] is False
    assert log.messages == []


async def test_chunks_without_end_are_left_at_the_bound() -> None:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    async with webhook() as (site, log):
        status, _ = await answered(site, OPEN + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 10)
    assert (status, log.messages) == (413, [])

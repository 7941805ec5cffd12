"""Clients of Zuora and IFS Cloud before a server that answers with anything, and what is no answer at all."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from streams.accounting.conversion import SAME_CURRENCY
from streams.settings import IfsSettings
from streams.systems.budget import RateBudget
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.posting import Created
from streams.systems.ifs.service import connected, token_source
from streams.systems.retry import BackOff
from streams.systems.session import HttpSession
from streams.systems.tokens import TokenSource
from streams.systems.zuora.client import ZuoraClient
from tests.support.hostile_server import HostileServer, Send, hostile_server, http
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

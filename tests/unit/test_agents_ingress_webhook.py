"""The webhook over real HTTP, with a log in memory: who is answered what, and what is then in the log."""

import asyncio
import gzip
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from agents.ingress import app as ingress_app
from agents.ingress.app import create_app
from agents.serving import Site, start_site
from schemas.envelope import decode, event_id
from schemas.errors import LogError, LogUnavailableError
from schemas.notifications import NotificationReceived
from streams.log.messages import Message
from streams.log.producer import RecordTooLargeError
from streams.settings import Settings

JSON = {"Content-Type": "application/json; charset=utf-8"}
BASIC = {"basic_username": "zuora", "basic_password": "secret"}
AUTH = aiohttp.encode_basic_auth("zuora", "secret")
NOTIFICATION = "test-zuora.notification.v1"
DEAD_LETTER = "test-connector.dead-letter.v1"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class LogInMemory:
    """Keeps what it is sent, unless it is told to fail."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.failure: Exception | None = None
        self.topics_are_there = True
        self.may_confirm = asyncio.Event()
        self.may_confirm.set()

    async def send_and_confirm(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        timeout_seconds: float = 10,
    ) -> None:
        assert timeout_seconds == 10
        await self.may_confirm.wait()
        if self.failure:
            raise self.failure
        self.messages.append(Message(topic, key, value, tuple(headers)))

    async def partitions(self, _topic: str) -> int:
        if self.failure:
            raise self.failure
        return 12 if self.topics_are_there else 0


class Ingress:
    """A running ingress, and the log behind it."""

    def __init__(self, site: Site, log: LogInMemory, session: aiohttp.ClientSession) -> None:
        self.site = site
        self.log = log
        self.session = session

    async def post(
        self, body: object, headers: dict[str, str] | None = None, path: str = "/webhooks/zuora"
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(self.site.url + path, data=raw, headers={**JSON, **(headers or {})}) as answer:
            return answer.status, await answer.json(), dict(answer.headers)


@asynccontextmanager
async def running(**ingress: Any) -> AsyncIterator[Ingress]:
    log = LogInMemory()
    settings = Settings.model_validate({"ingress": ingress, "kafka": {"topic_prefix": "test-"}})
    site = await start_site(create_app(settings, log), "127.0.0.1", 0, auto_decompress=False)
    async with aiohttp.ClientSession() as session:
        yield Ingress(site, log, session)
    await site.stop()


@pytest.fixture
async def ingress() -> AsyncIterator[Ingress]:
    async with running(allow_anonymous=True) as anonymous:
        yield anonymous


def headers_of(message: Message) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers}


INVOICE = {"event": "InvoicePosted", "objectId": "8ad0", "accountId": "8ad1", "ownKey": "kept"}


async def test_a_callout_is_in_the_log_when_it_is_answered_200(ingress: Ingress) -> None:
    status, answer, _ = await ingress.post(INVOICE, {"Zuora-Notification-Id": "n1", "traceparent": TRACE})

    assert (status, answer) == (200, {"success": True, "eventId": event_id("zuora-notification", "n1")})
    [message] = ingress.log.messages
    event = decode(NotificationReceived, message.value)
    headers = headers_of(message)
    assert (message.topic, message.key) == (NOTIFICATION, b"8ad0")
    assert (event.document_type, event.object_id, event.account_id) == ("Invoice", "8ad0", "8ad1")
    assert (event.event, event.notification_id, event.origin) == ("InvoicePosted", "n1", "webhook")
    assert event.fields == INVOICE
    assert headers["ce_id"] == answer["eventId"]
    assert (headers["ce_type"], headers["ce_subject"]) == ("NotificationReceived", "Invoice:8ad0")
    assert (headers["ce_source"], headers["traceparent"]) == ("/zuora-ifs/ingress", TRACE)


async def test_the_answer_waits_for_the_confirmation(ingress: Ingress) -> None:
    ingress.log.may_confirm.clear()
    asking = asyncio.create_task(ingress.post(INVOICE))
    _, pending = await asyncio.wait({asking}, timeout=0.2)
    assert pending
    ingress.log.may_confirm.set()
    assert (await asking)[0] == 200


async def test_a_repeated_notification_has_one_id_and_others_have_their_own(ingress: Ingress) -> None:
    ids = [
        (await ingress.post(INVOICE, headers))[1]["eventId"]
        for headers in (
            {"Zuora-Notification-Id": "n1"},
            {"Zuora-Notification-Id": "n1"},
            {"Zuora-Notification-Id": "n2"},
            {},
            {},
        )
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
    assert len(ingress.log.messages) == 5


@pytest.mark.parametrize(
    "given", ["", "nonsense", TRACE.upper(), TRACE + "-x", "ff" + TRACE[2:], f"00-{'0' * 32}-b7ad6b7169203331-01"]
)
async def test_an_invalid_trace_is_made_new(ingress: Ingress, given: str) -> None:
    await ingress.post(INVOICE, {"traceparent": given})
    made = headers_of(ingress.log.messages[0])["traceparent"]
    assert made != given
    assert len(made) == len(TRACE)


async def test_query_parameters_are_read_and_their_secrets_dropped(ingress: Ingress) -> None:
    status, _, _ = await ingress.post(b"", path="/webhooks/zuora?InvoiceId=8ad0&apiToken=hunter2&region=EU")
    assert status == 200
    assert decode(NotificationReceived, ingress.log.messages[0].value).fields == {"InvoiceId": "8ad0", "region": "EU"}


# --- what is not taken ------------------------------------------------------------------------------------------------


async def test_what_cannot_be_read_is_400_once_its_bytes_are_in_the_dead_letters(ingress: Ingress) -> None:
    status, answer, _ = await ingress.post(b"\xff\x00 not json", {"Zuora-Notification-Id": "n1"})

    assert (status, answer["success"]) == (400, False)
    [message] = ingress.log.messages
    headers = headers_of(message)
    assert (message.topic, message.key, message.value) == (DEAD_LETTER, None, b"\xff\x00 not json")
    assert (headers["dlq.topic"], headers["dlq.partition"], headers["dlq.offset"]) == (NOTIFICATION, "-1", "-1")
    assert headers["dlq.reason"].startswith("not utf-8")
    assert headers["content-type"] == JSON["Content-Type"]
    assert headers["zuora-notification-id"] == "n1"


async def test_an_unknown_type_is_200_and_a_dead_letter(ingress: Ingress) -> None:
    body = {"event": "SubscriptionCreated", "objectId": "8ad0"}
    status, answer, _ = await ingress.post(body, path="/webhooks/zuora?apiToken=hunter2&region=EU")

    [message] = ingress.log.messages
    headers = headers_of(message)
    assert (status, answer) == (200, {"success": True, "eventId": headers["ce_id"]})
    assert (message.topic, message.key) == (DEAD_LETTER, b"8ad0")
    assert json.loads(message.value or b"") == body
    assert json.loads(headers["http.query"]) == {"region": "EU"}


@pytest.mark.parametrize("body", [INVOICE, b"not json", {"event": "Unknown", "objectId": "1"}], ids=str)
@pytest.mark.parametrize(
    "failure", [LogUnavailableError("no broker"), LogError("not running"), RuntimeError("a fault")], ids=repr
)
async def test_what_kafka_does_not_take_is_503_with_retry_after(
    ingress: Ingress, body: object, failure: Exception
) -> None:
    ingress.log.failure = failure
    status, answer, headers = await ingress.post(body)
    assert (status, headers["Retry-After"]) == (503, "30")
    assert "fault" not in json.dumps(answer)
    ingress.log.failure = None
    assert (await ingress.post(body))[0] in (200, 400)


async def test_a_record_that_no_topic_takes_is_413(ingress: Ingress) -> None:
    ingress.log.failure = RecordTooLargeError("too large for its topic")
    assert (await ingress.post(b"not json"))[0] == 413


async def in_chunks(body: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


BODIES: dict[str, tuple[Callable[[], Any], dict[str, str], int]] = {
    "as large as allowed": (lambda: padded(2048), {}, 200),
    "one byte more": (lambda: padded(2049), {}, 413),
    "chunked, as large as allowed": (lambda: in_chunks(padded(2048)), {}, 200),
    "chunked, one byte more": (lambda: in_chunks(padded(2049)), {}, 413),
    "chunked, endless": (lambda: in_chunks(padded(5_000_000), 50_000), {}, 413),
    "compressed": (lambda: gzip.compress(padded(2048)), {"Content-Encoding": "gzip"}, 200),
    "a bomb": (lambda: gzip.compress(padded(1_000_000)), {"Content-Encoding": "gzip"}, 413),
    "not compressed as it says": (lambda: padded(100), {"Content-Encoding": "gzip"}, 200),
    "compressed in a way that we cannot unpack": (lambda: b"\x8b\x02\x80", {"Content-Encoding": "br"}, 400),
    "compressed and cut off": (lambda: gzip.compress(padded(2048))[:-9], {"Content-Encoding": "gzip"}, 400),
}


def padded(size: int) -> bytes:
    return json.dumps(INVOICE).encode().ljust(size)


@pytest.mark.parametrize("name", BODIES)
async def test_bodies_are_bounded(name: str) -> None:
    make, headers, status = BODIES[name]
    async with running(allow_anonymous=True, max_body_bytes=2048) as ingress:
        url = ingress.site.url + "/webhooks/zuora"
        async with ingress.session.post(url, data=make(), headers=JSON | headers) as answer:
            assert answer.status == status
        assert len(ingress.log.messages) == (status in (200, 400))
        if status == 400:
            assert ingress.log.messages[0].value == make()


async def raw(
    site: Site, request: bytes, then: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(request)
    if then:
        await then(writer)
    answer = await asyncio.wait_for(reader.read(65_536), 10)
    writer.close()
    return answer


HEAD = b"POST /webhooks/zuora HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def test_a_slow_sender_is_told_to_come_again(ingress: Ingress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress_app, "BODY_SECONDS", 0.1)
    answer = await raw(ingress.site, HEAD + b'Content-Length: 100\r\n\r\n{"InvoiceId"')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert ingress.log.messages == []


async def test_a_broken_chunk_is_told_to_come_again(ingress: Ingress) -> None:
    answer = await raw(ingress.site, HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nnonsense\r\n")
    assert answer.split()[1] in (b"400", b"408")
    assert ingress.log.messages == []


async def test_a_sender_that_goes_away_leaves_nothing_behind(ingress: Ingress) -> None:
    async def go_away(writer: asyncio.StreamWriter) -> None:
        await writer.drain()
        writer.write_eof()

    await raw(ingress.site, HEAD + b'Content-Length: 100\r\n\r\n{"InvoiceId"', go_away)
    assert (await ingress.post(INVOICE))[0] == 200
    assert len(ingress.log.messages) == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["no HTTP", "header too long", "path too long"],
)
async def test_malformed_requests_are_400_without_a_traceback(ingress: Ingress, request_bytes: bytes) -> None:
    answer = await raw(ingress.site, request_bytes)
    assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert b"Traceback" not in answer


async def test_more_at_once_than_there_is_room_for_is_503(ingress: Ingress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress_app, "MOST_IN_FLIGHT", 2)
    ingress.log.may_confirm.clear()
    asking = [asyncio.create_task(ingress.post(INVOICE)) for _ in range(5)]
    done, _ = await asyncio.wait(asking, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    assert {task.result()[0] for task in done} == {503}
    ingress.log.may_confirm.set()
    assert sorted([(await task)[0] for task in asking]) == [200, 200, 503, 503, 503]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_other_methods_are_405(ingress: Ingress, method: str) -> None:
    async with ingress.session.request(method, ingress.site.url + "/webhooks/zuora") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/webhooks", "/webhooks/zuora/x", "/webhooks/other"])
async def test_other_paths_are_404(ingress: Ingress, path: str) -> None:
    status, answer, _ = await ingress.post(INVOICE, path=path)
    assert (status, answer) == (404, {"success": False, "error": "Not Found"})


# --- who is let in ----------------------------------------------------------------------------------------------------


async def test_zuora_is_challenged_and_let_in_with_credentials() -> None:
    async with running(**BASIC) as ingress:
        first, _, headers = await ingress.post(INVOICE)
        second, _, _ = await ingress.post(INVOICE, {"Authorization": AUTH})
        assert (first, headers["WWW-Authenticate"], second) == (401, 'Basic realm="zuora-ifs"', 200)
        assert len(ingress.log.messages) == 1


@pytest.mark.parametrize("body", [INVOICE, b"not json", b"x" * 300_000], ids=["good", "unreadable", "too large"])
async def test_who_is_not_authenticated_writes_nothing_not_even_a_dead_letter(body: object) -> None:
    async with running(**BASIC) as ingress:
        with capture_logs() as logs:
            status, answer, _ = await ingress.post(body, {"Authorization": "Basic aHVudGVyMjpodW50ZXIy"})
        assert (status, answer) == (401, {"success": False, "error": "not authenticated"})
        assert ingress.log.messages == []
        assert "hunter2" not in str(logs)
        assert "aHVudGVyMjpodW50ZXIy" not in str(logs)


async def test_a_signature_covers_the_bytes_as_they_were_sent() -> None:
    for body, headers in ((padded(100), {}), (gzip.compress(padded(100)), {"Content-Encoding": "gzip"})):
        signature = hmac.digest(b"s", body, "sha256").hex()
        async with running(hmac_secret="s") as ingress:
            good = await ingress.post(body, {**headers, "X-Zuora-Signature": signature})
            bad = await ingress.post(body, {**headers, "X-Zuora-Signature": "00" + signature[2:]})
            none = await ingress.post(body, headers)
            assert [good[0], bad[0], none[0]] == [200, 401, 401]
            assert none[2]["WWW-Authenticate"] == 'HMAC realm="zuora-ifs"'
            assert len(ingress.log.messages) == 1


# --- probes -----------------------------------------------------------------------------------------------------------


async def test_it_is_ready_only_while_kafka_and_its_topics_are_there(ingress: Ingress) -> None:
    async def get(path: str) -> tuple[int, str]:
        async with ingress.session.get(ingress.site.url + path) as answer:
            return answer.status, await answer.text()

    assert (await get("/readyz"))[0] == 200
    ingress.log.topics_are_there = False
    status, text = await get("/readyz")
    assert (status, NOTIFICATION in text, DEAD_LETTER in text) == (503, True, True)
    ingress.log.failure = LogUnavailableError("Kafka is not connected yet")
    assert await get("/readyz") == (503, '{"status": "not ready", "reasons": ["Kafka is not connected yet"]}')
    assert (await get("/healthz"))[0] == 200


async def test_metrics_count_callouts_by_answer_and_type(ingress: Ingress) -> None:
    async def count(answer: str, kind: str) -> float:
        async with ingress.session.get(ingress.site.url + "/metrics") as response:
            text = await response.text()
        name = f'zuora_ifs_ingress_callouts_total{{answer="{answer}",type="{kind}"}} '
        return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))

    before = await count("200", "Invoice"), await count("400", "unreadable")
    await ingress.post(INVOICE)
    await ingress.post(b"not json")
    assert (await count("200", "Invoice"), await count("400", "unreadable")) == (before[0] + 1, before[1] + 1)


@pytest.fixture(autouse=True)
def quiet_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "aiohttp.server")

"""The webhook: authenticate, read, append, and only then answer 200.

Zuora retries 403, 408, 429 and 5xx, nothing else. So what may come right later is answered with one of these; what
never will is answered otherwise only once its bytes are in the dead letters.
"""

import asyncio
import json
import uuid

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from agents.ingress.answers import Answer, come_again, refusal
from agents.ingress.connection import Log, LogConnection
from agents.ingress.door import Door
from agents.ingress.metrics import CALLOUTS, IN_FLIGHT, REFUSED, SECONDS
from agents.ingress.tracing import trace_of
from agents.serving import add_probes, run, start_site, stop_signal
from agents.tls import server_tls
from schemas.base import utc_now
from schemas.envelope import event_id
from schemas.errors import LogError
from schemas.topics import DEAD_LETTER, NOTIFICATION, TopicNames
from streams.callouts.bodies import BodyTooLargeError, unpacked
from streams.callouts.reading import NOTIFICATION_ID_HEADER, Callout, Unknown, Unreadable, read_callout
from streams.callouts.telling import PROCESS, notification_message
from streams.callouts.vocabulary import without_credentials
from streams.log.connection import connection_options
from streams.log.messages import Message, NeverInATopic, dead_letter
from streams.log.producer import RecordTooLargeError
from streams.settings import Settings

log = structlog.get_logger(__name__)

PATH = "/webhooks/zuora"

BODY_SECONDS = 10.0
CONFIRM_SECONDS = 10.0
"""Both together stay below the 25 s that Zuora waits."""

MOST_IN_FLIGHT = 1000
"""Callouts at once: with bodies of 256 KiB at most 256 MiB. Beyond, 503: Zuora comes again."""


class Webhook:
    """Answers Zuora's callouts."""

    def __init__(self, settings: Settings, log_: Log) -> None:
        self._door = Door(settings.ingress)
        self._most_bytes = settings.ingress.max_body_bytes
        self._names = TopicNames(settings.kafka.topic_prefix, settings.app_id)
        self._log = log_
        self._in_flight = 0

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one callout; whatever happens inside, the caller is never told more than a status and a reason."""
        self._in_flight += 1
        IN_FLIGHT.set(self._in_flight)
        try:
            with SECONDS.time():
                answer = await self._answer(request)
        except Exception:
            log.exception("a callout met a fault of this program")
            answer = come_again("something went wrong here; send it again")
        finally:
            self._in_flight -= 1
            IN_FLIGHT.set(self._in_flight)
        CALLOUTS.labels(str(answer.status), answer.counted_as).inc()
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)

    async def why_not_ready(self) -> list[str]:
        """Return a sentence for everything that keeps callouts from being taken."""
        reasons = []
        for topic in (self._names.public(NOTIFICATION), self._names.public(DEAD_LETTER)):
            try:
                if not await self._log.partitions(topic):
                    reasons.append(f"topic {topic} does not exist: zuora-ifs topics apply creates it")
            except LogError as error:
                return [str(error)]
        return reasons

    async def _answer(self, request: web.Request) -> Answer:
        if self._in_flight > MOST_IN_FLIGHT:
            return self._refused(request, come_again("too many callouts at once"))
        if refused := await self._door.refuses_caller(request):
            return refused
        body = await self._body(request)
        if isinstance(body, Answer):
            return body
        if refused := await self._door.refuses_body(request, body):
            return refused
        try:
            plain = unpacked(body, request.headers.get("Content-Encoding", ""), self._most_bytes)
        except BodyTooLargeError:
            return self._too_large(request)
        callout = read_callout(plain, request.headers.get("Content-Type", ""), request.query, request.headers)
        return await self._append(callout, body, request)

    def _refused(self, request: web.Request, answer: Answer) -> Answer:
        log.warning("a callout was refused", source=self._door.source(request), reason=answer.body["error"])
        REFUSED.labels(str(answer.body["error"])).inc()
        return answer

    async def _body(self, request: web.Request) -> bytes | Answer:
        """Return the body as it was sent, or why it is not taken."""
        if (request.content_length or 0) > self._most_bytes:
            return self._too_large(request)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._too_large(request)
        except TimeoutError:
            reason = f"the body did not arrive within {BODY_SECONDS:g} s"
            return self._refused(request, refusal(408, reason, Connection="close"))
        except (web.RequestPayloadError, ConnectionError):
            # 408 and not 400: its bytes are not here, so it must come again.
            return self._refused(request, refusal(408, "the body did not arrive whole", Connection="close"))

    def _too_large(self, request: web.Request) -> Answer:
        return self._refused(request, refusal(413, f"larger than {self._most_bytes} bytes"))

    async def _append(self, callout: Callout | Unknown | Unreadable, body: bytes, request: web.Request) -> Answer:
        delivery = _event_id(request)
        if isinstance(callout, Callout):
            counted_as = callout.document_type.value
            trace = trace_of(request.headers)
            message = notification_message(
                self._names, callout, delivery=delivery, received_at=utc_now(), traceparent=trace
            )
        else:
            message, counted_as = self._dead_letter(callout, delivery, body, request), type(callout).__name__.lower()
            log.warning("a callout went to the dead letters", reason=callout.reason, event_id=delivery)
        try:
            await self._log.send_and_confirm(
                message.topic,
                key=message.key,
                value=message.value,
                headers=message.headers,
                timeout_seconds=CONFIRM_SECONDS,
            )
        except RecordTooLargeError as error:
            log.warning("a callout is larger than its topic takes", reason=str(error), event_id=delivery)
            return refusal(413, str(error), counted_as)
        except LogError as error:
            log.warning("a callout was not taken", reason=str(error), event_id=delivery)
            return come_again("Kafka does not take it at present", counted_as)
        if isinstance(callout, Unreadable):
            return refusal(400, callout.reason, counted_as)
        return Answer(200, {"success": True, "eventId": delivery}, {}, counted_as)

    def _dead_letter(self, callout: Unknown | Unreadable, delivery: str, body: bytes, request: web.Request) -> Message:
        object_id = callout.object_id if isinstance(callout, Unknown) else None
        told = {
            "ce_id": delivery,
            "content-type": request.headers.get("Content-Type", ""),
            "content-encoding": request.headers.get("Content-Encoding", ""),
            "http.query": json.dumps(without_credentials(dict(request.query))),
            "zuora-notification-id": request.headers.get(NOTIFICATION_ID_HEADER, ""),
        }
        origin = NeverInATopic(
            self._names.public(NOTIFICATION),
            key=object_id.encode() if object_id else None,
            value=body,
            headers={name: text.encode(errors="replace") for name, text in told.items()},
        )
        return dead_letter(self._names.public(DEAD_LETTER), origin, callout.reason)


def _event_id(request: web.Request) -> str:
    """The same for every delivery of one notification; without Zuora's header each delivery is new."""
    notification_id = request.headers.get(NOTIFICATION_ID_HEADER, "").strip().encode(errors="replace").decode()
    return event_id("zuora-notification", notification_id) if notification_id else uuid.uuid4().hex


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Other paths and methods, in the same words as the webhook's own refusals."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return web.json_response({"success": False, "error": error.reason}, status=error.status, headers=headers)


def create_app(settings: Settings, log_: Log) -> web.Application:
    """Return the application; it must be served without `auto_decompress`, since signatures cover the bytes as sent.

    Raises:
        SettingsError: the authentication is not set, or unsafe.

    """
    webhook = Webhook(settings, log_)
    app = web.Application(client_max_size=settings.ingress.max_body_bytes, middlewares=[_errors_as_json])
    app.router.add_post(PATH, webhook.handle)
    add_probes(app, webhook.why_not_ready)
    return app


def run_ingress(settings: Settings) -> None:
    """Run the process until it is asked to stop (SIGTERM, SIGINT); Kafka need not be there when it starts.

    Raises:
        SettingsError: a setting is missing or wrong, or the port is taken.

    """
    run(_serve(settings))


async def _serve(settings: Settings) -> None:
    connection_options(settings.kafka)  # an unusable certificate or a missing server list is told at once
    async with LogConnection(settings.kafka, client_id=f"{settings.app_id}-{PROCESS}") as connection:
        app = create_app(settings, connection)
        tls = server_tls(settings.ingress, "ZIFS_INGRESS__")
        site = await start_site(app, settings.ingress.host, settings.ingress.port, auto_decompress=False, tls=tls)
        asked = asyncio.create_task(stop_signal())
        try:
            await asyncio.wait({asked, connection.keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            await site.stop()

"""Sends callouts as Zuora does.

25 s, only 200 is success, retries keep the notification's id, history of every attempt.
"""

import asyncio
import base64
import hashlib
import hmac
import random
import secrets
from collections import Counter
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import aiohttp

from deploy.sandbox.exact import Json, dumps
from deploy.sandbox.zuora.settings import ZuoraSettings
from deploy.sandbox.zuora.store import Record, Store, wire_time

#: What is announced -> (name in the callout, category code). What is missing here has no standard event in Zuora.
STANDARD_EVENTS = {
    "InvoicePosted": ("InvoicePosted", "1110"),
    "PaymentProcessed": ("PaymentProcessed", "2120"),
    "ExternalPaymentProcessed": ("PaymentProcessed", "2120"),
    "PaymentRefundProcessed": ("PaymentRefundProcessed", "2410"),
    "ExternalPaymentRefundProcessed": ("PaymentRefundProcessed", "2410"),
    "CreditMemoRefundProcessed": ("CreditMemoRefundProcessed", "2430"),
    "CreditMemoPosted": ("CreditMemoPosted", "2720"),
    "DebitMemoPosted": ("DebitMemoPosted", "2820"),
}
#: Status codes after which Zuora tries again; 1xx, 5xx and transport errors likewise.
_RETRIED = frozenset({403, 408, 429})
_STORED_RESPONSE_BYTES = 60 * 1024


@dataclass(frozen=True)
class Notification:
    """One event on its way to the receiver."""

    notification_id: str
    event: str
    category: str
    record: Record
    body: bytes
    content_type: str


class Callouts:
    """The sender. `settings` may be changed while it runs."""

    def __init__(self, settings: ZuoraSettings, store: Store) -> None:
        self.settings = settings
        self.history: list[Json] = []
        self.counts: Counter[str] = Counter()
        #: Events that are announced by a custom event definition beside the standard ones.
        self.custom_events: set[str] = set()
        self.paused = False
        self._store = store
        self._random = random.Random(settings.seed)  # noqa: S311 - chance for tests, not secrecy
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._under_way = asyncio.Semaphore(settings.callout_concurrency)

    async def start(self) -> None:
        """Open the session; no cookies, no redirects, as Zuora."""
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def stop(self) -> None:
        """Drop what is still to be sent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def hear(self, record: Record, event: str) -> None:
        """Listen to the store: send a callout where a notification is defined for the event."""
        if event in STANDARD_EVENTS:
            self.notify(record, *STANDARD_EVENTS[event])
        elif event in self.custom_events:
            self.notify(record, event, f"user.notification:{event}")

    def notify(self, record: Record, event: str, category: str) -> None:
        """Put one notification on its way, once, twice or never as the settings have it."""
        if not self.settings.callout_url or self.paused:
            self.counts["suppressed"] += 1
            return
        if self._random.random() < self.settings.callout_drops:
            self.counts["dropped"] += 1
            return
        body, content_type = self._body(record, event)
        note = Notification(secrets.token_hex(16), event, category, record, body, content_type)
        self._launch(note)
        if self._random.random() < self.settings.callout_duplicates:
            self.counts["duplicated"] += 1
            self._launch(note)

    def pending(self) -> int:
        """Notifications under way or waiting for their next attempt."""
        return len(self._tasks)

    def report(self) -> Json:
        """The counters, as `/_sandbox/callouts` gives them."""
        names = (
            "notifications",
            "attempts",
            "acknowledged",
            "failedAttempts",
            "givenUp",
            "duplicated",
            "dropped",
            "suppressed",
            "challenged",
        )
        return {**{name: self.counts[name] for name in names}, "pending": self.pending()}

    def _launch(self, note: Notification) -> None:
        self.counts["notifications"] += 1
        delay = self._random.random() * self.settings.callout_shuffle_seconds
        task = asyncio.get_running_loop().create_task(self._deliver(note, delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, note: Notification, delay: float) -> None:
        await asyncio.sleep(delay)
        for attempt in range(1, self.settings.callout_attempts + 1):
            async with self._under_way:
                code, content = await self._attempt(note)
            self._remember(note, attempt, code, content)
            if code == 200:
                self.counts["acknowledged"] += 1
                return
            self.counts["failedAttempts"] += 1
            if 200 <= code < 500 and code not in _RETRIED:
                break
            if attempt < self.settings.callout_attempts:
                await asyncio.sleep(self.settings.callout_retry_seconds)
        self.counts["givenUp"] += 1

    async def _attempt(self, note: Notification) -> tuple[int, str]:
        """One attempt: without credentials first unless preemptive, with them after a challenge.

        Negative code: no answer.
        """
        headers = {
            "Content-Type": note.content_type,
            "Zuora-Request-Id": secrets.token_hex(16),
            "Zuora-Notification-Id": note.notification_id,
            "X-Amzn-Trace-Id": f"Root=1-{secrets.token_hex(4)}-{secrets.token_hex(12)}",
            **self._signature(note.body),
        }
        self.counts["attempts"] += 1
        try:
            async with asyncio.timeout(self.settings.callout_timeout_seconds):
                if self.settings.callout_username and self.settings.callout_preemptive:
                    return await self._send(note, headers | self._basic())
                code, content = await self._send(note, headers)
                if code == 401 and content.startswith("challenge:"):
                    self.counts["challenged"] += 1
                    return await self._send(note, headers | self._basic())
                return code, content
        except TimeoutError:
            return -1, "timed out"
        except aiohttp.ClientError as error:
            return -2, f"{type(error).__name__}: {error}"

    async def _send(self, note: Notification, headers: dict[str, str]) -> tuple[int, str]:
        if self._session is None:
            raise RuntimeError("the sender is not started")
        async with self._session.post(
            self.settings.callout_url, data=note.body, headers=headers, allow_redirects=False
        ) as response:
            content = (await response.content.read(_STORED_RESPONSE_BYTES)).decode(errors="replace")
            challenge = response.headers.get("WWW-Authenticate", "")
            if (
                response.status == 401
                and self.settings.callout_username
                and "Authorization" not in headers
                and challenge.lower().startswith("basic")
            ):
                return 401, f"challenge:{challenge}"
            return response.status, content

    def _basic(self) -> dict[str, str]:
        username, password = self.settings.callout_username, self.settings.callout_password
        return {"Authorization": aiohttp.encode_basic_auth(username, password)}

    def _signature(self, body: bytes) -> dict[str, str]:
        if not self.settings.callout_hmac_secret:
            return {}
        digest = hmac.new(
            self.settings.callout_hmac_secret.encode(), body, getattr(hashlib, self.settings.callout_hmac_algorithm)
        ).digest()
        text = digest.hex() if self.settings.callout_hmac_encoding == "hex" else base64.b64encode(digest).decode()
        return {self.settings.callout_hmac_header: self.settings.callout_hmac_prefix + text}

    def _body(self, record: Record, event: str) -> tuple[bytes, str]:
        key = record.number if self.settings.callout_identifiers == "numbers" else record.key
        if self.settings.callout_body == "xml":
            name = quoteattr(f"{record.kind}Id")
            parameter = f"<parameter name={name}>{escape(key)}</parameter>"
            text = f'<?xml version="1.0" encoding="UTF-8"?><callout>{parameter}</callout>'
            return text.encode(), "application/xml; charset=utf-8"
        if self.settings.callout_body == "params":
            return dumps({f"{record.kind}Id": key, "EventCategory": event}), "application/json; charset=utf-8"
        account = self._store.account_of(record)
        fields: dict[str, Any] = {
            "event": event,
            "objectType": record.kind,
            "objectId": key,
            "objectNumber": record.number,
            "accountId": account.key,
            "accountNumber": account.number,
        }
        return dumps(fields), "application/json; charset=utf-8"

    def _remember(self, note: Notification, attempt: int, code: int, content: str) -> None:
        self.history.append(
            {
                "attemptedNum": str(attempt),
                "createTime": wire_time(self._store.now()),
                "eventCategory": note.category,
                "eventContext": {f"{note.record.kind}Id": note.record.key, "ObjectId": note.record.key},
                "notification": note.event,
                "requestMethod": "POST",
                "requestUrl": self.settings.callout_url,
                "responseCode": str(code),
                "responseContent": content,
                "_objectId": note.record.key,
                "_notificationId": note.notification_id,
            }
        )

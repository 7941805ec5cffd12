"""Carries out notifications: fetches the document whole and appends it, once for each state that it has.

The audit trail of a record is written here until its first document is out, and never after: the bookkeeper may then
have written the next step already. So `fetched` is confirmed first, then the table knows that a document may be out,
then the document goes. What was carried out whole is remembered last, so a crash anywhere before does it again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from weakref import WeakValueDictionary

import structlog

from agents.collector.errand import Errand
from agents.collector.metrics import count, fetch_timed
from agents.collector.object_state import ObjectState
from agents.collector.telling import Teller
from agents.runtime import Event, Work, send_message
from schemas.base import DocumentType, Status, utc_now
from schemas.errors import FarSideError, NotFoundError, RefusedError, UnreadableError
from schemas.notifications import DocumentCaptured, FetchLater
from schemas.topics import TopicNames
from streams.log.messages import Message
from streams.log.partitions import check_partition
from streams.log.producer import record_bytes
from streams.privacy.documents import LeftOut, Sealing
from streams.systems.session import TOO_LARGE
from streams.systems.zuora.captured import Account, Fetched, captured
from streams.systems.zuora.errors import AnotherDocumentError, NoSuchObjectError

LARGEST_DOCUMENT_BYTES = 15 * 1024 * 1024
"""As JSON; topics of documents take 16 MiB."""
NOT_FOUND_DELAYS_SECONDS = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0)
"""Between tries of a document that Zuora told of and cannot find yet, or knows in an older state; the last repeats."""
NOT_FOUND_AFTER = timedelta(minutes=10)
"""After the callout; a document that is not there by then, and not at six tries, is not coming."""
GONE_DELAYS_SECONDS = (2.0, 5.0)
"""Between the three times that Zuora has to say itself, in a row, that a document captured before does not exist: a
replica that lags, or an answer of one moment, must not have a standing voucher told of as `gone from Zuora`."""
STAYS_OLDER_AFTER = timedelta(minutes=30)
"""After Zuora showed a state last: until then what gives an older one may be a replica that lags. It is three times
what is waited for a document that is not there, since what is taken here may book. A state that stays older, at six
more tries at least, is taken: Zuora's dates are local time without an offset, and in the hour after the clocks went
back what is newer looks older. No person's word shortens this: nobody can see from outside whether a replica lags."""
LATER_AT_ONCE = 1000
"""Later tries in hand at a time, for the wiring: nearly all of them only wait for their time, and what is handed over
from a number to its id must not queue behind them."""
WORKERS_SHARE = 0.95
"""Of Zuora's limits; the rest is the CLI's and the console's."""

NOT_FOUND = "not found in Zuora"
DOCUMENT_TOO_LARGE = "document too large"

_log = structlog.get_logger("collector")


class Zuora(Protocol):
    """What the collector asks of Zuora; trouble is waited out inside, for as long as the call is not cancelled."""

    async def fetch(self, document_type: DocumentType, key: str) -> Fetched:
        """Return a document whole."""

    async def resolve(self, document_type: DocumentType, key: str) -> str:
        """Return the id of a document given by its number."""

    async def account(self, account_id: str) -> Account:
        """Return what to call an account."""


class Objects(Protocol):
    """The table of what is known of each object, by record id."""

    def get(self, key: str) -> bytes | None:
        """Return an entry, None if there is none."""

    def __setitem__(self, key: str, value: bytes) -> None: ...


def share_of_limits(assigned: Callable[[], int], partitions: int) -> Callable[[], float]:
    """Return a worker's share of Zuora's limits, by how many of all partitions it has just now."""
    return lambda: WORKERS_SHARE * assigned() / partitions


class Collector:
    """Handlers for `zuora.notification.v1` and the fetch-later topic; many run at once, one for each object.

    They raise nothing for bad data or for what Zuora says.
    """

    def __init__(
        self,
        zuora: Zuora,
        names: TopicNames,
        objects: Objects,
        clock: Callable[[], datetime] = utc_now,
        *,
        partitions: int,
        sealing: Sealing | None = None,
        largest_document_bytes: int = LARGEST_DOCUMENT_BYTES,
    ) -> None:
        """Wire the collector; `partitions` is how many its topics have, `sealing` what becomes of personal fields.

        `largest_document_bytes` is what every topic takes that a document or its voucher goes through.
        """
        self._sealing = sealing or LeftOut()
        self._zuora = zuora
        self._tell = Teller(names)
        self._objects = objects
        self._clock = clock
        self._partitions = partitions
        self._largest_document_bytes = largest_document_bytes
        # A notification and a later try of the same object come from two topics, so their order is kept here.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def on_notification(self, event: Event, work: Work) -> None:
        """Carry out a notification, unless it is among the object's last 16."""
        if (errand := self._read(event, work)) is None:
            return
        async with self._lock(errand):
            state = self._state(errand)
            if state.has_seen(errand.cause):
                count(errand.document_type, "repeat")
            else:
                await self._carry_out(errand, state, work)

    async def on_fetch_later(self, event: Event, work: Work) -> None:
        """Carry out a notification once its time has come: not found before, or handed over by another partition."""
        if (errand := self._read(event, work)) is None:
            return
        if errand.not_before:
            await asyncio.sleep(self._seconds_until(errand.not_before))
        async with self._lock(errand):
            await self._carry_out(errand, self._state(errand), work)

    def _read(self, event: Event, work: Work) -> Errand | None:
        try:
            check_partition(event, self._partitions)
            return Errand.read(event)
        except UnreadableError as error:
            send_message(work, self._tell.dead_letter(event, str(error), error))
            count(None, "unreadable")
            return None

    def _lock(self, errand: Errand) -> asyncio.Lock:
        return self._locks.setdefault(errand.record_id, asyncio.Lock())

    def _state(self, errand: Errand) -> ObjectState:
        return ObjectState.read(self._objects.get(errand.record_id))

    def _seconds_until(self, moment: datetime) -> float:
        """Return how long to wait, never longer than a delay can be, whatever the clocks of two machines say."""
        left = (moment - self._clock()).total_seconds()
        return min(max(left, 0.0), NOT_FOUND_DELAYS_SECONDS[-1])

    async def _carry_out(self, errand: Errand, state: ObjectState, work: Work) -> None:
        try:
            if not errand.names_an_id:
                document_id = await self._zuora.resolve(errand.document_type, errand.object_id)
                if document_id != errand.object_id:
                    await self._hand_over(errand, document_id, state, work)
                    return
            state = await self._received(errand, state, work)
            with fetch_timed(errand.document_type):
                fetched = await self._zuora.fetch(errand.document_type, errand.object_id)
        except NotFoundError as error:
            await self._not_found(errand, state, error, work)
        except FarSideError as error:
            too_large = isinstance(error, RefusedError) and error.code == TOO_LARGE
            await self._give_up(errand, state, DOCUMENT_TOO_LARGE if too_large else str(error), work)
        else:
            if state.outdates(fetched) and (later := self._until_it_stays_older(errand, state)):
                send_message(work, self._tell.later(errand, later))
                await self._end(errand, state, work, "older")
            else:
                await self._take(errand, state, fetched, work)

    async def _hand_over(self, errand: Errand, document_id: str, state: ObjectState, work: Work) -> None:
        """Pass a notification that named a number on to the partition of the id, where the object's state lies."""
        send_message(work, self._tell.later(errand, errand.of(errand.document_type, document_id)))
        await self._end(errand, state, work, "handed-over")

    async def _received(self, errand: Errand, state: ObjectState, work: Work) -> ObjectState:
        """Write `received` for a record that begins, or begins anew; at once, since Zuora may be down for hours."""
        if state.captured or state.status is Status.RECEIVED or state.status is Status.FETCHED:
            return state
        message, state = self._tell.step(errand, state, Status.RECEIVED, errand.notification.received_at)
        send_message(work, message)
        await work.confirmed()
        return state

    async def _take(self, errand: Errand, state: ObjectState, fetched: Fetched, work: Work) -> None:
        account = await self._zuora.account(fetched.account_id)
        former = state.former_accounts(fetched)
        event = captured(errand.notification, fetched, account, self._clock())
        event = await self._sealing.sealed(event.model_copy(update={"former_account_ids": former}))
        message = self._tell.document(errand, event)
        if record_bytes(message.key, message.value, message.headers) > self._largest_document_bytes:
            await self._give_up(errand, state, DOCUMENT_TOO_LARGE, work)
            return
        state = await self._fetched(errand, state, event, work)
        await self._append(message, (*former, fetched.account_id), work)
        for document_type, document_id in fetched.renewed:
            later = errand.of(document_type, document_id, origin=errand.record_id)
            send_message(work, self._tell.later(errand, later))
        await self._end(errand, state.after(fetched, self._clock()), work, "captured")

    def _until_it_stays_older(self, errand: Errand, state: ObjectState) -> FetchLater | None:
        """Return the next try of a document whose state is older than the one known; None if it is to be taken."""
        now, shown_at = self._clock(), errand.notification.received_at
        # A clock that was ahead when the state was noted must not have it fetched for as long as it was ahead.
        if state.shown_at is not None and state.shown_at <= now.timestamp():
            shown_at = datetime.fromtimestamp(state.shown_at, UTC)
        later = errand.outdated(now, NOT_FOUND_DELAYS_SECONDS, shown_at + STAYS_OLDER_AFTER)
        if later is None:
            _log.warning("Zuora's state stays older than one before: it is taken", record=errand.record_id)
        return later

    async def _fetched(self, errand: Errand, state: ObjectState, event: DocumentCaptured, work: Work) -> ObjectState:
        """Write `fetched`, and then that the audit trail is the bookkeeper's, before the first document goes out."""
        if state.captured:
            return state
        known = event.model_dump(
            include={"document_number", "account_id", "account_number", "account_name", "amount", "currency"}
        )
        message, state = self._tell.step(errand, state, Status.FETCHED, event.fetched_at, **known)
        send_message(work, message)
        await work.confirmed()
        state = replace(state, captured=True)
        self._objects[errand.record_id] = state.write()
        await work.confirmed()
        return state

    async def _append(self, message: Message, accounts: tuple[str, ...], work: Work) -> None:
        """Append a document for each account that knows it, one confirmed before the next."""
        for account in accounts:
            send_message(work, replace(message, key=account.encode()))
            await work.confirmed()

    async def _not_found(self, errand: Errand, state: ObjectState, error: NotFoundError, work: Work) -> None:
        """Try later, right after a callout; tell that a known document is gone only on Zuora's own word, repeated."""
        denied = state.captured and bool(state.accounts) and isinstance(error, NoSuchObjectError)
        if denied:
            later = errand.denied(self._clock(), GONE_DELAYS_SECONDS)
        else:
            later = errand.again(self._clock(), NOT_FOUND_DELAYS_SECONDS, NOT_FOUND_AFTER)
        if later is not None:
            send_message(work, self._tell.later(errand, later))
            await self._end(errand, state, work, "not-found-yet")
        elif denied:
            await self._append(self._tell.document(errand, self._gone(errand, state)), state.accounts, work)
            await self._end(errand, state, work, "gone")
        else:
            reason = str(error) if isinstance(error, AnotherDocumentError) else NOT_FOUND
            await self._give_up(errand, state, reason, work)

    def _gone(self, errand: Errand, state: ObjectState) -> DocumentCaptured:
        return DocumentCaptured(
            record_id=errand.record_id,
            document_type=errand.document_type,
            document_id=errand.object_id,
            document_number=state.number,
            account_id=state.accounts[-1],
            gone=True,
            updated_date=state.updated_date,
            received_at=errand.notification.received_at,
            fetched_at=self._clock(),
            document={},
        )

    async def _give_up(self, errand: Errand, state: ObjectState, reason: str, work: Work) -> None:
        """End a record as `failed`; once its status is the bookkeeper's, the notification is a dead letter instead."""
        # Its first document was about to go out when Kafka refused its size: nobody but us can have written since.
        never_out = reason == DOCUMENT_TOO_LARGE and not state.accounts
        if state.captured and not never_out:
            send_message(work, self._tell.dead_letter(errand.event, reason))
        else:
            state = await self._received(errand, state, work)
            message, state = self._tell.step(errand, state, Status.FAILED, self._clock(), reason=reason)
            send_message(work, message)
            state = replace(state, captured=False)
        _log.warning("cannot be fetched", record=errand.record_id, reason=reason)
        await self._end(errand, state, work, "failed")

    async def _end(self, errand: Errand, state: ObjectState, work: Work, outcome: str) -> None:
        """Remember that the errand is done, once everything that came of it is confirmed."""
        await work.confirmed()
        self._objects[errand.record_id] = state.remember(errand.cause).write()
        count(errand.document_type, outcome)

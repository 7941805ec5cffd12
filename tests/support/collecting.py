"""A collector with everything around it faked, and how tests read what it said."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agents.collector.collector import Collector
from agents.collector.object_state import ObjectState
from schemas.audit import RecordStatusChanged
from schemas.base import DocumentType, Status
from schemas.notifications import DocumentCaptured, FetchLater, NotificationReceived
from schemas.topics import AUDIT, DOCUMENT, NOTIFICATION, TopicNames
from streams.log.messages import Message
from streams.systems.zuora.captured import Account, Fetched
from streams.systems.zuora.errors import NoSuchObjectError
from tests.support.fakes import (
    FakeClock,
    FakeEvent,
    FakeTable,
    FakeWork,
    as_event,
    decoded,
    fake_event,
)

NAMES = TopicNames("", "zuora-ifs")
LATER = "zuora-ifs-fetch-later"
ID = "8ad08d2989bd1f2c0189bd5a7e3a2001"
RECORD = f"Invoice:{ID}"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GONE = NoSuchObjectError("Zuora: not found", status=404)


def invoice(**changes: Any) -> Fetched:
    document = {
        "id": ID,
        "invoiceNumber": "INV1",
        "accountId": "acc-1",
        "amount": "10.00",
        "currency": "EUR",
        "updatedDate": "2026-03-01 10:00:00",
        "items": [],
    }
    return Fetched(DocumentType.INVOICE, {**document, **changes})


@dataclass
class FakeZuora:
    """Answers with what is in `answers`, the last one again and again."""

    answers: list[Fetched | Exception] = field(default_factory=lambda: [invoice()])
    ids: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def fetch(self, document_type: DocumentType, key: str) -> Fetched:
        self.asked.append(f"{document_type}:{key}")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def resolve(self, _: DocumentType, key: str) -> str:
        if key not in self.ids:
            raise GONE
        return self.ids[key]

    async def account(self, account_id: str) -> Account:
        return Account(account_id, "A1", "Nordic Example AB")


class Scene:
    """A collector with everything around it faked."""

    def __init__(self, *answers: Fetched | Exception, table: FakeTable | None = None, **settings: Any) -> None:
        self.zuora = FakeZuora(list(answers) or [invoice()])
        self.clock = FakeClock(NOON)
        self.table = table if table is not None else FakeTable()
        self.collector = Collector(self.zuora, NAMES, self.table, self.clock, partitions=1, **settings)

    async def notify(self, event: FakeEvent | None = None, *, work: FakeWork | None = None) -> FakeWork:
        work = work or FakeWork(self.table)
        await self.collector.on_notification(event or notified(), work)  # type: ignore[arg-type]
        return work

    async def later(self, message: Message) -> FakeWork:
        work = FakeWork(self.table)
        await self.collector.on_fetch_later(as_event(message), work)  # type: ignore[arg-type]
        return work

    async def notify_and_follow(self, event: FakeEvent | None = None) -> list[FakeWork]:
        """Notify, and carry out the later try that comes of it, at its time, and that of that one, to the last."""
        work = await self.notify(event)
        return [work, *await self.follow(work)]

    async def follow(self, work: FakeWork) -> list[FakeWork]:
        """Carry out the later try that came of some work, at its time, and that of that one, to the last."""
        works = [work]
        while messages := works[-1].to(LATER):
            later = decoded(messages[0])
            assert isinstance(later, FetchLater)
            self.clock.now = max(self.clock.now, later.not_before)
            works.append(await self.later(messages[0]))
        return works[1:]

    def knowing(self, **state: Any) -> "Scene":
        self.table[RECORD] = ObjectState(**state).write()
        self.table.confirm()
        return self

    @property
    def state(self) -> ObjectState:
        return ObjectState.read(self.table[RECORD])


def notified(object_id: str = ID, event_id: str = "n1", **fields: Any) -> FakeEvent:
    notification = NotificationReceived(
        **{"document_type": DocumentType.INVOICE, "object_id": object_id, "received_at": NOON, **fields}
    )
    return fake_event(NOTIFICATION, object_id, notification, event_id=event_id)


def statuses(work: FakeWork) -> list[tuple[Status | None, Status]]:
    steps = [decoded(message) for message in work.to(AUDIT)]
    return [(step.previous, step.status) for step in steps if isinstance(step, RecordStatusChanged)]


def documents(work: FakeWork) -> list[DocumentCaptured]:
    return [event for message in work.to(DOCUMENT) if isinstance(event := decoded(message), DocumentCaptured)]


def reason(work: FakeWork) -> str | None:
    step = decoded(work.to(AUDIT)[-1])
    assert isinstance(step, RecordStatusChanged)
    return step.reason

"""The collector with the real client against the sandbox: what changes in Zuora, and what it makes of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from agents.collector import metrics
from agents.collector.collector import Collector, share_of_limits
from deploy.sandbox.zuora import invoices, payments
from deploy.sandbox.zuora.app import create_app
from deploy.sandbox.zuora.settings import ZuoraSettings as SandboxSettings
from deploy.sandbox.zuora.state import ZuoraSandbox
from deploy.sandbox.zuora.store import Record
from schemas.base import DocumentType, utc_now
from schemas.notifications import DocumentCaptured, NotificationReceived
from schemas.topics import AUDIT, DOCUMENT, NOTIFICATION, TopicNames
from streams.log.messages import Message
from streams.settings import ZuoraSettings
from streams.systems.retry import BackOff
from streams.systems.zuora.client import ZuoraClient, zuora_session
from tests.support.fakes import FakeEvent, FakeTable, FakeWork, as_event, decoded, fake_event
from tests.support.servers import serving_app

NAMES = TopicNames("", "zuora-ifs")
LATER = "zuora-ifs-fetch-later"


class Scene:
    """A sandbox and a collector on it; each partition's table is one table here."""

    def __init__(self, sandbox: ZuoraSandbox, collector: Collector, table: FakeTable) -> None:
        self.sandbox, self.collector, self.table = sandbox, collector, table

    async def callout(self, record: Record, *, by_number: bool = False) -> list[Message]:
        """Carry out a callout about a record and all later tries that it leads to."""
        event = notified(record, by_number=by_number)
        work = FakeWork(self.table)
        await self.collector.on_notification(event, work)  # type: ignore[arg-type]
        sent, due = list(work.sent), work.to(LATER)
        while due:
            work = FakeWork(self.table)
            await self.collector.on_fetch_later(as_event(due.pop(0)), work)  # type: ignore[arg-type]
            sent, due = sent + work.sent, due + work.to(LATER)
        return sent


@asynccontextmanager
async def scene(**options: Any) -> AsyncIterator[Scene]:
    sandbox = ZuoraSandbox(SandboxSettings(**options))
    async with serving_app(create_app(sandbox)) as url:
        settings = ZuoraSettings(
            base_url=url, client_id="zuora-client", client_secret=SecretStr("zuora-secret"), concurrency=8
        )
        async with zuora_session(settings, share=share_of_limits(lambda: 12, 12)) as session:
            client = ZuoraClient(session, back_off=BackOff(0.01, 0.1), on_wait=metrics.on_zuora_wait)
            table = FakeTable()
            yield Scene(sandbox, Collector(client, NAMES, table, partitions=1), table)


def notified(record: Record, *, by_number: bool = False) -> FakeEvent:
    object_id = record.number if by_number else record.key
    document_type = DocumentType("Adjustment" if record.kind == "InvoiceItemAdjustment" else record.kind)
    notification = NotificationReceived(document_type=document_type, object_id=object_id, received_at=utc_now())
    return fake_event(NOTIFICATION, object_id, notification)


def invoice(sandbox: ZuoraSandbox, items: int = 2) -> Record:
    record = sandbox.generator.invoice(sandbox.generator.account(), items=items)
    invoices.post(sandbox.store, record)
    return record


def documents(sent: list[Message]) -> list[DocumentCaptured]:
    seen = [decoded(message) for message in sent if message.topic == DOCUMENT]
    return [event for event in seen if isinstance(event, DocumentCaptured)]


def topics(sent: list[Message]) -> list[str]:
    return [message.topic for message in sent]


async def test_a_callout_that_comes_before_the_document_can_be_read_is_carried_out_later() -> None:
    async with scene(lag_seconds=1) as zuora:
        sent = await zuora.callout(invoice(zuora.sandbox))

    assert topics(sent) == [AUDIT, LATER, AUDIT, DOCUMENT]


async def test_a_callout_with_a_number_gives_the_same_record_as_one_with_the_id() -> None:
    async with scene() as zuora:
        record = invoice(zuora.sandbox)
        by_number = await zuora.callout(record, by_number=True)
        by_id = await zuora.callout(record)

    assert topics(by_number) == [LATER, AUDIT, AUDIT, DOCUMENT]
    assert topics(by_id) == [DOCUMENT]
    assert documents(by_number)[0].document == documents(by_id)[0].document


async def test_an_invoice_that_is_unposted_edited_and_posted_again_is_captured_in_each_state() -> None:
    async with scene() as zuora:
        record = invoice(zuora.sandbox)
        seen = documents(await zuora.callout(record))
        invoices.unpost(zuora.sandbox.store, record)
        seen += documents(await zuora.callout(record))
        invoices.edit(zuora.sandbox.store, record, header={"comments": "edited"}, items=None, account=None)
        invoices.post(zuora.sandbox.store, record)
        seen += documents(await zuora.callout(record))

    assert [event.document["status"] for event in seen] == ["Posted", "Draft", "Posted"]
    assert [event.document["comments"] for event in seen][-1] == "edited"
    assert len({event.updated_date for event in seen}) == 3


async def test_a_payment_that_moves_reaches_the_account_it_came_from() -> None:
    async with scene() as zuora:
        first, second = zuora.sandbox.generator.account(), zuora.sandbox.generator.account()
        payment = payments.create(zuora.sandbox.store, first, 100)  # type: ignore[arg-type]
        await zuora.callout(payment)
        payments.transfer(zuora.sandbox.store, payment, second)
        sent = await zuora.callout(payment)

    assert [message.key for message in sent] == [first.key.encode(), second.key.encode()]


async def test_a_refund_brings_its_payment_s_newer_state_along() -> None:
    async with scene() as zuora:
        payment = payments.create(zuora.sandbox.store, zuora.sandbox.generator.account(), 100)  # type: ignore[arg-type]
        await zuora.callout(payment)
        refund = payments.refund(zuora.sandbox.store, payment, 40)  # type: ignore[arg-type]
        seen = documents(await zuora.callout(refund))

    assert [event.document_type for event in seen] == [DocumentType.REFUND, DocumentType.PAYMENT]
    assert seen[0].currency == seen[1].currency
    assert seen[1].document["refundAmount"] in {"40", "40.00", 40}


async def test_trouble_of_every_kind_ends_in_the_document_and_keeps_to_the_limits() -> None:
    async with scene() as zuora:
        records = [invoice(zuora.sandbox) for _ in range(20)]
        for fault in (
            # However busy the machine is: while this answer waits, others are under way.
            {"kind": "slow", "times": 1, "seconds": 0.5},
            {"kind": "status", "status": 500},
            {"kind": "garbage"},
            {"kind": "drop"},
            {"kind": "concurrency"},
        ):
            zuora.sandbox.faults.order({"path": "/v1/", "times": 5, "seconds": 0.1, **fault})
        results = await asyncio.gather(*(zuora.callout(record) for record in records))
        peak = zuora.sandbox.traffic.peak_under_way

    assert [topics(sent) for sent in results] == [[AUDIT, AUDIT, DOCUMENT]] * 20
    assert 1 < peak <= 8

"""The collector: what comes of a notification, in which order, and what a crash anywhere leaves behind."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agents.collector import collector as collector_module
from agents.collector.collector import share_of_limits
from agents.collector.object_state import REMEMBERED_IDS, ObjectState
from schemas.audit import RecordStatusChanged
from schemas.base import DocumentType, Status
from schemas.notifications import DocumentCaptured, FetchLater
from schemas.topics import AUDIT, DEAD_LETTER, DOCUMENT, NOTIFICATION
from streams.systems.zuora.captured import Fetched
from tests.support.collecting import (
    ID,
    LATER,
    NOON,
    RECORD,
    Scene,
    documents,
    invoice,
    notified,
    statuses,
)
from tests.support.fakes import (
    CrashError,
    FakeEvent,
    FakeTable,
    FakeWork,
    decoded,
    fake_event,
    header,
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(collector_module.asyncio, "sleep", sleep)
    return waits


async def test_a_notification_becomes_received_fetched_and_the_document_under_its_account() -> None:
    scene = Scene()
    work = await scene.notify()

    assert [message.topic for message in work.sent] == [AUDIT, AUDIT, DOCUMENT]
    assert statuses(work) == [(None, Status.RECEIVED), (Status.RECEIVED, Status.FETCHED)]
    assert [message.key for message in work.to(DOCUMENT)] == [b"acc-1"]
    assert [message.key for message in work.to(AUDIT)] == [RECORD.encode()] * 2
    captured = documents(work)[0]
    assert (captured.record_id, captured.account_name) == (RECORD, "Nordic Example AB")
    assert captured.document == invoice().document
    fetched = decoded(work.to(AUDIT)[1])
    assert isinstance(fetched, RecordStatusChanged)
    assert (fetched.account_id, fetched.document_number, fetched.cause) == ("acc-1", "INV1", "n1")
    assert str(fetched.amount) == "10.00"


async def test_each_step_is_confirmed_before_the_next_and_a_note_before_the_document_is_sent() -> None:
    work = await Scene().notify()

    # `received`, before Zuora is asked; `fetched`; the table's note that a document may be out; the document.
    assert work.confirmed_up_to[:4] == [1, 2, 2, 3]


async def test_the_same_notification_again_does_nothing() -> None:
    scene = Scene()
    await scene.notify()

    assert (await scene.notify()).sent == []
    assert scene.zuora.asked == [RECORD]


async def test_another_notification_of_the_same_state_sends_the_same_document_id_and_no_status() -> None:
    scene = Scene()
    first = await scene.notify()
    second = await scene.notify(notified(event_id="n2"))

    assert [message.topic for message in second.sent] == [DOCUMENT]
    assert header(second.sent[0], "ce_id") == header(first.to(DOCUMENT)[0], "ce_id")


async def test_ids_of_audit_events_are_the_same_when_it_is_all_done_again() -> None:
    once, again = await Scene().notify(), await Scene().notify()
    other = await Scene().notify(notified(event_id="n2"))

    ids = [[header(message, "ce_id") for message in work.to(AUDIT)] for work in (once, again, other)]
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


@pytest.mark.parametrize("crash_at", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("lost", [True, False], ids=["unconfirmed writes lost", "unconfirmed writes kept"])
async def test_a_crash_anywhere_loses_no_document_and_no_status_follows_a_document(
    crash_at: int, *, lost: bool
) -> None:
    scene = Scene()
    broken = FakeWork(scene.table, crash_at=crash_at)
    with pytest.raises(CrashError):
        await scene.notify(work=broken)
    reborn = Scene(table=FakeTable(scene.table.durable if lost else dict(scene.table)))
    work = await reborn.notify()

    topics = [message.topic for message in (*broken.sent, *work.sent)]
    first_document = topics.index(DOCUMENT)
    assert AUDIT not in topics[first_document:]
    assert topics.count(AUDIT) >= 2
    assert (await reborn.notify()).sent == []


async def test_what_moves_to_another_account_is_told_to_the_old_one_first() -> None:
    scene = Scene(invoice(), invoice(accountId="acc-2"), invoice(accountId="acc-3"))
    await scene.notify()
    second = await scene.notify(notified(event_id="n2"))
    third = await scene.notify(notified(event_id="n3"))

    assert [message.key for message in second.to(DOCUMENT)] == [b"acc-1", b"acc-2"]
    assert [message.key for message in third.to(DOCUMENT)] == [b"acc-1", b"acc-2", b"acc-3"]
    assert {event.account_id for event in documents(third)} == {"acc-3"}
    # Each is confirmed before the next.
    assert second.confirmed_up_to[:2] == [1, 2]


async def test_what_moves_back_is_told_to_every_account_that_knew_it() -> None:
    moves = ["acc-1", "acc-2", "acc-1", "acc-1", "acc-3"]
    scene = Scene(*(invoice(accountId=account, amount=number) for number, account in enumerate(moves)))
    told = [await scene.notify(notified(event_id=f"n{number}")) for number in range(len(moves))]

    assert [[message.key.decode() for message in work.to(DOCUMENT)] for work in told] == [
        ["acc-1"], ["acc-1", "acc-2"], ["acc-2", "acc-1"], ["acc-2", "acc-1"], ["acc-2", "acc-1", "acc-3"],
    ]  # fmt: skip
    assert documents(told[3])[0].former_account_ids == ("acc-2",)
    state = ObjectState(first_account="acc-1", between=("acc-2",), last_account="acc-1")
    assert state.accounts[-1] == "acc-1"  # to which it is told that it is gone


async def test_a_number_is_handed_over_to_the_partition_of_its_id() -> None:
    scene = Scene()
    scene.zuora.ids = {"INV1": ID}
    work = await scene.notify(notified("INV1"))

    assert [message.topic for message in work.sent] == [LATER]
    assert work.sent[0].key == ID.encode()
    assert scene.zuora.asked == []

    taken = await scene.later(work.sent[0])
    assert statuses(taken) == [(None, Status.RECEIVED), (Status.RECEIVED, Status.FETCHED)]
    assert documents(taken)[0].record_id == RECORD
    assert (await scene.notify(notified("INV1"))).sent == []


async def test_an_id_of_another_form_is_taken_where_it_is() -> None:
    scene = Scene(invoice(id="inv-1"))
    scene.zuora.ids = {"inv-1": "inv-1"}
    work = await scene.notify(notified("inv-1"))

    assert documents(work)[0].record_id == "Invoice:inv-1"


async def test_nothing_is_told_of_a_number_until_its_id_is_known_or_it_has_failed() -> None:
    scene = Scene()
    works = await scene.notify_and_follow(notified("INV404"))

    assert {message.topic for work in works[:-1] for message in work.sent} == {LATER}
    assert statuses(works[-1]) == [(None, Status.RECEIVED), (Status.RECEIVED, Status.FAILED)]


async def test_a_refund_has_its_payment_fetched_anew_in_the_payment_s_own_partition() -> None:
    refund = replace(
        invoice(payment={"currency": "EUR"}),
        document_type=DocumentType.REFUND,
        renewed=((DocumentType.PAYMENT, "8ad0923d89c01b3e0189c02a4f510a01"),),
    )
    scene = Scene(refund)
    work = await scene.notify(notified(document_type=DocumentType.REFUND, notification_id="z1"))

    later = decoded(work.to(LATER)[0])
    assert isinstance(later, FetchLater)
    assert work.to(LATER)[0].key == b"8ad0923d89c01b3e0189c02a4f510a01"
    assert later.notification.document_type is DocumentType.PAYMENT
    assert later.notification.origin == f"Refund:{ID}"
    assert later.notification_event_id != "n1"
    assert later.notification.notification_id is None


@pytest.mark.parametrize(
    "event",
    [
        FakeEvent(NOTIFICATION, b"k", b"garbage", {"ce_type": b"NotificationReceived"}),
        FakeEvent(NOTIFICATION, b"k", None, {"ce_type": b"NotificationReceived"}),
        FakeEvent(NOTIFICATION, None, b"{}", {}),
        FakeEvent(NOTIFICATION, b"\xff", b"\xff", {"ce_type": b"\xff"}),
        FakeEvent(NOTIFICATION, b"k", b'{"company":"10"}', {"ce_type": b"PostingPaused"}),
        fake_event(
            NOTIFICATION,
            RECORD,
            DocumentCaptured(
                record_id=RECORD,
                document_type=DocumentType.INVOICE,
                document_id=ID,
                account_id="a",
                received_at=NOON,
                fetched_at=NOON,
                document={},
            ),
        ),
    ],
    ids=["garbage", "empty", "no type", "binary", "broken", "another event"],
)
async def test_what_cannot_be_read_is_a_dead_letter_with_its_bytes(event: FakeEvent) -> None:
    scene = Scene()
    for handler in (scene.collector.on_notification, scene.collector.on_fetch_later):
        work = FakeWork(scene.table)
        await handler(event, work)  # type: ignore[arg-type]

        assert [message.topic for message in work.sent] == [DEAD_LETTER]
        assert (work.sent[0].key, work.sent[0].value) == (event.key, event.value)
        assert header(work.sent[0], "dlq.reason")
    assert scene.zuora.asked == []


async def test_the_trace_of_a_notification_goes_on() -> None:
    event = notified()
    event.headers["traceparent"] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    work = await Scene().notify(event)

    assert {header(message, "traceparent") for message in work.sent} == {
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    }


async def test_two_notifications_of_one_object_are_carried_out_one_after_the_other() -> None:
    scene = Scene()
    inside = most = 0
    fetch: Callable[..., Any] = scene.zuora.fetch

    async def slow(document_type: DocumentType, key: str) -> Fetched:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, turn.set_result, None)
        await turn
        inside -= 1
        return await fetch(document_type, key)  # type: ignore[no-any-return]

    scene.zuora.fetch = slow  # type: ignore[method-assign]
    works = await asyncio.gather(*(scene.notify(notified(event_id=f"n{number}")) for number in range(5)))

    assert most == 1
    assert sum(len(work.to(AUDIT)) for work in works) == 2


def test_a_state_is_small_and_reads_back() -> None:
    state = ObjectState(
        captured=True,
        status=Status.FETCHED,
        number="INV00004711",
        first_account="8ad09e2b86f1c1a90186f2a6c0d41001",
        last_account="8ad09e2b86f1c1a90186f2a6c0d41001",
        updated_date="2026-03-01 02:31:07",
        shown_at=1_772_332_267,
    )
    for number in range(REMEMBERED_IDS + 5):
        state = state.remember(f"{number:032x}"[::-1])

    assert len(state.seen) == REMEMBERED_IDS
    assert not state.has_seen(f"{4:032x}"[::-1])
    assert state.has_seen(f"{5:032x}"[::-1])
    assert state.remember(f"{5:032x}"[::-1]) == state
    assert ObjectState.read(state.write()) == state
    assert len(state.write()) < 600


def test_a_worker_s_share_of_the_limits_follows_its_partitions_and_leaves_a_reserve() -> None:
    assigned = 12
    share = share_of_limits(lambda: assigned, 12)

    assert share() == pytest.approx(0.95)
    assigned = 3
    assert share() == pytest.approx(0.2375)

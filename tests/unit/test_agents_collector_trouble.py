"""The collector where Zuora refuses, is too slow, or has lost what it told of."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from agents.collector import collector as collector_module
from agents.collector.collector import LARGEST_DOCUMENT_BYTES, NOT_FOUND_DELAYS_SECONDS
from agents.collector.errand import LARGEST_NOTIFICATION_BYTES
from schemas.base import LONGEST_TEXT, DocumentType, Status
from schemas.errors import ForbiddenError, NotFoundError, RefusedError
from schemas.notifications import FetchLater, NotificationReceived
from schemas.topics import AUDIT, DEAD_LETTER, DOCUMENT
from streams.log.producer import record_bytes
from streams.systems.session import TOO_LARGE
from streams.systems.zuora.errors import AnotherDocumentError, NoSuchObjectError
from tests.support.collecting import GONE, ID, LATER, NOON, Scene, documents, invoice, notified, reason, statuses
from tests.support.fakes import CrashError, FakeTable, FakeWork, decoded, fake_event, header


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(collector_module.asyncio, "sleep", sleep)
    return waits


async def test_what_is_not_there_right_after_its_callout_waits_beside_the_road() -> None:
    scene = Scene(NoSuchObjectError("no"), NoSuchObjectError("no"), invoice())
    work = await scene.notify()
    later = [decoded(message) for message in work.to(LATER)]

    assert statuses(work) == [(None, Status.RECEIVED)]
    assert isinstance(later[0], FetchLater)
    assert (later[0].attempt, later[0].not_before) == (1, NOON + timedelta(seconds=2))
    assert work.to(LATER)[0].key == ID.encode()

    again = await scene.later(work.to(LATER)[0])
    assert statuses(again) == []
    second = decoded(again.to(LATER)[0])
    assert isinstance(second, FetchLater)
    assert (second.attempt, second.not_before) == (2, NOON + timedelta(seconds=5))

    found = await scene.later(again.to(LATER)[0])
    assert statuses(found) == [(Status.RECEIVED, Status.FETCHED)]
    assert len(documents(found)) == 1


async def test_a_later_try_waits_for_its_time_but_never_longer_than_a_delay_can_be(no_waiting: list[float]) -> None:
    scene = Scene(NoSuchObjectError("no"), invoice())
    work = await scene.notify()
    scene.clock.now = NOON - timedelta(days=1)

    await scene.later(work.to(LATER)[0])

    assert no_waiting == [120]


async def test_what_is_not_there_ten_minutes_after_its_callout_has_failed() -> None:
    scene = Scene(NoSuchObjectError("no"))
    work = await scene.notify()
    tries = 0
    while messages := work.to(LATER):
        later = decoded(messages[0])
        assert isinstance(later, FetchLater)
        scene.clock.now = later.not_before
        work = await scene.later(messages[0])
        tries += 1

    assert scene.clock.now == NOON + timedelta(minutes=10)
    assert 8 <= tries <= 12
    assert statuses(work) == [(Status.RECEIVED, Status.FAILED)]
    assert reason(work) == "not found in Zuora"


async def test_what_one_answer_denies_long_after_its_callout_has_not_failed() -> None:
    """Zuora or we were away for hours: what is asked for then is denied by what has just come up, for a moment."""
    for denial in (NoSuchObjectError("no"), NotFoundError("<html>")):
        scene = Scene(denial, invoice())
        scene.clock.now = NOON + timedelta(hours=3)
        works = await scene.notify_and_follow()

        assert [len(documents(work)) for work in works] == [0, 1]
        assert statuses(works[-1]) == [(Status.RECEIVED, Status.FETCHED)]


async def test_what_is_denied_again_and_again_long_after_its_callout_has_failed() -> None:
    scene = Scene(NoSuchObjectError("no"))
    scene.clock.now = NOON + timedelta(hours=3)
    works = await scene.notify_and_follow()

    assert len(works) == 1 + len(NOT_FOUND_DELAYS_SECONDS)
    assert reason(works[-1]) == "not found in Zuora"


async def test_what_is_answered_with_another_document_is_never_taken_for_it_and_fails_with_what_was_answered() -> None:
    scene = Scene(AnotherDocumentError("Zuora: asked for INV1 it answered with another document, INV2"))
    works = await scene.notify_and_follow()

    assert [len(documents(work)) for work in works] == [0] * len(works)
    assert reason(works[-1]) == "Zuora: asked for INV1 it answered with another document, INV2"


async def test_a_record_that_failed_begins_anew_when_it_is_told_of_again() -> None:
    scene = Scene(RefusedError("Zuora: no"), invoice())
    await scene.notify()
    work = await scene.notify(notified(event_id="n2"))

    assert statuses(work) == [(Status.FAILED, Status.RECEIVED), (Status.RECEIVED, Status.FETCHED)]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RefusedError("Zuora: field unknown"), "Zuora: field unknown"),
        (ForbiddenError("Zuora: no permission", status=403), "Zuora: no permission"),
        (RefusedError("Zuora answered with more than 5 bytes", code=TOO_LARGE), "document too large"),
    ],
)
async def test_a_refusal_ends_the_record_with_zuora_s_words(error: Exception, told: str) -> None:
    work = await Scene(error).notify()

    assert statuses(work) == [(None, Status.RECEIVED), (Status.RECEIVED, Status.FAILED)]
    assert reason(work) == told


async def test_a_document_beyond_15_mb_has_failed() -> None:
    work = await Scene(invoice(comments="x" * LARGEST_DOCUMENT_BYTES)).notify()

    assert documents(work) == []
    assert reason(work) == "document too large"


async def test_a_document_beyond_what_a_topic_takes_has_failed() -> None:
    work = await Scene(invoice(comments="x" * 2_000_000), largest_document_bytes=2_000_000).notify()

    assert documents(work) == []
    assert statuses(work) == [(None, Status.RECEIVED), (Status.RECEIVED, Status.FAILED)]
    assert reason(work) == "document too large"
    assert len(documents(await Scene(invoice(), largest_document_bytes=2_000_000).notify())) == 1


async def test_a_first_document_that_kafka_refused_for_its_size_has_failed_when_it_is_met_again() -> None:
    large = invoice(comments="x" * 2_000_000)
    scene = Scene(large)
    with pytest.raises(CrashError):  # the process ends at the refusal: received, fetched and that it is captured are in
        await scene.notify(work=FakeWork(scene.table, crash_at=4))

    again = Scene(large, table=FakeTable(scene.table.durable), largest_document_bytes=2_000_000)
    work = await again.notify()
    assert statuses(work) == [(Status.FETCHED, Status.FAILED)]
    assert reason(work) == "document too large"
    assert documents(work) == []
    assert again.state.captured is False


async def test_a_later_document_that_is_too_large_is_a_dead_letter() -> None:
    scene = Scene(largest_document_bytes=500).knowing(captured=True, first_account="acc-1", last_account="acc-1")
    work = await scene.notify()

    assert [message.topic for message in work.sent] == [DEAD_LETTER]
    assert header(work.sent[0], "dlq.reason") == "document too large"


async def test_once_the_status_is_the_bookkeeper_s_a_refusal_is_a_dead_letter() -> None:
    scene = Scene(RefusedError("Zuora: no")).knowing(captured=True, first_account="acc-1", last_account="acc-1")
    work = await scene.notify()

    assert [message.topic for message in work.sent] == [DEAD_LETTER]
    assert header(work.sent[0], "dlq.reason") == "Zuora: no"
    assert work.sent[0].value == notified().value


KNOWN = {
    "captured": True,
    "number": "INV1",
    "first_account": "acc-1",
    "last_account": "acc-2",
    "updated_date": "2026-03-01 10:00:00",
}


async def test_a_record_captured_before_is_gone_once_zuora_has_said_so_three_times() -> None:
    scene = Scene(GONE).knowing(**KNOWN)
    scene.clock.now = replayed_at = NOON + timedelta(days=30)
    works = await scene.notify_and_follow()

    assert [documents(work) for work in works[:-1]] == [[], []]
    assert [decoded(work.to(LATER)[0]).not_before - replayed_at for work in works[:-1]] == [  # type: ignore[union-attr]
        timedelta(seconds=2),
        timedelta(seconds=7),
    ]
    assert [message.key for message in works[-1].to(DOCUMENT)] == [b"acc-1", b"acc-2"]
    gone = documents(works[-1])[0]
    assert gone.gone
    assert (gone.account_id, gone.document_number, gone.document) == ("acc-2", "INV1", {})
    assert [statuses(work) for work in works] == [[], [], []]


@pytest.mark.parametrize("denials", [1, 2])
async def test_a_record_that_zuora_denied_for_a_moment_is_not_gone(denials: int) -> None:
    scene = Scene(*[GONE] * denials, invoice()).knowing(**KNOWN)
    works = await scene.notify_and_follow()

    assert len(works) == denials + 1
    assert [event.gone for event in documents(works[-1])] == [False, False]


async def test_zuora_has_to_deny_a_record_without_a_pause_until_it_is_gone() -> None:
    scene = Scene(GONE, GONE, NotFoundError("<html>"), GONE).knowing(**KNOWN)
    works = await scene.notify_and_follow()

    assert len(works) == 6
    assert documents(works[-1])[0].gone


async def test_a_404_of_some_proxy_does_not_make_a_known_record_gone() -> None:
    scene = Scene(NotFoundError("<html>")).knowing(captured=True, first_account="acc-1", last_account="acc-1")
    work = await scene.notify()

    assert documents(work) == []
    assert len(work.to(LATER)) == 1


@pytest.mark.parametrize("counted", [{"denials": -3}, {"attempt": -5}, {"attempt": 2**63 - 1}], ids=str)
async def test_tries_that_cannot_be_are_not_counted_on(counted: dict[str, int]) -> None:
    scene = Scene(GONE).knowing(**KNOWN)
    told = NotificationReceived(document_type=DocumentType.INVOICE, object_id=ID, received_at=NOON)
    later = FetchLater(
        **{"notification": told, "notification_event_id": "n", "not_before": NOON, "attempt": 0, **counted}
    )
    work = FakeWork(scene.table)
    await scene.collector.on_fetch_later(fake_event(LATER, ID, later), work)  # type: ignore[arg-type]

    [again] = [decoded(message) for message in work.sent]
    assert isinstance(again, FetchLater)
    assert 0 < again.attempt < 10_000
    assert again.denials == 1


TOPIC_TAKES = 1_000_000
"""Bytes; less is refused when a worker starts."""
FAR_TOO_LONG: dict[str, dict[str, Any]] = {
    "an id": {"object_id": "x" * 300_000},
    "a number": {"object_number": "x" * 450_000, "account_id": "x" * 450_000},
    "its fields": {"fields": {"a": "x" * 990_000}},
    "fields that become longer": {"fields": {"a": [1e9] * 200_000}},
}


@pytest.mark.parametrize("fields", FAR_TOO_LONG.values(), ids=FAR_TOO_LONG)
async def test_a_notification_that_leaves_no_room_for_what_comes_of_it_is_a_dead_letter(fields: dict[str, Any]) -> None:
    """Else no topic would take the later try or the step, and the worker would end at it each time it starts."""
    event = notified(**{key: "x" for key in fields if key != "fields"})
    told = {"documentType": "Invoice", "objectId": ID, "receivedAt": "2026-03-01T12:00:00Z"}
    names = {"object_id": "objectId", "object_number": "objectNumber", "account_id": "accountId", "fields": "fields"}
    told |= {names[name]: value for name, value in fields.items()}
    value = orjson.dumps(told).replace(b"1000000000.0", b"1e9")
    work = await Scene(GONE).notify(replace(event, key=str(told["objectId"]).encode(), value=value))

    assert record_bytes(None, value) < TOPIC_TAKES
    assert [message.topic for message in work.sent] == [DEAD_LETTER]
    assert work.sent[0].value == value


async def test_an_event_id_that_leaves_no_room_for_what_comes_of_it_makes_a_dead_letter() -> None:
    event = notified()
    event.headers["ce_id"] = b"\x01" * 500_000
    work = await Scene(GONE).notify(event)

    assert [message.topic for message in work.sent] == [DEAD_LETTER]


async def test_a_trace_that_is_none_is_not_carried_on() -> None:
    event = notified()
    event.headers["traceparent"] = b"\xff" * 500_000
    work = await Scene(GONE).notify(event)

    assert {message.topic for message in work.sent} == {AUDIT, LATER}
    assert max(record_bytes(message.key, message.value, message.headers) for message in work.sent) < TOPIC_TAKES


async def test_the_largest_notification_that_is_taken_has_room_for_what_comes_of_it() -> None:
    event = notified("\x02" * LONGEST_TEXT, fields={"a": "x" * (LARGEST_NOTIFICATION_BYTES - 25_000)})
    event.headers.update(ce_id=b"\x01" * LONGEST_TEXT, traceparent=b"\xff" * 512)
    scene = Scene(GONE)
    scene.zuora.ids["\x02" * LONGEST_TEXT] = "\x02" * LONGEST_TEXT
    works = await scene.notify_and_follow(event)

    sent = [message for work in works for message in work.sent]
    assert {message.topic for message in sent} == {AUDIT, LATER}
    assert max(record_bytes(message.key, message.value, message.headers) for message in sent) < TOPIC_TAKES

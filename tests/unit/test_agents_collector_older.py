"""States that look older than the one known: a replica of Zuora's that lags, or clocks that went back an hour."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from agents.collector import collector as collector_module
from agents.collector.collector import NOT_FOUND_DELAYS_SECONDS, STAYS_OLDER_AFTER
from schemas.base import DocumentType
from schemas.errors import NotFoundError
from schemas.topics import DEAD_LETTER, DOCUMENT
from streams.systems.zuora.captured import Fetched
from tests.support.collecting import LATER, NOON, RECORD, Scene, documents, invoice, notified
from tests.support.fakes import CrashError, FakeTable, FakeWork, header

ALL_DELAYS = timedelta(seconds=sum(NOT_FOUND_DELAYS_SECONDS))
KNOWN = invoice(updatedDate="2026-10-25 02:50:00")
OLDER = invoice(updatedDate="2026-10-25 02:10:00", status="Canceled")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        assert 0 <= seconds <= NOT_FOUND_DELAYS_SECONDS[-1]

    monkeypatch.setattr(collector_module.asyncio, "sleep", sleep)


async def knowing(known: Fetched = KNOWN, *then: Fetched | Exception) -> Scene:
    """Return a scene that has captured a document at noon, and in which Zuora answers otherwise from then on."""
    scene = Scene(known)
    await scene.notify()
    scene.zuora.answers = list(then or (OLDER,))
    scene.zuora.asked.clear()
    return scene


def dates(works: list[FakeWork]) -> list[str | None]:
    return [event.updated_date for work in works for event in documents(work)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-10-25 02:50:00", "2026-10-25 02:10:00"),
        ("2026-10-25 02:59:59", "2026-10-25 02:00:00"),
        ("2026-10-25 02:30:01", "2026-10-25 02:30:00"),
        ("2026-11-01 01:59:59", "2026-11-01 01:00:00"),
        ("2026-10-25 02:50:00", "2026-10-24 23:55:00"),  # the tenant moved to another time zone
    ],
)
async def test_what_changes_again_in_the_hour_after_the_clocks_went_back_is_captured(before: str, after: str) -> None:
    scene = await knowing(invoice(updatedDate=before), invoice(updatedDate=after, status="Canceled"))
    works = await scene.notify_and_follow(notified(event_id="n2"))

    assert [event.document["status"] for event in documents(works[-1])] == ["Canceled"]
    assert dates(works) == [after]
    assert scene.clock.now == NOON + STAYS_OLDER_AFTER
    assert len(scene.zuora.asked) <= 21
    assert scene.state.updated_date == after


class Replica:
    """A Zuora that shows each state so long after it came about."""

    def __init__(self, scene: Scene, lag: timedelta, *history: tuple[timedelta, Fetched]) -> None:
        self.scene, self.lag, self.history = scene, lag, history

    async def fetch(self, _type: DocumentType, _key: str) -> Fetched:
        now: datetime = self.scene.clock.now - self.lag
        return [state for since, state in self.history if NOON + since <= now][-1]


@pytest.mark.parametrize("lag", [1, 3, 60, 600, 1799], ids=lambda seconds: f"{seconds} s")
async def test_what_a_replica_gives_that_lags_is_never_captured(lag: int) -> None:
    scene = await knowing()
    states = [(timedelta(days=-1), OLDER), (timedelta(seconds=-30), invoice(updatedDate="2026-10-25 02:45:00"))]
    replica = Replica(scene, timedelta(seconds=lag), *states, (timedelta(), KNOWN))
    scene.zuora.fetch = replica.fetch  # type: ignore[method-assign]
    works = await scene.notify_and_follow(notified(event_id="n2"))

    assert len(works) > 1
    assert dates(works) == [KNOWN.updated_date]
    assert scene.state.updated_date == KNOWN.updated_date


@pytest.mark.parametrize("origin", ["webhook", "release"])
async def test_long_after_the_known_state_was_shown_an_older_one_has_to_be_given_seven_times(origin: str) -> None:
    """Whoever asks: a person who has a document fetched anew cannot know either which of Zuora's replicas answers."""
    scene = await knowing()
    scene.clock.now = asked_at = NOON + timedelta(days=30)
    works = await scene.notify_and_follow(notified(event_id="n2", received_at=asked_at, origin=origin))

    assert scene.zuora.asked == [RECORD] * (1 + len(NOT_FOUND_DELAYS_SECONDS))
    assert scene.clock.now - asked_at == ALL_DELAYS
    assert dates(works) == [OLDER.updated_date]


@pytest.mark.parametrize("times", [1, 6])
async def test_what_is_older_for_a_moment_is_never_captured_however_long_ago_the_known_state_was_shown(
    times: int,
) -> None:
    scene = await knowing(KNOWN, *[OLDER] * times, KNOWN)
    scene.clock.now = NOON + timedelta(days=30)
    works = await scene.notify_and_follow(notified(event_id="n2"))

    assert dates(works) == [KNOWN.updated_date]


async def test_the_wait_begins_anew_when_zuora_shows_the_known_state_again() -> None:
    scene = await knowing()
    waiting = (await scene.notify(notified(event_id="n2"))).to(LATER)
    scene.clock.now = shown_again = NOON + timedelta(minutes=29)
    scene.zuora.answers = [KNOWN]
    await scene.notify(notified(event_id="n3"))
    scene.zuora.answers = [OLDER]
    works = [await scene.later(waiting[0])]
    works += await scene.follow(works[0])

    assert dates(works) == [OLDER.updated_date]
    assert scene.clock.now == shown_again + STAYS_OLDER_AFTER


async def test_what_some_proxy_does_not_find_meanwhile_ends_nothing() -> None:
    scene = await knowing(KNOWN, *[OLDER] * 12, NotFoundError("<html>"), NotFoundError("<html>"), OLDER)
    works = await scene.notify_and_follow(notified(event_id="n2"))

    assert [work.to(DEAD_LETTER) for work in works if work.to(DEAD_LETTER)] == []
    assert dates(works) == [OLDER.updated_date]
    told = [header(message, "ce_id") for work in works for message in work.to(LATER)]
    assert len(told) == len(set(told))


async def test_a_newer_state_that_comes_meanwhile_is_captured_at_once() -> None:
    newest = invoice(updatedDate="2026-10-25 03:05:00", status="Posted")
    scene = await knowing(KNOWN, OLDER, newest)
    works = await scene.notify_and_follow(notified(event_id="n2"))

    assert dates(works) == ["2026-10-25 03:05:00"]
    assert scene.clock.now == NOON + timedelta(seconds=2)


async def test_after_an_older_state_was_taken_what_follows_it_is_captured_at_once() -> None:
    scene = await knowing()
    await scene.notify_and_follow(notified(event_id="n2"))
    scene.zuora.answers = [invoice(updatedDate="2026-10-25 02:20:00")]

    assert dates([await scene.notify(notified(event_id="n3"))]) == ["2026-10-25 02:20:00"]


@pytest.mark.parametrize("shown_at", [None, int((NOON + timedelta(days=9000)).timestamp())], ids=["unknown", "ahead"])
async def test_without_a_time_of_the_known_state_that_can_be_the_wait_begins_with_the_callout(
    shown_at: int | None,
) -> None:
    known: dict[str, Any] = {"captured": True, "first_account": "acc-1", "updated_date": KNOWN.updated_date}
    scene = Scene(OLDER).knowing(**known, shown_at=shown_at)
    works = await scene.notify_and_follow()

    assert dates(works) == [OLDER.updated_date]
    assert scene.clock.now == NOON + STAYS_OLDER_AFTER


async def test_a_crash_while_an_older_state_is_put_off_loses_nothing() -> None:
    scene = await knowing()
    broken = FakeWork(scene.table, crash_at=1)
    with pytest.raises(CrashError):
        await scene.notify(notified(event_id="n2"), work=broken)
    reborn = Scene(OLDER, table=FakeTable(scene.table.durable))
    works = await reborn.notify_and_follow(notified(event_id="n2"))

    assert [message.topic for message in broken.sent] == [LATER]
    assert dates(works) == [OLDER.updated_date]
    assert works[-1].to(DOCUMENT)

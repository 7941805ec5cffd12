"""How fast the poster gets on is told soon, as it is, and the same everywhere."""

import math
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from prometheus_client import REGISTRY

from agents.poster.pace import LATELY_SECONDS, RECORD_EVERY_SECONDS, PaceRecord
from schemas.errors import TroubleError
from schemas.requests import PostingPaused
from schemas.topics import POSTING_PACE
from streams.posting_control import EVERY_COMPANY, PauseBook
from streams.posting_status import Backlog, Pace, status_of
from streams.systems.budget import RateBudget
from streams.systems.ifs.service import Service
from streams.systems.session import Answer
from tests.support.fakes import FakeTable

NOW = datetime(2026, 7, 3, 12, 0, tzinfo=UTC)
LIMIT = 950
LOOK, POST = "VoucherSet", "VoucherSet/post"


class Ifs:
    """An IFS that takes so many seconds for a request, and a budget that lets one wait; both by a clock of theirs."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.takes = {LOOK: 0.02, POST: 0.02}
        self.waits = 0.0
        self.is_down = False

    async def request(self, _method: str, url: str, **_: Any) -> Answer:
        self.seconds += self.takes[POST if url.endswith(POST) else LOOK]
        if self.is_down:
            raise TroubleError("no answer")
        return Answer(200, CIMultiDictProxy(CIMultiDict()), b'{"value": []}')


class Budget(RateBudget):
    """A budget whose waits pass by the clock of an IFS."""

    def __init__(self, ifs: Ifs) -> None:
        super().__init__(LIMIT)
        self._ifs = ifs

    async def acquire(self, n: int = 1) -> None:
        self._ifs.seconds += n * self._ifs.waits


class Desk:
    """A poster's requests, two for each voucher, and what is told of their pace."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ifs, self.table = Ifs(), FakeTable()
        steady = lambda: self.ifs.seconds  # noqa: E731
        monkeypatch.setattr("streams.systems.ifs.service.time", SimpleNamespace(monotonic=steady))
        self.service = Service(self.ifs, Budget(self.ifs))
        self.record = PaceRecord(self.service, self.table, batch_size=1, clock=lambda: NOW, steady=steady)

    async def post(self, looks: int = 1) -> None:
        with self.record.turn() as turn:
            for _ in range(looks):
                await self.service.page("VoucherHandling", LOOK, "")
            await self.service.admit()
            await self.service.write(POST, {}, {})
            turn.outcomes = 1

    async def post_for(self, seconds: float) -> None:
        end = self.ifs.seconds + seconds
        while self.ifs.seconds < end:
            await self.post()

    async def fail(self) -> None:
        with pytest.raises(TroubleError), self.record.turn():
            await self.service.page("VoucherHandling", LOOK, "")

    @property
    def reached(self) -> int:
        return self.record.now().reached_per_minute(LIMIT)

    async def seconds_until_within(self, share: float, truth: float) -> float:
        began = self.ifs.seconds
        while abs(self.reached - truth) > share * truth and self.ifs.seconds < began + 600:
            await self.post()
        return self.ifs.seconds - began


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


@pytest.mark.parametrize("slow", [0.3, 1.5, 6.0, 30.0])
async def test_an_ifs_that_becomes_slow_and_quick_again_is_told_as_such_within_seconds_of_work(
    desk: Desk, slow: float
) -> None:
    quick, voucher = dict(desk.ifs.takes), 2 * slow
    await desk.post_for(120)
    assert desk.reached == LIMIT  # 3,000 would be possible, and are not allowed

    desk.ifs.takes = {LOOK: slow, POST: slow}
    assert await desk.seconds_until_within(0.25, 60 / slow) <= LATELY_SECONDS + voucher
    await desk.post_for(120)
    assert desk.reached == round(60 / slow)

    desk.ifs.takes = quick
    assert await desk.seconds_until_within(0.25, LIMIT) <= LATELY_SECONDS + 0.1


async def test_a_look_that_is_quick_and_a_post_that_is_slow_count_as_they_come(desk: Desk) -> None:
    desk.ifs.takes = {LOOK: 0.1, POST: 30.0}
    await desk.post_for(300)
    assert desk.record.now().seconds_per_request == pytest.approx(30.1 / 2)


async def test_waits_for_the_budget_idle_hours_and_outages_spoil_nothing(desk: Desk) -> None:
    desk.ifs.takes = {LOOK: 1.0, POST: 2.0}
    await desk.post_for(60)
    known = desk.record.now()
    assert (known.seconds_per_request, known.requests_per_voucher) == (1.5, pytest.approx(2.0))

    desk.ifs.waits = 20.0
    await desk.post()
    desk.ifs.waits = 0.0
    desk.ifs.seconds += 5 * 3600
    desk.ifs.is_down = True
    for seconds in [0.001] * 200 + [60.0] * 20:
        desk.ifs.takes[LOOK] = seconds
        await desk.fail()
    assert desk.record.now() == known


async def test_what_a_paused_company_has_counts_for_no_voucher_and_for_no_speed(desk: Desk) -> None:
    desk.ifs.takes = {LOOK: 1.5, POST: 1.5}
    await desk.post_for(60)
    known = desk.record.now()

    def demand() -> None:
        raise TroubleError("posting is paused")

    desk.service.before_request = demand
    for _ in range(5_000):
        await desk.fail()
    assert desk.record.now() == known


async def test_a_turn_under_way_counts_once_it_is_slower_than_what_was_known(desk: Desk) -> None:
    await desk.post_for(60)
    told = []

    async def tell() -> None:
        told.append(desk.reached)

    desk.service.on_admitted = tell
    desk.ifs.takes = {LOOK: 1.5, POST: 1.5}
    await desk.post(looks=20)

    assert told[0] == LIMIT
    assert told[12] <= 1.25 * 40


async def test_the_pace_is_written_down_now_and_then_also_within_a_long_turn(desk: Desk) -> None:
    await desk.post()
    written = []

    async def record() -> None:
        if desk.record.record():
            written.append((desk.ifs.seconds, Pace.model_validate_json(desk.table[POSTING_PACE])))

    desk.service.on_admitted = record
    desk.ifs.takes = {LOOK: 1.5, POST: 1.5}
    await desk.post(looks=30)

    apart = [later - earlier for (earlier, _), (later, _) in pairwise(written)]
    assert len(written) == 7
    assert all(RECORD_EVERY_SECONDS <= seconds <= RECORD_EVERY_SECONDS + 1.5 for seconds in apart)
    assert written[-1][1].seconds_per_request == pytest.approx(1.5, rel=0.1)


@pytest.mark.parametrize(("paused", "seconds"), [(None, 1_200.0), ("20", 900.0), (EVERY_COMPANY, None)])
async def test_prometheus_is_told_what_people_are_told(desk: Desk, paused: str | None, seconds: float | None) -> None:
    desk.ifs.takes = {LOOK: 1.5, POST: 1.5}
    await desk.post_for(60)
    desk.record.record()
    book, waiting = PauseBook(), Counter({"10": 100, "20": 100})
    if paused:
        book.apply(PostingPaused(company=paused, actor="ann", at=NOW, reason="audit"))
    pace = Pace.model_validate_json(desk.table[POSTING_PACE])

    status = status_of(book, 200, waiting, pace, configured=LIMIT, now=NOW)
    desk.record.tell(Backlog(400, 400 if book.pause_of_all else status.held))

    assert (status.reached_per_minute, status.seconds_until_clear) == (40, seconds)
    told = REGISTRY.get_sample_value("zuora_ifs_poster_seconds_until_clear")
    assert told == (math.inf if seconds is None else seconds)
    assert REGISTRY.get_sample_value("zuora_ifs_poster_backlog") == 400

"""What the poster tells of its pace while it posts, and while it may not."""

import math
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from agents.poster import pace
from schemas.base import utc_now
from schemas.requests import PostingPaused, PostingResumed
from schemas.topics import POSTING_PACE
from streams.posting_status import Pace
from tests.support.posting import Desk, command, open_desk

LATE = 0.3


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


def told(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"zuora_ifs_poster_{name}")


async def test_what_an_ifs_takes_that_answers_late_is_written_down(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "RECORD_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(pace, "LATELY_SECONDS", LATE)
    async with desk.poster() as poster:
        await desk.hand(poster, command("INV1-A", command_id="1"))
        desk.fault("slow", seconds=LATE, times=2)
        desk.fault("slow", method="GET", seconds=LATE, times=2)
        for number in (2, 3):
            await desk.hand(poster, command(f"INV{number}-A", command_id=str(number)))

    found = Pace.model_validate_json(desk.waiting[POSTING_PACE])
    assert LATE <= found.seconds_per_request < 3 * LATE  # a busy machine adds to it
    assert found.requests_per_voucher >= 2


async def test_what_waits_of_a_paused_company_is_never_clear_until_it_is_resumed(desk: Desk) -> None:
    order = {"company": "10", "actor": "ann", "at": utc_now(), "reason": "month end"}
    desk.pauses.apply(PostingPaused(**order))
    async with desk.poster() as poster:
        await desk.hand(poster, command())
        assert (told("backlog"), told("seconds_until_clear")) == (1, math.inf)

        desk.pauses.apply(PostingResumed(**order))
        await desk.until_nobody_waits(poster)
        assert (told("backlog"), told("seconds_until_clear")) == (0, 0)

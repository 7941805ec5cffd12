"""Following a topic for ever: what is tried again, from where, and what is told of it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import structlog

from schemas.errors import LogUnavailableError, TopicsError
from streams import background
from streams.log.following import keep_following

TOLD = "it cannot be followed"


class Course:
    """What each try to follow comes to: a batch for None, else what it fails of; at its end it rests."""

    def __init__(self, *tries: list[Exception | None]) -> None:
        self.tries = list(tries)
        self.batches = 0
        self.anew = 0
        self.over = asyncio.Event()

    async def follow_on(self) -> AsyncGenerator[None, None]:
        if not self.tries:
            self.over.set()
            await asyncio.Event().wait()
        for step in self.tries.pop(0):
            if step:
                raise step
            self.batches += 1
            yield

    def read_anew(self) -> None:
        self.anew += 1


async def followed(*tries: list[Exception | None]) -> tuple[Course, list[dict[str, object]]]:
    course = Course(*tries)
    following = keep_following(course.follow_on, read_anew=course.read_anew, told=TOLD, retry_seconds=0)
    with structlog.testing.capture_logs() as logs:
        async with background.running(following):
            await asyncio.wait_for(course.over.wait(), 10)
    return course, [dict(one) for one in logs]


async def test_it_goes_on_after_an_end_and_after_trouble() -> None:
    course, logs = await followed([None, None], [None, LogUnavailableError("away")], [None])

    assert course.batches == 4
    assert [one["event"] for one in logs] == [TOLD]
    assert course.anew == 0  # it goes on where it was


async def test_the_same_trouble_is_told_once_until_something_is_read_again() -> None:
    away = LogUnavailableError("away")

    _, logs = await followed([away], [away], [None, away], [LogUnavailableError("refused")])

    assert [one["why"] for one in logs] == ["away", "away", "refused"]


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning() -> None:
    course, logs = await followed([None, TopicsError("made anew")], [None])

    assert course.anew == 1
    assert [one["why"] for one in logs] == ["made anew"]


@pytest.mark.parametrize("fault", [ValueError("a fault of the program"), KeyError("x")])
async def test_a_fault_of_the_program_is_told_whole_and_does_not_end_it(fault: Exception) -> None:
    course, logs = await followed([None, fault], [None])

    assert course.batches == 2
    assert [(one["event"], one["exc_info"]) for one in logs] == [(TOLD, True)]
    assert course.anew == 0

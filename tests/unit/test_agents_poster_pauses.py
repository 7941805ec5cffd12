"""The stop button holds, whatever becomes of the topic that the orders are on."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from agents.poster import pauses
from schemas.errors import LogUnavailableError, TopicsError
from schemas.requests import PostingPaused
from streams.log import following
from streams.log.reader import Batch
from streams.settings import KafkaSettings


@pytest.mark.parametrize("error", [TopicsError("there is no topic connector.control.v1"), LogUnavailableError("away")])
async def test_a_pause_holds_while_the_topic_of_orders_is_away(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    asked = asyncio.Event()

    async def away(*_: object) -> AsyncGenerator[None, None]:
        asked.set()
        raise error
        yield

    monkeypatch.setattr(pauses, "follow", away)
    known = pauses.Pauses()
    known.apply(PostingPaused(company="*", actor="anna", at=datetime(2026, 3, 1, tzinfo=UTC), reason="month end"))

    async with known.following(KafkaSettings(), "connector.control.v1"):
        await asyncio.wait_for(asked.wait(), 5)
        await asyncio.sleep(0)

        assert known.all_paused


async def test_of_a_topic_made_anew_what_is_on_it_holds_once_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[Batch | Exception] = [TopicsError("made anew"), Batch([], behind=1), Batch([], behind=0)]
    known, seen = pauses.Pauses(), list[bool]()
    read = asyncio.Event()

    async def made_anew(_kafka: object, _topics: object, read_to: dict[object, int]) -> AsyncGenerator[Batch, None]:
        assert read_to == {}
        while batches:
            batch = batches.pop(0)
            if isinstance(batch, Exception):
                raise batch
            yield batch
            seen.append(known.all_paused)
        read.set()

    monkeypatch.setattr(pauses, "follow", made_anew)
    monkeypatch.setattr(following.keep_following, "__kwdefaults__", {"retry_seconds": 0.0})
    known.apply(PostingPaused(company="*", actor="anna", at=datetime(2026, 3, 1, tzinfo=UTC), reason="month end"))

    async with known.following(KafkaSettings(), "connector.control.v1"):
        await asyncio.wait_for(read.wait(), 5)

    assert seen == [True, False]

"""Keeps the console's read model up with the log, and knows how far behind it is."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Gauge

from schemas.errors import LogError
from schemas.topics import TopicNames
from streams.log.reader import Position
from streams.projection.feed import keep_up
from streams.projection.projector import PROJECTED, Projector
from streams.projection.queries import ReadModel
from streams.settings import KafkaSettings

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
CATCH_UP_SECONDS = 5.0
"""How long somebody waits for the read model, which is half a second behind as a rule."""
LOOK_AGAIN_SECONDS = 0.1

BEHIND = Gauge("zuora_ifs_console_behind_records", "Records of the log that the read model has not read yet")
PROJECTED_RECORDS = Counter("zuora_ifs_console_projected_records", "Records of the log that the read model has read")
UNREADABLE = Gauge(
    "zuora_ifs_console_unreadable_records", "Records passed over because they are not what they should be"
)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class FeedState:
    """How the read model stands towards the log; `changes` grows with every batch that brought something."""

    caught_up: bool = False
    """It was at the end of the log at least once since the start."""
    behind: int | None = None
    trouble: str | None = None
    """Why nothing new comes at present."""
    changes: int = 0
    pending: int = 0
    """Proposals that wait for a second person, where four eyes are asked for."""


async def read_in_time(model: ReadModel, ends: Mapping[Position, int]) -> bool:
    """Wait until the read model has read everything before these offsets; False if that takes too long."""
    patience = time.monotonic() + CATCH_UP_SECONDS
    while not await asyncio.to_thread(model.has_read_to, ends):
        if time.monotonic() > patience:
            return False
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return True


async def run_feed(state: FeedState, projector: Projector, kafka: KafkaSettings, names: TopicNames) -> None:
    """Follow the log for ever; when Kafka is away, try again with growing pauses."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            async with aclosing(keep_up(projector, kafka, names, PROJECTED)) as feed:
                async for fed in feed:
                    pause = FIRST_PAUSE_SECONDS
                    _note(state, fed.new, fed.behind)
                    UNREADABLE.set(projector.unreadable)
        except LogError as error:
            log.warning("the read model does not follow the log", reason=str(error), next_try_seconds=round(pause, 1))
            state.trouble = str(error)
            state.changes += 1
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads tries, guards nothing
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _note(state: FeedState, new: int, behind: int) -> None:
    if new or state.trouble or state.behind != behind:
        state.changes += 1
    state.trouble = None
    state.behind = behind
    if behind == 0 and not state.caught_up:
        state.caught_up = True
        log.info("the read model has caught up with the log")
    BEHIND.set(behind)
    PROJECTED_RECORDS.inc(new)

"""Feeding the read model from the log: up to the ends for a command, without end for the console."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass

from schemas.errors import TopicsError
from schemas.topics import TopicNames
from streams.log.reader import Batch, Bounds, follow, log_bounds, read_to_end
from streams.projection.projector import LogChangedError, Projector
from streams.settings import KafkaSettings

Progress = Callable[[int, int], None]
"""Called with how many records were read and how many are still to come."""


@dataclass(frozen=True, slots=True)
class Fed:
    """What a batch brought: records that were new, and how many are still to be read."""

    new: int
    behind: int


async def catch_up(
    projector: Projector, kafka: KafkaSettings, names: TopicNames, topics: Collection[str], progress: Progress
) -> None:
    """Bring the store up to the present ends of `topics` (public names); one that does not fit the log begins anew.

    Raises:
        LogUnavailableError: Kafka does not answer in time.
        TopicsError: a topic does not exist, or was made anew while it was read.

    """
    full_names = [names.public(topic) for topic in topics]
    bounds = await _fitting_bounds(projector, kafka, names, full_names)
    try:
        await _read(projector, kafka, full_names, bounds, progress)
    except LogChangedError:
        projector.store.clear()
        await _read(projector, kafka, full_names, bounds, progress)


async def keep_up(
    projector: Projector, kafka: KafkaSettings, names: TopicNames, topics: Collection[str]
) -> AsyncGenerator[Fed]:
    """Follow `topics` without end, saying after each batch what it brought.

    Raises:
        LogUnavailableError: Kafka does not answer any more.
        TopicsError: a topic does not exist, or was made anew; calling again makes the store fit.

    """
    full_names = [names.public(topic) for topic in topics]
    bounds = await _fitting_bounds(projector, kafka, names, full_names)
    starts = projector.store.positions(full_names)
    async with aclosing(follow(kafka, full_names, starts, bounds)) as batches:
        async for batch in batches:
            try:
                new = await _apply_in_thread(projector, batch)
            except LogChangedError:
                projector.store.clear()
                raise TopicsError("a topic was made anew: the read model is built again") from None
            yield Fed(new, batch.behind)


async def _apply_in_thread(projector: Projector, batch: Batch) -> int:
    """Write in a thread, since SQLite waits for the disk; a cancelled caller still waits, as the file is in use."""
    applied = asyncio.ensure_future(asyncio.to_thread(projector.apply, batch.records))
    try:
        return await asyncio.shield(applied)
    except asyncio.CancelledError:
        await asyncio.wait({applied})
        raise


async def _read(
    projector: Projector, kafka: KafkaSettings, full_names: list[str], bounds: Bounds, progress: Progress
) -> None:
    done = 0
    starts = projector.store.positions(full_names)
    async with aclosing(read_to_end(kafka, full_names, starts, bounds)) as batches:
        async for batch in batches:
            done += projector.apply(batch.records)
            progress(done, batch.behind)


async def _fitting_bounds(
    projector: Projector, kafka: KafkaSettings, names: TopicNames, full_names: list[str]
) -> Bounds:
    bounds = await log_bounds(kafka, full_names)
    projector.partitions = Counter(topic for topic, _ in bounds.end)
    log_id = f"{bounds.cluster_id}/{names.prefix}"
    opened_with = projector.store.meta("opened_with") or projector.opener.mark
    if not projector.store.fits(log_id, bounds) or opened_with != projector.opener.mark:
        projector.store.clear()
    projector.store.set_meta("log", log_id)
    projector.store.set_meta("opened_with", projector.opener.mark)
    return bounds

"""Whether the bookkeeper has applied a change: its consumer group's committed offsets tell."""

import asyncio
from collections.abc import Mapping

from aiokafka.errors import GroupCoordinatorNotAvailableError

from schemas.errors import LogUnavailableError
from schemas.topics import CHART_COPY, TopicNames
from streams.log.reader import Position, log_bounds
from streams.log.topics import admin_client
from streams.settings import KafkaSettings

POLL_SECONDS = 0.2


async def wait_until_applied(
    kafka: KafkaSettings, names: TopicNames, changes: Mapping[Position, int], *, seconds: float
) -> None:
    """Return when every partition of the bookkeeper has applied the changes, given by their highest offsets.

    What is per company reaches the partitions as copies on a topic of our own: once the changes are done with, all that
    was on that topic by then has to be done with too.

    Raises:
        LogUnavailableError: not within `seconds`; the changes are in Kafka all the same.

    """
    try:
        async with asyncio.timeout(seconds):
            await _committed(kafka, names, {position: offset + 1 for position, offset in changes.items()})
            copies = await log_bounds(kafka, [names.working(CHART_COPY)])
            await _committed(kafka, names, {position: end for position, end in copies.end.items() if end})
    except TimeoutError:
        raise LogUnavailableError(
            f"the change is in Kafka, but was not applied everywhere within {seconds:g} s: is a bookkeeper running?"
        ) from None


async def _committed(kafka: KafkaSettings, names: TopicNames, needed: Mapping[Position, int]) -> None:
    """Wait until the bookkeeper's group has committed at least the `needed` offsets."""
    while True:
        # Each question is short, as an admin client is for one short piece of work.
        async with admin_client(kafka) as admin:
            try:
                found = await admin.list_consumer_group_offsets(names.agent("bookkeeper"))
            except GroupCoordinatorNotAvailableError:
                found = {}  # so says a cluster that has not had a consumer group yet
        done = {(partition.topic, partition.partition): committed.offset for partition, committed in found.items()}
        if all(done.get(position, -1) >= offset for position, offset in needed.items()):
            return
        await asyncio.sleep(POLL_SECONDS)

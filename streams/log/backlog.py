"""How far a consumer group is behind the end of a topic."""

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    GroupCoordinatorNotAvailableError,
    NotCoordinatorForGroupError,
)

from schemas.errors import LogUnavailableError
from streams.log.groups import heeding_errors_of_offsets
from streams.log.reader import log_bounds
from streams.log.topics import admin_client
from streams.settings import KafkaSettings

PATIENCE_SECONDS = 5.0
"""A cluster that has not had a group yet makes the topic of what groups commit when it is first asked, within seconds;
one where that topic's partition has no leader gives the same answer, and may go on doing so for long."""
POLL_SECONDS = 0.2
_PASSING = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, CoordinatorLoadInProgressError)


async def backlog(kafka: KafkaSettings, *, group: str, topic: str) -> int:
    """Count the records behind the committed offsets of a group; all that are there if it has committed none.

    Raises:
        LogUnavailableError: Kafka does not answer, or cannot tell just now what the group has committed.
        TopicsError: the topic does not exist.

    """
    bounds = await log_bounds(kafka, [topic])
    async with admin_client(kafka) as admin:
        admin._send_request = heeding_errors_of_offsets(admin._send_request)  # noqa: SLF001
        found = await _committed(admin, group)
    committed = {(place.topic, place.partition): done.offset for place, done in found.items()}
    return sum(max(0, end - max(committed.get(place, 0), bounds.first[place])) for place, end in bounds.end.items())


async def _committed(admin: AIOKafkaAdminClient, group: str) -> dict[Any, Any]:
    """Return what a group has committed; never nothing for want of an answer, for that would be the whole topic."""
    clock = asyncio.get_running_loop()
    until = clock.time() + PATIENCE_SECONDS
    while True:
        try:
            found: dict[Any, Any] = await admin.list_consumer_group_offsets(group, await admin.find_coordinator(group))
        except _PASSING as error:
            if clock.time() >= until:
                raise LogUnavailableError(
                    f"how far {group} is cannot be told just now: Kafka has nobody who knows what it has committed "
                    f"({type(error).__name__}). It works on where it can; ask again in a while, and if that stays, see "
                    "whether __consumer_offsets has a leader for each partition"
                ) from error
            await asyncio.sleep(POLL_SECONDS)
        else:
            return found

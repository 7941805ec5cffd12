"""How far a consumer group is behind the end of a topic."""

from aiokafka.errors import GroupCoordinatorNotAvailableError

from streams.log.groups import heeding_errors_of_offsets
from streams.log.reader import log_bounds
from streams.log.topics import admin_client
from streams.settings import KafkaSettings


async def backlog(kafka: KafkaSettings, *, group: str, topic: str) -> int:
    """Count the records behind the committed offsets of a group; all that are there if it has committed none.

    Raises:
        LogUnavailableError: Kafka does not answer.
        TopicsError: the topic does not exist.

    """
    bounds = await log_bounds(kafka, [topic])
    async with admin_client(kafka) as admin:
        admin._send_request = heeding_errors_of_offsets(admin._send_request)  # noqa: SLF001
        try:
            coordinator = await admin.find_coordinator(group)
        except GroupCoordinatorNotAvailableError:
            found = {}  # so says a cluster that has not had a consumer group yet
        else:
            found = await admin.list_consumer_group_offsets(group, coordinator)
    committed = {(place.topic, place.partition): done.offset for place, done in found.items()}
    return sum(max(0, end - max(committed.get(place, 0), bounds.first[place])) for place, end in bounds.end.items())

"""Dead letters of the topics that no worker reads: steps of records, proposals, and dead letters themselves.

The read model keeps what it cannot read of them, in the transaction in which it notes how far it has read, until it
meets the dead letter. So nothing is forgotten over a crash, and nothing is parked again after a restart. Two consoles
that meet the same at the same moment may both park it, which is shown once.
"""

import asyncio
from collections.abc import AsyncGenerator

import structlog

from agents.console.feed import read_in_time
from agents.console.sending import PROCESS
from schemas.errors import UnreadableError
from schemas.topics import DEAD_LETTER, TopicNames
from streams.log.following import RETRY_SECONDS, keep_following
from streams.log.messages import dead_letter
from streams.log.reader import log_bounds
from streams.log.sending import send_all
from streams.log.topics import LEAST_MESSAGE_BYTES
from streams.projection.queries import ReadModel
from streams.settings import KafkaSettings

log = structlog.get_logger(__name__)


async def park_unreadable(
    model: ReadModel, kafka: KafkaSettings, names: TopicNames, *, retry_seconds: float = RETRY_SECONDS
) -> None:
    """Park what the read model keeps, for ever; while Kafka does not take it, the read model goes on.

    Letters are cut to what any topic takes that workers accept: to ask for more takes a right that a console need not
    have.
    """
    topic = names.public(DEAD_LETTER)

    async def park_on() -> AsyncGenerator[None, None]:
        while await asyncio.to_thread(model.unparked):
            # What we sent ourselves a moment ago, or another console did, must have been read before we look again.
            bounds = await log_bounds(kafka, [topic])
            ends = {place: end for place, end in bounds.end.items() if end > bounds.first[place]}
            if not await read_in_time(model, ends):
                return
            found = await asyncio.to_thread(model.unparked)
            letters = [
                dead_letter(topic, record, reason, UnreadableError(reason), largest=LEAST_MESSAGE_BYTES)
                for record, reason in found
            ]
            await send_all(kafka, letters, client_id=f"{names.app_id}-{PROCESS}")
            for record, reason in found:
                place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
                log.warning("parked as a dead letter", **place, why=reason)
            yield

    told = "what the console cannot read is not parked yet; it is tried again"
    await keep_following(park_on, read_anew=lambda: None, told=told, retry_seconds=retry_seconds)

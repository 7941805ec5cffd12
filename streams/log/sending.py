"""Many messages in their order, each confirmed by all in-sync replicas, at most so many on their way."""

import asyncio
from collections import deque
from collections.abc import Sequence

from aiokafka.structs import RecordMetadata

from schemas.errors import LogError
from streams.log.messages import Message
from streams.log.producer import LogProducer
from streams.log.reader import Position
from streams.settings import KafkaSettings

IN_FLIGHT = 1_000
"""Messages sent and not yet confirmed."""
CONFIRM_SECONDS = 30.0
"""How long Kafka may take to confirm one message."""


class BrokenOffError(LogError):
    """Sending stopped in the middle; what is in stays in."""


async def send_all(kafka: KafkaSettings, messages: Sequence[Message], *, client_id: str) -> dict[Position, int]:
    """Send messages and return when Kafka has them all: the highest offset in each partition that was written to.

    Raises:
        LogUnavailableError: Kafka cannot be reached; nothing was sent.
        BrokenOffError: some were not confirmed; the message says how many are in.

    """
    if not messages:
        return {}
    producer = LogProducer(kafka, client_id=client_id)
    await producer.start()
    try:
        return await _send_all(producer, messages)
    finally:
        await producer.stop()


async def _send_all(producer: LogProducer, messages: Sequence[Message]) -> dict[Position, int]:
    confirmed = 0
    highest: dict[Position, int] = {}
    waiting: deque[asyncio.Future[RecordMetadata]] = deque()

    async def confirm() -> None:
        nonlocal confirmed
        place = await waiting.popleft()
        highest[place.topic, place.partition] = place.offset
        confirmed += 1

    try:
        for one in messages:
            async with asyncio.timeout(CONFIRM_SECONDS):
                waiting.append(
                    await producer.send(
                        one.topic, key=one.key, value=one.value, headers=one.headers, partition=one.partition
                    )
                )
                if len(waiting) >= IN_FLIGHT:
                    await confirm()
        async with asyncio.timeout(CONFIRM_SECONDS):
            while waiting:
                await confirm()
    except Exception as error:
        for future in waiting:
            future.cancel()
        raise BrokenOffError(
            f"Kafka stopped taking changes ({type(error).__name__}): {confirmed} of {len(messages)} are in for certain;"
            " run the command again to complete it"
        ) from error
    return highest

"""How commands change mappings and rules: each change is an event, confirmed by Kafka before the command returns."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from agents.cli.reading import topic_names
from schemas.errors import ConnectorError
from schemas.topics import MAPPING
from streams.log.producer import LogProducer
from streams.mapping_changes import change_message
from streams.settings import Settings
from streams.views.mappings import MappingEvent

IN_FLIGHT = 1_000
"""Changes sent and not yet confirmed."""
CONFIRM_SECONDS = 30.0
"""How long Kafka may take to confirm one change."""


class BrokenOffError(ConnectorError):
    """Sending stopped in the middle; what is in stays in."""


def send_changes(settings: Settings, events: Sequence[MappingEvent]) -> None:
    """Send changes in their order and return when Kafka has them all.

    Raises:
        LogUnavailableError: Kafka cannot be reached; nothing was sent.
        BrokenOffError: some were not confirmed; the message says how many are in.

    """
    if events:
        asyncio.run(_send(settings, events))


async def _send(settings: Settings, events: Sequence[MappingEvent]) -> None:
    topic = topic_names(settings).public(MAPPING)
    producer = LogProducer(settings.kafka, client_id=f"{settings.app_id}-cli")
    await producer.start()
    try:
        await _send_all(producer, topic, events)
    finally:
        await producer.stop()


async def _send_all(producer: LogProducer, topic: str, events: Sequence[MappingEvent]) -> None:
    confirmed = 0
    waiting: deque[asyncio.Future[Any]] = deque()
    try:
        for event in events:
            message = change_message(topic, event, process="cli")
            async with asyncio.timeout(CONFIRM_SECONDS):
                waiting.append(
                    await producer.send(topic, key=message.key, value=message.value, headers=message.headers)
                )
                if len(waiting) >= IN_FLIGHT:
                    await waiting.popleft()
                    confirmed += 1
        async with asyncio.timeout(CONFIRM_SECONDS):
            while waiting:
                await waiting.popleft()
                confirmed += 1
    except Exception as error:
        for future in waiting:
            future.cancel()
        raise BrokenOffError(
            f"Kafka stopped taking changes ({type(error).__name__}): {confirmed} of {len(events)} are in for certain;"
            " run the command again to complete it"
        ) from error

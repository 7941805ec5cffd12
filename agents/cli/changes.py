"""How commands change mappings and rules: each change is an event, confirmed by Kafka before the command returns."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import click

from agents.cli.reading import topic_names
from schemas.errors import ConnectorError
from schemas.topics import MAPPING
from streams.log.applied import wait_until_applied
from streams.log.producer import LogProducer
from streams.log.reader import Position
from streams.mapping_changes import change_message
from streams.settings import Settings
from streams.views.mappings import MappingEvent

IN_FLIGHT = 1_000
"""Changes sent and not yet confirmed."""
CONFIRM_SECONDS = 30.0
"""How long Kafka may take to confirm one change."""
APPLY_SECONDS = 60.0
"""How long `--wait` waits for the bookkeeper."""

wait_option = click.option("--wait", is_flag=True, help="Return only when every partition has applied the change.")


class BrokenOffError(ConnectorError):
    """Sending stopped in the middle; what is in stays in."""


def send_changes(settings: Settings, events: Sequence[MappingEvent], *, wait: bool = False) -> None:
    """Send changes in their order and return when Kafka has them all, with `wait` when every partition applied them.

    Raises:
        LogUnavailableError: Kafka cannot be reached, and nothing was sent; or nobody applied the changes in time.
        BrokenOffError: some were not confirmed; the message says how many are in.

    """
    if events:
        asyncio.run(_send(settings, events, wait=wait))


async def _send(settings: Settings, events: Sequence[MappingEvent], *, wait: bool) -> None:
    names = topic_names(settings)
    producer = LogProducer(settings.kafka, client_id=f"{settings.app_id}-cli")
    await producer.start()
    try:
        highest = await _send_all(producer, names.public(MAPPING), events)
    finally:
        await producer.stop()
    if wait:
        await wait_until_applied(settings.kafka, names, highest, seconds=APPLY_SECONDS)


async def _send_all(producer: LogProducer, topic: str, events: Sequence[MappingEvent]) -> dict[Position, int]:
    """Send all and return the highest offset in each partition."""
    confirmed = 0
    highest: dict[Position, int] = {}
    waiting: deque[asyncio.Future[Any]] = deque()

    async def confirm() -> None:
        nonlocal confirmed
        place = await waiting.popleft()
        highest[place.topic, place.partition] = place.offset
        confirmed += 1

    try:
        for event in events:
            message = change_message(topic, event, process="cli")
            async with asyncio.timeout(CONFIRM_SECONDS):
                waiting.append(
                    await producer.send(topic, key=message.key, value=message.value, headers=message.headers)
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
            f"Kafka stopped taking changes ({type(error).__name__}): {confirmed} of {len(events)} are in for certain;"
            " run the command again to complete it"
        ) from error
    return highest

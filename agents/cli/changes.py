"""How commands change mappings and rules: each change is an event, confirmed by Kafka before the command returns."""

import asyncio
from collections.abc import Sequence

import click

from agents.cli.reading import topic_names
from schemas.topics import MAPPING
from streams.log.applied import wait_until_applied
from streams.log.sending import send_all
from streams.mapping_changes import change_message
from streams.settings import Settings
from streams.views.mappings import MappingEvent

APPLY_SECONDS = 60.0
"""How long `--wait` waits for the bookkeeper."""

wait_option = click.option("--wait", is_flag=True, help="Return only when every partition has applied the change.")


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
    messages = [change_message(names.public(MAPPING), event, process="cli") for event in events]
    highest = await send_all(settings.kafka, messages, client_id=f"{settings.app_id}-cli")
    if wait:
        await wait_until_applied(settings.kafka, names, highest, seconds=APPLY_SECONDS)

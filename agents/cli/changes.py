"""How commands change mappings and rules: each change is an event, confirmed by Kafka before the command returns."""

import asyncio
from collections.abc import Sequence

import click

from agents.cli.reading import read_model, topic_names
from schemas.base import utc_now
from schemas.errors import UsageError
from schemas.topics import MAPPING
from streams.accounting.keys import mapping_key
from streams.log.applied import wait_until_applied
from streams.log.sending import send_all
from streams.mapping_changes import change_message
from streams.proposals import proposal_message, propose, versions_now
from streams.settings import Settings
from streams.views.mappings import MappingEvent

APPLY_SECONDS = 60.0
"""How long `--wait` waits for the bookkeeper."""

wait_option = click.option("--wait", is_flag=True, help="Return only when every partition has applied the change.")


def carry_out(settings: Settings, event: MappingEvent, done: str, *, wait: bool) -> None:
    """Send or propose a change, and say which of the two; `done` is the word for the first, such as `set`.

    Raises like `send_changes`.
    """
    proposal = send_changes(settings, [event], wait=wait)
    click.echo(f"{mapping_key(event)}: {proposed(proposal) if proposal else done}")


def send_changes(settings: Settings, events: Sequence[MappingEvent], *, wait: bool = False) -> str | None:
    """Send changes in their order and return when Kafka has them all, with `wait` when every partition applied them.

    With four eyes they are proposed together instead: the proposal's id is returned, and nothing has taken effect.

    Raises:
        UsageError: `wait` with four eyes.
        LogUnavailableError: Kafka cannot be reached, and nothing was sent; or nobody applied the changes in time.
        BrokenOffError: some were not confirmed; the message says how many are in.

    """
    if settings.four_eyes and wait:
        raise UsageError("--wait: with ZIFS_FOUR_EYES a change takes effect only when another person approves it")
    if not events:
        return None
    if settings.four_eyes:
        return _propose(settings, events)
    asyncio.run(_send(settings, events, wait=wait))
    return None


def proposed(proposal: str) -> str:
    """Return what a person is told of a change that was proposed."""
    return f"proposed as {proposal}: it takes effect when another person approves it in the console"


def _propose(settings: Settings, events: Sequence[MappingEvent]) -> str:
    versions = versions_now(read_model(settings, [MAPPING]))
    first, names = events[0], topic_names(settings)
    parts = propose(
        events, versions, actor=first.actor, at=utc_now(), comment=first.comment if len(events) == 1 else None
    )
    messages = [proposal_message(names, part, "cli") for part in parts]
    asyncio.run(send_all(settings.kafka, messages, client_id=f"{settings.app_id}-cli"))
    return parts[0].proposal


async def _send(settings: Settings, events: Sequence[MappingEvent], *, wait: bool) -> None:
    names = topic_names(settings)
    messages = [change_message(names.public(MAPPING), event, process="cli") for event in events]
    highest = await send_all(settings.kafka, messages, client_id=f"{settings.app_id}-cli")
    if wait:
        await wait_until_applied(settings.kafka, names, highest, seconds=APPLY_SECONDS)

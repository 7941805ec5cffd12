"""`zuora-ifs topics`: create topics as declared, say what differs."""

import asyncio
import sys

import click

from agents.cli.output import json_option, print_json, settings_with_kafka
from schemas.topics import TopicNames
from streams.log.topics import apply_topics, check_topics
from streams.settings import Settings


@click.group()
def topics() -> None:
    """Create topics as declared, say what differs."""


@topics.command()
@json_option
def apply(*, as_json: bool) -> None:
    """Create the topics that are missing.

    What is there already is never changed; where it differs from the declaration that is said, and the exit code is 1.
    """
    created, differences = asyncio.run(_apply(settings_with_kafka()))
    if as_json:
        print_json({"created": created, "differences": differences})
    else:
        for name in created:
            click.echo(f"{name}: created")
        _say_differences(differences)
    sys.exit(1 if differences else 0)


@topics.command()
@json_option
def check(*, as_json: bool) -> None:
    """Say what differs from the declaration; the exit code is 1 if anything does."""
    settings = settings_with_kafka()
    differences = asyncio.run(check_topics(settings.kafka, _names(settings)))
    if as_json:
        print_json({"differences": differences})
    else:
        _say_differences(differences)
    sys.exit(1 if differences else 0)


async def _apply(settings: Settings) -> tuple[list[str], list[str]]:
    names = _names(settings)
    return await apply_topics(settings.kafka, names), await check_topics(settings.kafka, names)


def _names(settings: Settings) -> TopicNames:
    return TopicNames(prefix=settings.kafka.topic_prefix, app_id=settings.app_id)


def _say_differences(differences: list[str]) -> None:
    for difference in differences:
        click.echo(difference)
    if not differences:
        click.echo("all topics are as declared")

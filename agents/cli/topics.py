"""`zuora-ifs topics`: create topics as declared, say what differs, list the rights that processes need."""

import asyncio
import sys
from collections.abc import Callable

import click

from agents.cli.output import json_option, print_json, settings_with_kafka
from schemas.topics import TopicNames
from streams.log.acls import PROCESSES, acls, commands
from streams.log.connection import bootstrap_servers
from streams.log.topics import apply_topics, check_topics
from streams.settings import Settings


@click.group()
def topics() -> None:
    """Create topics as declared, say what differs, list the rights that processes need."""


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


def _principal_options(command: Callable[..., None]) -> Callable[..., None]:
    for process in reversed(PROCESSES):
        command = click.option(
            f"--principal-{process}",
            default=f"User:zuora-ifs-{process}",
            show_default=True,
            help=f"Who {'`topics apply` and `topics check`' if process == 'setup' else process} is at the brokers.",
        )(command)
    return command


@topics.command("acls")
@_principal_options
@click.option("--command-config", help="The file with which your kafka-acls.sh reaches a secured cluster.")
@click.option("--process", "only", type=click.Choice(list(PROCESSES)), multiple=True, help="These alone.")
@json_option
def list_acls(*, only: tuple[str, ...], command_config: str | None, as_json: bool, **principals: str) -> None:
    """List the rights that each process needs at the brokers, as commands for Kafka's own `kafka-acls.sh`.

    Nothing is asked of Kafka and nothing changed. Where two processes share a principal, it gets the rights of both.
    """
    settings = settings_with_kafka()
    wanted = {process: principals[f"principal_{process}"] for process in only or PROCESSES}
    found = acls(settings.kafka, _names(settings), wanted, four_eyes=settings.four_eyes)
    if as_json:
        print_json({"acls": [acl.as_json() for acl in found]})
        return
    for line in commands(found, bootstrap_servers(settings.kafka), command_config):
        click.echo(line)


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

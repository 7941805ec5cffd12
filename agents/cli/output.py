"""What commands have in common: JSON on standard output, common options, settings with Kafka."""

import getpass
from collections.abc import Callable
from typing import Any

import click
import orjson

from streams.log.connection import bootstrap_servers
from streams.settings import Settings, load_settings

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")

LONGEST_ACTOR = 200


def at_most(longest: int) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Return the check of an option's text: longer than so many characters is wrong usage."""

    def check(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
        if text is not None and len(text) > longest:
            raise click.BadParameter(f"{len(text)} characters are too many: at most {longest}")
        return text

    return check


actor_option = click.option(
    "--actor",
    callback=at_most(LONGEST_ACTOR),
    default=getpass.getuser,
    show_default="the operating-system user",
    help="Who is recorded with the change.",
)


def print_json(value: Any) -> None:
    """Write one JSON value, and nothing else, on standard output; what JSON has no word for is written as text."""
    click.echo(orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))


def settings_with_kafka() -> Settings:
    """Read the settings of a command that needs Kafka.

    Raises:
        SettingsError: a setting is wrong, or ZIFS_KAFKA__BOOTSTRAP_SERVERS is missing.

    """
    settings = load_settings()
    bootstrap_servers(settings.kafka)
    return settings

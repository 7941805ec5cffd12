"""The group of all commands, and what their errors become: one line on standard error and an exit code.

Exit codes: 0 done, 1 found something wrong, 2 wrong usage or settings, 130 interrupted.
"""

import importlib
import logging
import sys
import tomllib
from collections.abc import Sequence
from typing import NoReturn

import click

from agents.cli.ownership import ROOT, foreign_package

PROGRAM = "zuora-ifs"

# Command -> module and the click command in it, imported only when called: a start takes a fraction of a second.
COMMANDS = {
    "approvals": "agents.cli.approvals:approvals",
    "credentials": "agents.cli.credentials:credentials",
    "dead-letters": "agents.cli.dead_letters:dead_letters",
    "erase": "agents.cli.erase:erase",
    "demo": "agents.cli.demo:demo",
    "ping": "agents.cli.ping:ping",
    "posting": "agents.cli.posting:posting",
    "schemas": "agents.cli.schemas:schemas",
    "companies": "agents.cli.companies:companies",
    "rules": "agents.cli.rules:rules",
    "replay": "agents.cli.replay:replay",
    "records": "agents.cli.records:records",
    "mappings": "agents.cli.mappings:mappings",
    "console": "agents.cli.processes:console",
    "worker": "agents.cli.processes:worker",
    "ingress": "agents.cli.processes:ingress",
    "kafka": "agents.cli.kafka:kafka",
    "topics": "agents.cli.topics:topics",
}


class CommandTable(click.Group):
    """A group whose commands are read from `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, as they are listed in the help."""
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name; None if there is none."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


def project_version() -> str:
    """Return the version from the project's own file, which is also in the image; nothing is installed there."""
    project: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return project


@click.group(cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(project_version())
@click.option("--debug", is_flag=True, help="Show where an unexpected error came from, and what libraries log.")
def program(*, debug: bool) -> None:
    """Keep the ledger of IFS Cloud in step with the billing of Zuora.

    Settings are environment variables (or a .env file) with the prefix ZIFS_.
    """
    # Commands tell their own errors in one line; processes that keep logs configure them when they start.
    logging.basicConfig(level=logging.DEBUG if debug else logging.CRITICAL)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code; errors are one line, never a traceback."""
    if (foreign := foreign_package()) is not None:
        sys.exit(_say(foreign, 1))
    words = list(sys.argv[1:] if arguments is None else arguments)
    if (garbled := next((number for number, word in enumerate(words, 1) if not _is_text(word)), None)) is not None:
        sys.exit(_say(f"argument {garbled} is not in the encoding of this terminal", 2))
    try:
        code = program.main(words, prog_name=PROGRAM, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        code = _say(_with_place(error), error.exit_code)
    except click.Abort:
        code = 130
    except Exception as error:
        if "--debug" in words:
            raise
        code = _say_error(error)
    sys.exit(code if isinstance(code, int) else 0)


def _is_text(word: str) -> bool:
    """Tell text from bytes that are none: Python passes those on as halves of characters, which no event holds."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_place(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" (see `{context.command_path} --help`)" if context else ""
    return error.format_message() + hint


def _say_error(error: Exception) -> int:
    from schemas.errors import ConnectorError, LogDeniedError, SettingsError, UsageError  # noqa: PLC0415 - surely ours only by now

    if isinstance(error, SettingsError | UsageError | LogDeniedError):
        return _say(str(error), 2)
    if isinstance(error, ConnectorError | OSError):
        return _say(str(error), 1)
    return _say(f"unexpected {type(error).__name__}: {error} (`{PROGRAM} --debug …` shows where)", 1)


def _say(message: str, code: int) -> int:
    """Write one line, whatever the message is made of; return the exit code."""
    click.echo(" ".join(message.split()), err=True)
    return code

"""The command line: start a sandbox, or write the mappings that fit the generated data.

Every option has an environment variable, `ZUORA_SANDBOX_…` or `IFS_SANDBOX_…` and the option's name in capitals
(`ZUORA_SANDBOX_CLIENT_SECRET`), for containers.
"""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from deploy.sandbox.ifs.app import create_app as create_ifs
from deploy.sandbox.ifs.settings import IfsSettings
from deploy.sandbox.ifs.state import IfsSandbox
from deploy.sandbox.mappings import SandboxUnreachableError, fetch_accounts, mapping_rows, without, write_csv
from deploy.sandbox.serving import serve_until_told
from deploy.sandbox.zuora.app import create_app as create_zuora
from deploy.sandbox.zuora.settings import ZuoraSettings
from deploy.sandbox.zuora.state import ZuoraSandbox


class _Date(click.ParamType):
    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        """Read an ISO date."""
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value} is no date; write yyyy-mm-dd", param, ctx)


def _settings_options(settings: type[Any], prefix: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one option per setting, with the setting's default and its environment variable."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        defaults = settings()
        for field in reversed(dataclasses.fields(settings)):
            default = getattr(defaults, field.name)
            names = [f"--{field.name.replace('_', '-')}", field.name]
            shared: dict[str, Any] = {
                "envvar": f"{prefix}_{field.name.upper()}",
                "default": default,
                "show_default": field.repr,
            }
            if isinstance(default, bool):
                option = click.option(f"{names[0]}/--no-{names[0][2:]}", names[1], **shared)
            else:
                kind = _Date() if isinstance(default, dt.date) else type(default)
                option = click.option(*names, type=kind, **shared)
            command = option(command)
        return command

    return decorate


@click.group()
def main() -> None:
    """A Zuora and an IFS Cloud to develop against."""


@main.command()
@click.option("--host", default="127.0.0.1", envvar="ZUORA_SANDBOX_HOST", show_default=True)
@click.option("--port", default=0, envvar="ZUORA_SANDBOX_PORT", help="0 takes a free one", show_default=True)
@_settings_options(ZuoraSettings, "ZUORA_SANDBOX")
def zuora(host: str, port: int, **settings: Any) -> None:
    """Serve the Zuora sandbox until SIGTERM."""
    sandbox = ZuoraSandbox(ZuoraSettings(**settings))
    asyncio.run(
        serve_until_told(create_zuora(sandbox), host, port, {"system": "zuora", "clientId": sandbox.settings.client_id})
    )


@main.command()
@click.option("--host", default="127.0.0.1", envvar="IFS_SANDBOX_HOST", show_default=True)
@click.option("--port", default=0, envvar="IFS_SANDBOX_PORT", help="0 takes a free one", show_default=True)
@_settings_options(IfsSettings, "IFS_SANDBOX")
def ifs(host: str, port: int, **settings: Any) -> None:
    """Serve the IFS Cloud sandbox until SIGTERM."""
    sandbox = IfsSandbox(IfsSettings(**settings))
    facts = {"system": "ifs", "clientId": sandbox.settings.client_id, "realm": sandbox.settings.realm}
    asyncio.run(serve_until_told(create_ifs(sandbox), host, port, facts))


@main.command()
@click.option(
    "--zuora-url", required=True, envvar="ZUORA_SANDBOX_URL", help="a running Zuora sandbox, whose accounts are mapped"
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="the file to write; standard output otherwise"
)
@click.option(
    "--leave-out",
    multiple=True,
    metavar="KIND:KEY",
    help="leave out tax:VAT25, product:SKU-ANL-001, cash:USD, unapplied:10, account:FIRST (or its id or number)",
)
def mappings(zuora_url: str, output: Path | None, leave_out: tuple[str, ...]) -> None:
    """Write the mapping CSV that maps all generated data to the default companies of the IFS sandbox."""
    try:
        accounts = asyncio.run(fetch_accounts(zuora_url))
        text = write_csv(without(mapping_rows(accounts), accounts, leave_out))
    except (SandboxUnreachableError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")

"""The commands that run one process, a container each: `ingress`, `worker`, `console`."""

import click

from agents.cli.output import settings_with_kafka
from agents.logs import configure_logging
from schemas.errors import LogError
from streams.settings import Settings

AGENTS = ("collector", "bookkeeper", "poster")
"""In the order a record passes through them."""


def _agents(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    """Return the named agents in their own order, each once."""
    named = {name.strip() for name in value.split(",") if name.strip()}
    if unknown := sorted(named - set(AGENTS)):
        raise click.BadParameter(f"no agent is called {', '.join(unknown)}; there are {', '.join(AGENTS)}")
    if not named:
        raise click.BadParameter(f"name at least one of {', '.join(AGENTS)}")
    return [name for name in AGENTS if name in named]


def _settings() -> Settings:
    settings = settings_with_kafka()
    configure_logging(settings.log_format)
    return settings


# Each process imports only what it runs: ingress starts without Faust, and none waits for another's imports.


@click.command()
def ingress() -> None:
    """Take Zuora's webhooks in and append them to Kafka."""
    from agents.ingress.app import run_ingress  # noqa: PLC0415

    run_ingress(_settings())


@click.command()
@click.option("--agents", default=",".join(AGENTS), show_default=True, callback=_agents, help="Which, comma-separated.")
def worker(agents: list[str]) -> None:
    """Fetch records, join them with their mappings, write vouchers to IFS Cloud."""
    from agents.app import run_worker  # noqa: PLC0415
    from agents.runtime.process import refuse  # noqa: PLC0415

    try:
        run_worker(_settings(), agents)
    except LogError as error:  # an orchestrator starts it again at 69 and not at 2; other commands end with 1
        raise SystemExit(refuse(error)) from None


@click.command()
def console() -> None:
    """Serve the pages and the API for people and programs."""
    from agents.console.app import run_console  # noqa: PLC0415

    run_console(_settings())

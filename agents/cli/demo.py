"""`zuora-ifs demo`: everything on one machine, with live progress."""

import asyncio
import shutil
import signal
from pathlib import Path

import click
from rich.console import Console

from agents.cli.ownership import ROOT
from agents.demo.children import Children
from agents.demo.setting import Stage, prepare, start_processes
from agents.demo.story import Ending, Story
from agents.demo.telling import Screen, tell_ending
from schemas.base import Status
from schemas.errors import ConnectorError, UsageError
from streams.settings import KafkaSettings, load_settings

INVOICES_PER_ACCOUNT = 4
ATTEND_SECONDS = 1.0


@click.command()
@click.option("--invoices", type=click.IntRange(4, 100_000), default=120, show_default=True, help="In the bill run.")
@click.option("--exit-when-done", is_flag=True, help="End when every record has come to its end.")
def demo(invoices: int, *, exit_when_done: bool) -> None:
    """Run everything on this machine: Kafka, a Zuora and an IFS sandbox, ingress, worker, console, and a bill run.

    Uses the Kafka of ZIFS_KAFKA__BOOTSTRAP_SERVERS where that is set, with topics of its own that it deletes at the
    end; else starts one.
    """
    if not (ROOT / "deploy" / "sandbox").is_dir():
        raise UsageError("the demonstration comes with the project's folder, not with this installation")
    settings = load_settings()
    folder = settings.data_dir.absolute() / "demo"
    shutil.rmtree(folder, ignore_errors=True)  # each demonstration begins with an empty Zuora and an empty ledger
    ending = asyncio.run(_run(settings.kafka, folder, invoices, exit_when_done=exit_when_done))
    if ending is None:
        raise click.Abort
    if set(ending.counts) - {Status.POSTED, Status.NOT_POSTED, Status.CAPTURED}:
        raise ConnectorError("not every record came to a good end; see above")


async def _run(kafka: KafkaSettings, folder: Path, invoices: int, *, exit_when_done: bool) -> Ending | None:
    told_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    children = Children(folder / "logs", ROOT)
    stop = asyncio.create_task(told_to_stop.wait())
    show = asyncio.create_task(_perform(children, kafka, folder, invoices))
    try:
        await asyncio.wait({stop, show}, return_when=asyncio.FIRST_COMPLETED)
        if not show.done():
            return None
        ending = show.result()
        if not exit_when_done:
            click.echo("\nEverything goes on running; the console is open. Ctrl-C ends it.")
            await _attend(children, stop)
        return ending
    finally:
        for task in (show, stop):
            task.cancel()
        await asyncio.gather(show, stop, return_exceptions=True)
        await children.stop()


async def _attend(children: Children, stop: asyncio.Task[bool]) -> None:
    """Wait until told to stop; a process that ends before that is an error."""
    while not stop.done():
        children.check()
        await asyncio.wait({stop}, timeout=ATTEND_SECONDS)


async def _perform(children: Children, kafka: KafkaSettings, folder: Path, invoices: int) -> Ending:
    console = Console(soft_wrap=True)
    with Screen(console) as screen:
        console.print(f"Starting {_first(kafka)}, a Zuora and an IFS Cloud to develop against …")
        stage = await prepare(children, folder, kafka, accounts=max(4, invoices // INVOICES_PER_ACCOUNT))
        console.print("Starting ingress, worker and console …")
        await start_processes(children, stage)
        _tell_where(console, stage, folder)
        ending = await Story(stage, children, folder, screen.show).tell(invoices)
    tell_ending(console, ending)
    _tell_where(console, stage, folder)
    return ending


def _first(kafka: KafkaSettings) -> str:
    given = kafka.bootstrap_servers
    return f"work on the Kafka of {given}" if given else "Apache Kafka (the first time it is fetched, 43 MB)"


def _tell_where(console: Console, stage: Stage, folder: Path) -> None:
    console.print(f"Console: {stage.console_url}/login#{stage.console_token}", highlight=False)
    console.print(f"Kafka:   {stage.environment['ZIFS_KAFKA__BOOTSTRAP_SERVERS']}, logs in {folder / 'logs'}")

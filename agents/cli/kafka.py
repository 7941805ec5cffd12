"""`zuora-ifs kafka`: a local single-node Apache Kafka in the foreground."""

import os
import sys
from typing import NoReturn

import click

from agents.cli.ownership import ROOT
from schemas.errors import UsageError
from streams.settings import load_settings


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9092, show_default=True, help="0 finds a free one.")
def kafka(port: int) -> NoReturn:
    """Run a local Apache Kafka in the foreground, for development; its data lies under ZIFS_DATA_DIR.

    One JSON line on standard output names its bootstrap servers once it answers. Stop it with Ctrl-C.
    """
    if not (ROOT / "deploy" / "kafka").is_dir():
        raise UsageError("the local Kafka comes with the project's folder, not with this installation")
    data_dir = load_settings().data_dir.absolute() / "kafka"
    command = [sys.executable, "-m", "deploy.kafka", "--port", str(port), "--data-dir", str(data_dir)]
    search_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # The broker takes this process's place: signals and exit codes are its own, there is nothing to pass on.
    os.execve(sys.executable, command, os.environ | {"PYTHONPATH": search_path})  # noqa: S606 - no shell is meant

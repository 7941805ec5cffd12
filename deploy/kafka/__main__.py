"""Runs the local broker in the foreground.

Prints one JSON line on standard output once it answers, `{"bootstrapServers": "127.0.0.1:9092", "pid": 4711}` (the
process id is Kafka's own), and ends with 0 after SIGTERM or Ctrl-C, 1 when it cannot run, 2 when called wrongly.
"""

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

import click

from deploy.kafka.broker import Broker, end_with_parent
from deploy.kafka.errors import BrokerError
from deploy.kafka.ports import free_port
from deploy.kafka.storage import Addresses


class Stopped(BaseException):
    """Somebody asked us to stop: an order, so no handler of errors may catch it."""


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9092, show_default=True, help="0 finds a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/kafka"),
    show_default=True,
    help="What the broker keeps; it is there again after a restart.",
)
@click.option(
    "--sasl-port", type=click.IntRange(1, 65535), help="A second listener, SASL_SSL, as --properties sets it."
)
@click.option("--properties", "further", type=click.File(), help="Further settings of the broker; they win over ours.")
@click.option("--add-scram", "scram", multiple=True, help="A user to begin with: 'SCRAM-SHA-512=[name=…,password=…]'.")
@click.option("--stop-with-parent", is_flag=True, help="Stop when the process that started this one dies.")
def main(
    *,
    port: int,
    host: str,
    data_dir: Path,
    sasl_port: int | None,
    further: TextIO | None,
    scram: tuple[str, ...],
    stop_with_parent: bool,
) -> None:
    """Run a single-node Apache Kafka in the foreground."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    if stop_with_parent:
        end_with_parent()
    broker: Broker | None = None
    try:
        addresses = Addresses(host, port or free_port(host), free_port(host), sasl_port)
        broker = Broker(addresses, data_dir.absolute(), further.read() if further else "", scram)
        pid = broker.start()
        print(json.dumps({"bootstrapServers": broker.addresses.bootstrap_servers, "pid": pid}), flush=True)
        broker.wait()
    except Stopped:
        pass
    except BrokerError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if broker:
            broker.stop()


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped


if __name__ == "__main__":
    main(prog_name="python -m deploy.kafka")

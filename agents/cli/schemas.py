"""`zuora-ifs schemas`: the public event contract as files."""

from pathlib import Path

import click
import orjson

from streams.json_schemas import event_schemas


@click.group()
def schemas() -> None:
    """The schemas of all events."""


@schemas.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def export(directory: Path) -> None:
    """Write a JSON Schema (2020-12) for each event, and index.json, which names them all, into DIRECTORY."""
    directory.mkdir(parents=True, exist_ok=True)
    found = event_schemas()
    index = {"events": {name: f"{name}.schema.json" for name in found}}
    files = {f"{name}.schema.json": schema for name, schema in found.items()} | {"index.json": index}
    for name, content in files.items():
        (directory / name).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    click.echo(f"{directory}: {len(found)} schemas and index.json")

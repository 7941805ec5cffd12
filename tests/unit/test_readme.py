"""The documentation says what the program does: its tables and diagrams against what they tell of."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from agents.cli.main import COMMANDS, program
from agents.runtime.failure import ExitCode
from agents.runtime.process import EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE
from schemas.base import Status, utc_now
from schemas.topics import PUBLIC_TOPICS
from streams.accounting.life_cycle import TRANSITIONS
from streams.callouts.reading import Callout, read_callout
from streams.mapping_csv import COLUMNS, parse_mappings
from streams.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
RUNBOOK = (ROOT / "deploy" / "README.md").read_text()


def table(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    below = text.partition(f"\n## {heading}\n")[2]
    rows = re.search(r"(?:^\|.*\|\n)+", below, re.MULTILINE)
    assert rows, f"there is no table below {heading}"
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[0].splitlines()[2:]]


def settings_of(model: type[BaseModel], prefix: str = "ZIFS_") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield from settings_of(type(default), f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", shown(default)


def shown(default: object) -> str:
    if default in (None, "", []):
        return "—"
    text = (
        str(default).lower() if isinstance(default, bool) else f"{default:g}" if isinstance(default, float) else default
    )
    return f"`{text}`"


def test_every_setting_is_told_with_its_default() -> None:
    told = {cells[0].strip("`"): cells[1] for cells in table(README, "Settings")}

    assert told == dict(settings_of(Settings))


def test_every_settings_meaning_is_told() -> None:
    assert [cells[0] for cells in table(README, "Settings") if not cells[2]] == []


def test_every_public_topic_is_told_with_its_partitions() -> None:
    told = {cells[0].strip("`"): cells[2] for cells in table(README, "Topics")}

    assert told == {topic.name: str(topic.partitions or "P") for topic in PUBLIC_TOPICS}


def test_every_command_is_told() -> None:
    told = {name for cells in table(README, "Commands") for name in re.findall(r"`([a-z-]+)`", cells[0])}

    assert told == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_is_told_of_a_commands_own_commands_is_there(name: str) -> None:
    command = program.get_command(click.Context(program), name)
    told = next(cells[1] for cells in table(README, "Commands") if f"`{name}`" in cells[0])
    named = {words.split()[0] for words in re.findall(r"`([a-z][^`]*)`", told)}

    if isinstance(command, click.Group):
        assert named == set(command.commands)


def test_the_mapping_files_header_is_the_programs() -> None:
    assert ",".join(COLUMNS) in README


def test_the_example_of_a_mapping_file_can_be_imported() -> None:
    example = re.search(r"(?:^    .*\n)+", README.partition("| `rounding` |")[2], re.MULTILINE)
    assert example

    lines, errors = parse_mappings(example[0].replace("    ", "").encode(), actor="reader", at=utc_now())

    assert errors == []
    assert len(lines) == 4


def test_the_callout_template_is_understood() -> None:
    body = re.search(r"^\s*(\{\"event\".*\})$", README, re.MULTILINE)
    assert body

    callout = read_callout(body[1].encode(), "application/json", {}, {})

    assert isinstance(callout, Callout)
    assert (callout.document_type, callout.object_id) == ("Invoice", "{{DataSource.Invoice.Id}}")


def diagram() -> str:
    """Return the diagram of a record's life as it follows from the table; Mermaid's names have no hyphens."""
    names = {status: status.value.replace("-", "_") for status in Status} | {None: "[*]"}
    lines = [f'    state "{status}" as {names[status]}' for status in Status if names[status] != status.value]
    for before, afters in TRANSITIONS.items():
        lines += [f"    {names[before]} --> {names[after]}" for after in sorted(afters)]
    return "\n".join(["stateDiagram-v2", *lines])


def test_the_diagram_of_a_records_life_is_the_tables() -> None:
    drawn = re.search(r"```mermaid\n(stateDiagram-v2.*?)\n```", RUNBOOK, re.DOTALL)
    assert drawn

    assert drawn[1] == diagram(), f"put this into deploy/README.md:\n{diagram()}"


def test_every_exit_code_of_a_process_is_told() -> None:
    told = {int(cells[0]) for cells in table(RUNBOOK, "Exit codes")}

    assert told == {int(code) for code in ExitCode} | {EXIT_OK, 1, EXIT_USAGE, EXIT_UNAVAILABLE}


@pytest.mark.parametrize("file", ["README.md", "CHANGELOG.md", "deploy/README.md", "deploy/sandbox/README.md"])
def test_links_between_the_documents_lead_somewhere(file: str) -> None:
    place = ROOT / file
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", place.read_text()):
        name, _, anchor = link.partition("#")
        target = (place.parent / name) if name else place
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, link

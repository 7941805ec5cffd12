"""`zuora-ifs mappings`: how Zuora accounts, products and taxes are mapped to the ledger, and what is missing."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from agents.cli.account_check import account_warnings
from agents.cli.changes import carry_out, proposed, send_changes, wait_option
from agents.cli.output import actor_option, json_option, print_json, settings_with_kafka
from agents.cli.reading import read_model
from agents.cli.tables import amounts_text, print_table
from schemas.base import Model, utc_now
from schemas.errors import ConnectorError, UsageError
from schemas.mappings import AccountMappingSet, ChartRuleSet
from schemas.topics import AUDIT, MAPPING
from streams.accounting.keys import mapping_key
from streams.csv_text import LARGEST_FILE_BYTES
from streams.mapping_changes import differences, moved_with_vouchers
from streams.mapping_csv import (
    CODE_COLUMNS,
    COLUMNS,
    MappingSet,
    check_mapping,
    check_removal,
    parse_mappings,
    render_mappings,
)
from streams.projection.queries import CurrentMapping, ReadModel
from streams.views.json import json_value
from streams.views.mappings import MAPPING_KINDS, mapping_json
from streams.views.summary import MissingMapping

KEY_COLUMNS = ("zuora_account_id", "company", "match_on", "match_value", "currency", "gateway", "comment")
HELP = {
    "zuora_account_id": "Zuora account id; may stand behind KIND instead.",
    "company": "IFS company.",
    "match_on": "For products: sku, product_name, charge_type or accounting_code.",
    "match_value": "For products and tax codes; (none) for what has none.",
    "gl_account": "Account in IFS.",
    "cost_center": "Code part B.",
    "currency": "For cash: ISO 4217 code.",
    "gateway": "For cash: Zuora's gateway id.",
    "deferred_account": "For products: account for deferred revenue.",
    "comment": "Why; kept with the change.",
}

F = TypeVar("F", bound=Callable[..., Any])


class ConfirmationError(ConnectorError):
    """A change needs a second word."""


@click.group()
def mappings() -> None:
    """Look at, change, import and export mappings; see what is missing."""


def _column_options(columns: Sequence[str]) -> Callable[[F], F]:
    def add(command: F) -> F:
        for column in reversed(columns):
            command = click.option(f"--{column.replace('_', '-')}", column, help=HELP.get(column, "Code part."))(
                command
            )
        return command

    return add


confirm_option = click.option(
    "--confirm",
    is_flag=True,
    help="Move accounts to another company or GL account though vouchers are posted for them.",
)


@mappings.command("list")
@click.option("--kind", type=click.Choice(MAPPING_KINDS), help="Only mappings of this kind.")
@click.option("--company", help="Only mappings of this company.")
@json_option
def list_mappings(kind: str | None, company: str | None, *, as_json: bool) -> None:
    """List the mappings as they stand, with version, who set them and when."""
    found = [
        one
        for one in _current(read_model(settings_with_kafka(), [MAPPING]))
        if kind in (None, one.kind) and company in (None, _set_event(one).company)
    ]
    if as_json:
        print_json([mapping_json(one.key, one.version, one.event) for one in found])
        return
    headers = ["KIND", "KEY", "COMPANY", "ACCOUNT", "CODE PARTS", "VERSION", "SET BY", "SET AT", "APPROVED BY"]
    print_table(headers, map(_row, found))


@mappings.command("set")
@click.argument("kind", metavar="KIND", type=click.Choice(MAPPING_KINDS))
@click.argument("account_id", required=False)
@_column_options([column for column in COLUMNS if column != "kind"])
@click.option("--code-part", "code_parts", multiple=True, metavar="C=VALUE", help="A code part; may be repeated.")
@confirm_option
@wait_option
@actor_option
def set_mapping(
    kind: str,
    account_id: str | None,
    code_parts: tuple[str, ...],
    actor: str,
    *,
    confirm: bool,
    wait: bool,
    **cells: str | None,
) -> None:
    """Set one mapping.

    \b
    mappings set account 8ad0… --company 10 --gl-account 1510 --cost-center 100
    mappings set product --company 10 --match-on sku --match-value ANL --gl-account 3010
    mappings set tax --company 10 --match-value VAT25 --gl-account 2610
    mappings set cash --company 10 --currency EUR --gl-account 1930
    mappings set unapplied --company 10 --gl-account 2420
    mappings set rounding --company 10 --gl-account 3740
    """  # noqa: D301 - click's own mark for lines that are not to be joined
    given = _cells(kind, account_id, cells) | _code_cells(code_parts)
    event, wrong = check_mapping(given, actor=actor, at=utc_now())
    if event is None:
        raise UsageError(_in_options(wrong))
    settings = settings_with_kafka()
    model = read_model(settings, [MAPPING, AUDIT])
    _check_confirmed(model, [event], confirmed=confirm)
    carry_out(settings, event, "set", wait=wait)


@mappings.command("remove")
@click.argument("kind", metavar="KIND", type=click.Choice(MAPPING_KINDS))
@click.argument("account_id", required=False)
@_column_options(KEY_COLUMNS)
@wait_option
@actor_option
def remove_mapping(kind: str, account_id: str | None, actor: str, *, wait: bool, **cells: str | None) -> None:
    """Remove one mapping; what needs it from now on is held until it is mapped again."""
    event, wrong = check_removal(_cells(kind, account_id, cells), actor=actor, at=utc_now())
    if event is None:
        raise UsageError(_in_options(wrong))
    settings = settings_with_kafka()
    now = read_model(settings, [MAPPING]).mapping(mapping_key(event))
    if now is None or now.removed:
        raise ConnectorError(f"{mapping_key(event)}: there is no such mapping")
    carry_out(settings, event, "removed", wait=wait)


@mappings.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check the file and say what it would change; send nothing.")
@confirm_option
@wait_option
@actor_option
@json_option
def import_mappings(file: Path, actor: str, *, dry_run: bool, confirm: bool, wait: bool, as_json: bool) -> None:
    """Set the mappings of a CSV file; if one line is wrong, nothing is sent.

    Accounts that IFS Cloud does not know are a warning, where it can be asked.
    """
    with file.open("rb") as opened:
        content = opened.read(LARGEST_FILE_BYTES + 1)  # so that a file without end is told to be too large
    lines, errors = parse_mappings(content, actor=actor, at=utc_now())
    if errors:
        if as_json:
            print_json({"errors": [{"line": error.line, "message": error.message} for error in errors], "sent": 0})
        for error in errors:
            click.echo(f"{file}: {error}", err=True)
        click.echo(f"{file}: {len(errors)} errors, nothing was sent", err=True)
        sys.exit(1)
    settings = settings_with_kafka()
    model = read_model(settings, [MAPPING, AUDIT])
    found = differences([line.event for line in lines], {one.key: one.event for one in _current(model)})
    _check_confirmed(
        model, [event for event in found.to_send if isinstance(event, AccountMappingSet)], confirmed=confirm
    )
    warnings = account_warnings(settings, lines)
    for warning in warnings:
        click.echo(f"{file}: warning: {warning}", err=True)
    proposal = None if dry_run else send_changes(settings, found.to_send, wait=wait)
    counts = {"new": len(found.new), "changed": len(found.changed), "unchanged": len(found.unchanged)}
    if as_json:
        told_more = {"proposal": proposal} if settings.four_eyes else {}
        count = 0 if dry_run or proposal else len(found.to_send)
        print_json({**counts, "sent": count, "dryRun": dry_run, "errors": [], "warnings": warnings, **told_more})
        return
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    sent = "nothing was sent (dry run)" if dry_run else f"{len(found.to_send)} sent"
    click.echo(f"{file}: {told}; {proposed(proposal) if proposal else sent}")


@mappings.command("export")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file instead of the output.")
def export_mappings(output: Path | None) -> None:
    """Write all mappings as the CSV file that `import` takes."""
    events = [_set_event(one) for one in _current(read_model(settings_with_kafka(), [MAPPING]))]
    content = render_mappings(events).encode()
    if output:
        output.write_bytes(content)
    else:
        click.get_binary_stream("stdout").write(content)


@mappings.command("missing")
@json_option
def missing_mappings(*, as_json: bool) -> None:
    """List the mappings that are missing, with how many records wait for each and their amounts."""
    found = read_model(settings_with_kafka(), [AUDIT]).missing_mappings()
    if as_json:
        print_json([json_value(one) for one in found])
        return
    if not found:
        click.echo("nothing is missing")
        return
    print_table(["KIND", "COMPANY", "WHAT", "RECORDS", "AMOUNTS"], map(_missing_row, found), right=["RECORDS"])


def _current(model: ReadModel) -> list[CurrentMapping]:
    found = [one for one in model.mappings() if one.kind in MAPPING_KINDS]
    return sorted(found, key=lambda one: (MAPPING_KINDS.index(one.kind), one.key))


def _set_event(one: CurrentMapping) -> MappingSet:
    if not isinstance(one.event, AccountMappingSet | ChartRuleSet):
        raise TypeError(f"{one.key} is no mapping")
    return one.event


def _cells(kind: str, account_id: str | None, cells: dict[str, str | None]) -> dict[str, str]:
    given = {column: cell for column, cell in cells.items() if cell is not None} | {"kind": kind}
    return given | ({"zuora_account_id": account_id} if account_id else {})


def _code_cells(code_parts: Sequence[str]) -> dict[str, str]:
    cells = {}
    for text in code_parts:
        part, equals, value = text.partition("=")
        if part.upper() not in CODE_COLUMNS or not equals:
            raise UsageError(f"--code-part {text}: write it as C=VALUE, with a code part from B to J")
        cells[CODE_COLUMNS[part.upper()]] = value
    return cells


def _in_options(wrong: Sequence[str]) -> str:
    """Return errors of columns in the words of options."""
    words = " ".join("; ".join(wrong).split()).split(" ")
    return " ".join(f"--{word.replace('_', '-')}" if word in COLUMNS and word != "kind" else word for word in words)


def _check_confirmed(model: ReadModel, events: Sequence[Model], *, confirmed: bool) -> None:
    posted = moved_with_vouchers(model, events)
    if posted and not confirmed:
        some = ", ".join(posted[:5]) + (f" and {len(posted) - 5} more" if len(posted) > 5 else "")
        raise ConfirmationError(
            f"vouchers are posted for {some}: what is open stays on the old company and GL account;"
            " nothing was sent, repeat with --confirm if that is meant"
        )


def _row(one: CurrentMapping) -> tuple[object, ...]:
    event = _set_event(one)
    account = event.gl_account
    if isinstance(event, ChartRuleSet) and event.deferred_account:
        account += f" (deferred {event.deferred_account})"
    parts = " ".join(f"{part}={code}" for part, code in sorted(event.code_parts.items()))
    return one.kind, one.key, event.company, account, parts, one.version, event.actor, _at(event), event.approved_by


def _at(event: MappingSet) -> str:
    return f"{event.at:%Y-%m-%d %H:%M:%SZ}"


def _missing_row(gap: MissingMapping) -> tuple[object, ...]:
    words = [gap.match_on, gap.key, gap.currency, gap.gateway, gap.account_number, gap.account_name]
    return gap.kind, gap.company, " ".join(word for word in words if word), gap.records, amounts_text(gap.amounts)

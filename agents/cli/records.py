"""`zuora-ifs records`: the audit log, and all that led to one record."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import click

from agents.cli.corrections import correct_record, settle_record
from agents.cli.ifs import Answered, ask_ifs
from agents.cli.output import json_option, print_json, settings_with_kafka
from agents.cli.reading import read_model, topic_names
from agents.cli.tables import print_table
from agents.cli.vouchers import RIGHT, code_parts_text, print_rows, voucher_text
from schemas.audit import Record
from schemas.base import DocumentType, Model, Status
from schemas.topics import AUDIT, DOCUMENT, MAPPING, VOUCHER, VOUCHER_COMMAND
from schemas.vouchers import PostVoucher, ReverseVoucher, VoucherPosted
from streams.accounting.origins import Origin
from streams.explanation import Explanation, Source
from streams.projection.queries import Wanted
from streams.record_details import RecordDetails, record_details
from streams.replaying import record_named
from streams.systems.ifs.whereabouts import VoucherPlace, places_of
from streams.views.correction import gap_text
from streams.views.json import json_value

MOST_RECORDS = 1_000_000


@click.group()
def records() -> None:
    """Look at records, their status and their history; say what is to be done with one."""


records.add_command(correct_record)
records.add_command(settle_record)


@records.command("list")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only records of this status.")
@click.option("--account", help="Only records of this Zuora account (id or number).")
@click.option(
    "--type", "document_type", type=click.Choice([kind.value for kind in DocumentType]), help="Document type."
)
@click.option("--limit", type=click.IntRange(1, MOST_RECORDS), default=100, show_default=True, help="At most so many.")
@json_option
def list_records(
    status: str | None, account: str | None, document_type: str | None, limit: int, *, as_json: bool
) -> None:
    """List records, the last received first."""
    wanted = Wanted(
        status=Status(status) if status else None,
        account=account,
        document_type=DocumentType(document_type) if document_type else None,
    )
    page = read_model(settings_with_kafka(), [AUDIT]).records(wanted, limit=limit)
    if as_json:
        print_json([json_value(record) for record in page.records])
        return
    headers = ["ID", "NUMBER", "STATUS", "ACCOUNT", "COMPANY", "AMOUNT", "CURRENCY", "VOUCHER", "UPDATED", "REASON"]
    print_table(headers, map(_row, page.records), right=["AMOUNT"])
    if page.next_cursor:
        click.echo(f"more than {limit} records: --limit shows more", err=True)


@records.command("show")
@click.argument("record_id", metavar="ID")
@json_option
def show_record(record_id: str, *, as_json: bool) -> None:
    """Show every event of one record, its document, its voucher and the mapping versions behind it.

    Each voucher is made again from its document and these versions, and compared with what was sent; where it is now is
    looked up in IFS Cloud, where that can be asked.

    ID is a record id such as Invoice:8ad0…, or the document's id or number in Zuora.
    """
    settings = settings_with_kafka()
    model = read_model(settings, [AUDIT, MAPPING, DOCUMENT, VOUCHER_COMMAND, VOUCHER])
    record = record_named(model, record_id)
    found = asyncio.run(record_details(settings.kafka, topic_names(settings), model, record))
    posted = [outcome for outcome in found.outcomes if isinstance(outcome, VoucherPosted)]
    places: Answered[list[VoucherPlace]] = Answered()
    if posted:
        places = ask_ifs(settings, lambda client: places_of(client, posted))
    if places.trouble:
        click.echo(f"where the vouchers are now is not known: {places.trouble}", err=True)
    if as_json:
        known = None if places.value is None else [json_value(one) for one in places.value]
        print_json(found.as_json() | {"whereabouts": known})
        return
    _print_details(found)
    if places.value:
        _print_places(places.value)


def _row(record: Record) -> tuple[object, ...]:
    return (
        record.id,
        record.document_number,
        record.status.value,
        record.account_name or record.account_number or record.account_id,
        record.company,
        f"{record.amount:,f}" if record.amount is not None else None,
        record.currency,
        voucher_text(record.voucher),
        f"{record.updated_at:%Y-%m-%d %H:%M:%SZ}",
        record.reason or "; ".join(gap_text(gap) for gap in record.missing),
    )


def _print_details(found: RecordDetails) -> None:
    record = found.record
    for name, value in json_value(record).items():
        if value not in (None, []) and name not in {"missing", "voucher", "vouchers"}:
            click.echo(f"{name:<16} {value}")
    for voucher in record.vouchers:
        click.echo(f"{'voucher':<16} {voucher_text(voucher)}")
    for gap in record.missing:
        click.echo(f"{'missing':<16} {gap_text(gap)}")
    _heading("History")
    steps = [
        (f"{step.at:%Y-%m-%d %H:%M:%SZ}", step.status.value, step.actor, step.note or step.reason)
        for step in found.steps
    ]
    print_table(["AT", "STATUS", "BY", "WHY"], steps)
    for outcome in found.outcomes or found.commands:
        _print_voucher(outcome)
    for explanation in found.explanations:
        _print_explanation(explanation)
    if found.mappings:
        _heading("Mapping versions")
        versions = [(one.key, one.version, f"{_actor(one.event)}") for one in found.mappings]
        print_table(["KEY", "VERSION", "SET BY"], versions)
    if found.document:
        _heading("Document in Zuora")
        print_json(found.document.get("document"))


def _print_explanation(explanation: Explanation) -> None:
    _heading(f"Why {explanation.reference}")
    if explanation.identical:
        click.echo("made again from its document and these versions, it comes out identical")
    else:
        click.echo(f"made again from its document and these versions, it differs: {', '.join(explanation.differences)}")
    rows = [
        (one.row.account, code_parts_text(one.row), *_sides(origin), f"{origin.role} {origin.label}", source)
        for one in explanation.rows
        for origin in one.origins
        for source in [_source(source) for source in explanation.sources_of(origin)] or [""]
    ]
    print_table(["ACCOUNT", "CODE PARTS", *RIGHT, "OF", "MAPPED BY"], rows, right=RIGHT)


def _print_places(places: Sequence[VoucherPlace]) -> None:
    _heading("In IFS now")
    rows = [(one.reference, voucher_text(one.voucher), one.place, one.status, one.update_error) for one in places]
    print_table(["REFERENCE", "VOUCHER", "WHERE", "STATUS", "ERROR"], rows)


def _sides(origin: Origin) -> tuple[Decimal | None, Decimal | None]:
    return (origin.amount, None) if origin.amount > 0 else (None, -origin.amount)


def _source(source: Source) -> str:
    return f"{source.key} version {source.version}, {source.actor} {source.at:%Y-%m-%d %H:%M:%SZ}"


def _print_voucher(event: Model) -> None:
    reference = getattr(event, "reference", "")
    _heading(f"{type(event).__name__} {reference}")
    if isinstance(event, VoucherPosted | PostVoucher | ReverseVoucher):
        print_rows(event.rows)
    else:
        click.echo(f"{getattr(event, 'reason', '')}: {getattr(event, 'message', '')}\n{getattr(event, 'advice', '')}")


def _actor(event: Model) -> str:
    return f"{getattr(event, 'actor', '')} at {getattr(event, 'at', '')}"


def _heading(text: str) -> None:
    click.echo(f"\n{text}\n{'-' * len(text)}")

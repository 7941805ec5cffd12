"""`zuora-ifs records correct` and `records settle`: a person's word about one record."""

import asyncio
from datetime import date

import click

from agents.cli.asking import ask, date_option, reason_option, word
from agents.cli.output import actor_option, settings_with_kafka
from agents.cli.reading import read_model, topic_names
from agents.cli.vouchers import print_rows
from schemas.topics import AUDIT, DOCUMENT, MAPPING, VOUCHER, VOUCHER_COMMAND
from streams.accounting.voucher import swapped
from streams.corrections import prepare_correction
from streams.replaying import record_named
from streams.requests import RequestError, check_settlement, correction_message, settlement_message
from streams.views.correction import Correction


@click.command("correct")
@click.argument("record_id", metavar="ID")
@reason_option(required=True)
@date_option
@click.option("--dry-run", is_flag=True, help="Show what would be reversed and posted; send nothing.")
@actor_option
def correct_record(record_id: str, *, reason: str, voucher_date: date | None, dry_run: bool, actor: str) -> None:
    """Reverse what is posted of a record that changed since, and post it as it is now.

    It holds for what is shown here and for nothing else: a document that changes once more has to be corrected anew.
    """
    said = word(actor, reason)
    settings = settings_with_kafka()
    names = topic_names(settings)
    model = read_model(settings, [AUDIT, MAPPING, DOCUMENT, VOUCHER_COMMAND, VOUCHER])
    record = record_named(model, record_id)
    correction = asyncio.run(prepare_correction(settings.kafka, names, model, record))
    if correction.obstacle:
        raise RequestError(f"{record.id} cannot be corrected yet: {correction.obstacle}; nothing was sent")
    _show(correction, voucher_date)
    if dry_run:
        click.echo("nothing was sent (dry run)")
        return
    fingerprints = (correction.posted_fingerprint, correction.document_fingerprint)
    ask(settings, [correction_message(names, record, fingerprints, said, voucher_date)])
    click.echo(f"{record.id}: the correction is asked for")


@click.command("settle")
@click.argument("record_id", metavar="ID")
@click.option("--voucher", required=True, help="What accounting booked, such as 10/M/2026/4711.")
@reason_option(required=True)
@actor_option
def settle_record(record_id: str, *, voucher: str, reason: str, actor: str) -> None:
    """Say that accounting booked a record by hand; a replay undoes it."""
    said = word(actor, reason)
    if not voucher.strip():
        raise click.UsageError("--voucher: say what was booked")
    settings = settings_with_kafka()
    record = record_named(read_model(settings, [AUDIT]), record_id)
    check_settlement(record)
    ask(settings, [settlement_message(topic_names(settings), record, voucher.strip(), said)])
    click.echo(f"{record.id}: the settlement with {voucher.strip()} is asked for")


def _show(correction: Correction, voucher_date: date | None) -> None:
    for posted in correction.reversed:
        click.echo(
            f"reverses {posted.reference} of {posted.voucher_date}, on {voucher_date or posted.voucher_date},"
            f" in {posted.currency}:"
        )
        print_rows(swapped(posted.rows))
    if correction.moved_to:
        click.echo(f"hands the document to Zuora account {correction.moved_to}")
    new = correction.new
    if new is None:
        click.echo(f"posts nothing instead: {correction.evaluation.reason or correction.evaluation.outcome}")
        return
    click.echo(f"posts in company {new.company} on {new.voucher_date}, in {new.currency}:")
    print_rows(new.rows)

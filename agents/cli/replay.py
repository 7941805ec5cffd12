"""`zuora-ifs replay`: chosen records once more, harmlessly, with a preview."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime

import click

from agents.cli.asking import ask, date_option, reason_option, since_option, word
from agents.cli.output import actor_option, json_option, print_json, settings_with_kafka
from agents.cli.reading import read_model, topic_names
from agents.cli.tables import print_table
from schemas.base import Status
from schemas.topics import AUDIT
from streams.replaying import Selection, plan_replay
from streams.requests import replay_messages
from streams.views.replay import Action, Planned, Replay


@click.command()
@click.option(
    "--record", "record_ids", multiple=True, metavar="ID", help="A record's id, or its document's; may be repeated."
)
@click.option("--status", type=click.Choice([status.value for status in Status]), help="All records of this status.")
@since_option
@reason_option("Why; kept with the request. A dry run needs none.")
@date_option
@click.option("--refetch", is_flag=True, help="Fetch the document from Zuora again, whatever the status is.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, per record; send nothing.")
@actor_option
@json_option
def replay(
    *,
    record_ids: tuple[str, ...],
    status: str | None,
    since: datetime | None,
    reason: str | None,
    voucher_date: date | None,
    refetch: bool,
    dry_run: bool,
    actor: str,
    as_json: bool,
) -> None:
    """Replay records: what is held, rejected, captured or failed is fetched or evaluated anew.

    What is in IFS Cloud is never posted again.
    """
    if bool(record_ids) == bool(status):
        raise click.UsageError("name records with --record, or choose them with --status; one of the two")
    if since and not status:
        raise click.UsageError("--since goes with --status")
    said = None if dry_run else word(actor, reason or "")
    settings = settings_with_kafka()
    selection = Selection(record_ids, Status(status) if status else None, since)
    wanted = Replay(voucher_date, refetch)
    planned = plan_replay(read_model(settings, [AUDIT]), selection, wanted)
    if said:
        names = topic_names(settings)
        ask(settings, [message for one in planned for message in replay_messages(names, one, wanted, said)])
    if as_json:
        print_json([one.as_json() for one in planned])
    else:
        _tell(planned, dry_run=dry_run)


def _tell(planned: Sequence[Planned], *, dry_run: bool) -> None:
    rows = [
        (one.record.id, one.record.document_number, one.record.status.value, one.action, one.reason) for one in planned
    ]
    print_table(["ID", "NUMBER", "STATUS", "ACTION", "WHY"], rows)
    counts = Counter(one.action for one in planned)
    told = ", ".join(f"{counts[action]} {action}" for action in Action if counts[action]) or "no records"
    click.echo(f"{told}; " + ("nothing was sent (dry run)" if dry_run else "asked for"), err=True)

"""`zuora-ifs approvals`: what waits for a second person, and what was decided. Decisions are made in the console."""

import asyncio

import click

from agents.cli.output import json_option, print_json, settings_with_kafka
from agents.cli.reading import read_model, topic_names
from agents.cli.tables import print_table
from schemas.topics import MAPPING
from streams.proposal_views import ProposalItem, Set, proposal_answer, proposal_item
from streams.proposals import read_proposals

_WHO_AND_WHEN = {"actor", "at", "approved_by"}


@click.group()
def approvals() -> None:
    """Look at what waits for a second person; approving and refusing is for the console alone."""


@approvals.command("list")
@json_option
def list_approvals(*, as_json: bool) -> None:
    """List all proposals, the newest first."""
    settings = settings_with_kafka()
    book = asyncio.run(read_proposals(settings.kafka, topic_names(settings)))
    found = [proposal_item(one) for one in book.newest_first]
    if as_json:
        print_json([one.model_dump(mode="json", by_alias=True) for one in found])
        return
    print_table(["ID", "STATUS", "CHANGES", "PROPOSED BY", "AT", "WHY", "DECIDED BY"], map(_row, found))


@approvals.command("show")
@click.argument("proposal_id", metavar="ID")
@json_option
def show_approval(proposal_id: str, *, as_json: bool) -> None:
    """Show a proposal with each change beside what it takes the place of."""
    settings = settings_with_kafka()
    proposal = asyncio.run(read_proposals(settings.kafka, topic_names(settings))).get(proposal_id)
    found = proposal_answer(proposal, read_model(settings, [MAPPING]))
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
        return
    decided = f", by {found.decided_by} at {found.decided_at:%Y-%m-%d %H:%M:%SZ}" if found.decided_at else ""
    click.echo(f"{found.id}: {found.status}{decided}")
    click.echo(f"proposed by {found.actor} at {found.at:%Y-%m-%d %H:%M:%SZ}: {found.comment or 'no reason given'}")
    print_table(["KEY", "NOW", "PROPOSED"], [(one.key, _told(one.before), _told(one.after)) for one in found.items])


def _row(one: ProposalItem) -> tuple[object, ...]:
    return one.id, one.status, one.changes, one.actor, f"{one.at:%Y-%m-%d %H:%M:%SZ}", one.comment, one.decided_by


def _told(event: Set | None) -> str:
    if event is None:
        return "-"
    fields = event.model_dump(mode="json", by_alias=True, exclude=_WHO_AND_WHEN, exclude_none=True)
    return " ".join(f"{name}={value}" for name, value in fields.items() if value not in ("", {}))

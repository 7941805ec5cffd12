"""`zuora-ifs posting`: the stop button, and how posting stands."""

import asyncio

import click

from agents.cli.asking import PROCESS, ask, reason_option, word
from agents.cli.output import actor_option, json_option, print_json, settings_with_kafka
from agents.cli.reading import topic_names
from agents.cli.tables import print_table
from schemas.base import utc_now
from schemas.errors import UsageError
from schemas.requests import PostingPaused, PostingResumed
from streams.posting_control import EVERY_COMPANY, control_message
from streams.posting_status import PostingStatus, posting_status, read_pauses

company_option = click.option("--company", default=EVERY_COMPANY, help="One company only; otherwise every one.")


@click.group()
def posting() -> None:
    """Pause and resume posting to IFS Cloud, and see how far it is."""


@posting.command()
@company_option
@reason_option(required=True)
@actor_option
def pause(company: str, reason: str, actor: str) -> None:
    """Send nothing to IFS Cloud until resumed: nothing is lost, everything waits."""
    _order(PostingPaused, company, reason, actor)
    click.echo(f"posting is paused for {_named(company)}; `zuora-ifs posting resume` lets it go on")


@posting.command()
@company_option
@reason_option(required=True)
@actor_option
def resume(company: str, reason: str, actor: str) -> None:
    """Let posting go on. A pause of every company and one of a single company are lifted each by itself."""
    settings = settings_with_kafka()
    book = asyncio.run(read_pauses(settings.kafka, topic_names(settings)))
    paused = [event.company for event in book.pauses]
    if company not in paused:
        click.echo(f"posting is not paused for {_named(company)}; nothing was changed" + _still(paused))
        return
    _order(PostingResumed, company, reason, actor)
    paused.remove(company)
    click.echo(f"posting goes on for {_named(company)}" + _still(paused))


@posting.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show what is paused, how much is still to be posted, and when that will be done."""
    settings = settings_with_kafka()
    found = asyncio.run(posting_status(settings, topic_names(settings), utc_now()))
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
        return
    if found.paused:
        rows = [(one.company, f"{one.at:%Y-%m-%d %H:%M:%SZ}", one.actor, one.reason) for one in found.paused]
        print_table(["PAUSED COMPANY", "SINCE", "BY", "REASON"], rows)
    else:
        click.echo("nothing is paused")
    for line in _lines(found):
        click.echo(line)


def _lines(found: PostingStatus) -> list[str]:
    lines = [
        f"backlog: {found.backlog:,} voucher commands, {found.waiting:,} of them in the waiting room",
        f"rate limit: {found.requests_per_minute:,} requests a minute{_learnt(found)}{_slow(found)}",
    ]
    if not found.backlog:
        return lines
    if found.clear_at is None or found.seconds_until_clear is None:
        return [*lines, "clear: not before posting is resumed"]
    minutes = found.seconds_until_clear / 60
    held = f"; {found.held:,} of paused companies not counted" if found.held else ""
    when = f"{minutes:,.0f} min ({found.clear_at:%Y-%m-%d %H:%MZ})"
    return [*lines, f"clear: in about {when}, if nothing new comes{held}"]


def _learnt(found: PostingStatus) -> str:
    if found.requests_per_minute == found.configured_per_minute:
        return ""
    return f" (IFS took no more; {found.configured_per_minute:,} are configured)"


def _slow(found: PostingStatus) -> str:
    return f"; IFS answers so slowly that {found.reached_per_minute:,} are reached" if found.ifs_is_slow else ""


def _order(kind: type[PostingPaused], company: str, reason: str, actor: str) -> None:
    if not company.strip():
        raise UsageError("--company is empty; leave it out for every company")
    said = word(actor, reason)
    settings = settings_with_kafka()
    event = kind(company=company.strip(), actor=said.actor, at=said.at, reason=said.reason)
    ask(settings, [control_message(topic_names(settings), event, PROCESS)])


def _named(company: str) -> str:
    return "every company" if company == EVERY_COMPANY else f"company {company}"


def _still(paused: list[str]) -> str:
    return f"; still paused: {', '.join(_named(company) for company in paused)}" if paused else ""

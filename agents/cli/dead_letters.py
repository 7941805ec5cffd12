"""`zuora-ifs dead-letters`: what could not be read, and back in."""

import asyncio

import click

from agents.cli.asking import reason_option, word
from agents.cli.output import actor_option, json_option, print_json, settings_with_kafka
from agents.cli.reading import read_model, topic_names
from agents.cli.tables import print_table
from schemas.topics import DEAD_LETTER
from streams.dead_letters.reading import bytes_told, headers_told, letter_named, parked_records
from streams.dead_letters.resending import Outcome, Resending, resend
from streams.views.dead_letters import DeadLetter
from streams.views.json import json_value

MOST_LETTERS = 1_000_000


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at what could not be read, and send it back once it can."""


@dead_letters.command("list")
@click.option("--topic", help="Only what came from this topic.")
@click.option("--open", "not_resent", is_flag=True, help="Only what was never sent back.")
@click.option("--limit", type=click.IntRange(1, MOST_LETTERS), default=100, show_default=True, help="At most so many.")
@json_option
def list_letters(topic: str | None, limit: int, *, not_resent: bool, as_json: bool) -> None:
    """List what could not be read, the last parked first."""
    settings = settings_with_kafka()
    prefix = settings.kafka.topic_prefix
    full_name = topic if topic is None or topic.startswith(prefix) else prefix + topic
    model = read_model(settings, [DEAD_LETTER])
    found = model.dead_letters(full_name, limit=limit + 1, not_resent=not_resent)
    if as_json:
        print_json([json_value(letter) for letter in found[:limit]])
        return
    print_table(["ID", "PARKED", "BYTES", "RESENT", "REASON"], map(_row, found[:limit]), right=["BYTES"])
    if len(found) > limit:
        click.echo(f"more than {limit} dead letters: --limit shows more", err=True)


@dead_letters.command("show")
@click.argument("letter_id", metavar="ID")
@json_option
def show_letter(letter_id: str, *, as_json: bool) -> None:
    """Show one dead letter whole: why it could not be read, its headers, its bytes."""
    settings = settings_with_kafka()
    letter = letter_named(read_model(settings, [DEAD_LETTER]), topic_names(settings), letter_id)
    (record,) = asyncio.run(parked_records(settings.kafka, [letter]))
    headers = headers_told(record)
    if as_json:
        print_json(json_value(letter) | {"headers": headers, "value": bytes_told(record.value)})
        return
    for name, told in _lines(letter):
        click.echo(f"{name:<10} {told}")
    print_table(["HEADER", "VALUE"], sorted(headers.items()))
    click.echo()
    value = bytes_told(record.value)
    click.echo("(no value)" if value is None else value.get("text", value.get("hex")))


@dead_letters.command("resend")
@click.argument("letter_ids", metavar="ID...", nargs=-1, required=True)
@reason_option("Why; kept with what is sent.", default="not told", show_default=True)
@click.option("--again", is_flag=True, help="Send back what was sent back before, too.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; send nothing.")
@actor_option
@json_option
def resend_letters(
    letter_ids: tuple[str, ...], reason: str, actor: str, *, again: bool, dry_run: bool, as_json: bool
) -> int:
    """Send dead letters back: their bytes under their key to the topic that they came from.

    A webhook's callout is read once more, with what is known of callouts today. What was sent back is passed over.
    """
    settings, said = settings_with_kafka(), word(actor, reason)
    model, names = read_model(settings, [DEAD_LETTER]), topic_names(settings)
    letters = list({(one := letter_named(model, names, text)).id: one for text in letter_ids}.values())
    done = asyncio.run(resend(settings.kafka, names, letters, said, again=again, dry_run=dry_run))
    if as_json:
        print_json([one.as_json() for one in done])
    else:
        for told in done:
            click.echo(_told(told))
    return int(any(told.outcome is Outcome.NOT_SENT for told in done))


def _told(one: Resending) -> str:
    words = {
        Outcome.SENT: f"sent back to {one.sent_to}",
        Outcome.WOULD_BE_SENT: "would be sent back (dry run)",
        Outcome.PASSED_OVER: "passed over",
        Outcome.NOT_SENT: "not sent back",
    }
    return f"{one.letter}: {words[one.outcome]}" + (f"; {one.note}" if one.note else "")


def _row(letter: DeadLetter) -> list[object]:
    resent = f"{letter.resent[-1].at:%Y-%m-%d %H:%MZ} by {letter.resent[-1].actor}" if letter.resent else None
    return [letter.id, f"{letter.time:%Y-%m-%d %H:%M:%SZ}", letter.size, resent, letter.reason]


def _lines(letter: DeadLetter) -> list[tuple[str, object]]:
    came_from = f"a webhook, meant for {letter.topic}" if letter.is_callout else letter.id
    lines: list[tuple[str, object]] = [
        ("from", came_from),
        ("parked", f"{letter.time:%Y-%m-%dT%H:%M:%SZ} at {letter.parked}"),
        ("reason", letter.reason),
        ("exception", letter.exception or "-"),
        ("key", letter.key if letter.key is not None else "-"),
    ]
    sent = [
        ("resent", f"{one.at:%Y-%m-%dT%H:%M:%SZ} by {one.actor} to {one.to}: {one.reason}") for one in letter.resent
    ]
    return [*lines, *sent]

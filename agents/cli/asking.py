"""How commands ask for something about records: who asks, why, and the word as an event, confirmed by Kafka."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import click

from agents.cli.output import at_most
from schemas.base import utc_now
from schemas.errors import UsageError
from schemas.requests import LONGEST_REASON
from streams.log.messages import Message
from streams.log.sending import send_all
from streams.requests import Word
from streams.settings import Settings

PROCESS = "cli"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def reason_option(told: str = "Why; kept with the request.", **more: Any) -> Callable[[_Command], _Command]:
    """Return the option of why something is asked for; `more` is what click takes besides, such as a default."""
    return click.option("--reason", callback=at_most(LONGEST_REASON), help=told, **more)


def _date(_context: click.Context, _parameter: click.Parameter, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise click.BadParameter(f"{text!r} is no date such as 2026-03-31") from None


def _moment(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise click.BadParameter(f"{text!r} is no date or time such as 2026-03-31T08:00:00Z") from None
    # What names no zone is UTC, as all times here.
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


date_option = click.option(
    "--date", "voucher_date", metavar="DATE", callback=_date, help="The voucher's date, where its own period is closed."
)
since_option = click.option(
    "--since", metavar="TIME", callback=_moment, help="Only what changed since then, such as 2026-03-31T08:00Z."
)


def word(actor: str, reason: str) -> Word:
    """Return a person's word, said now.

    Raises:
        UsageError: it gives no reason.

    """
    if not reason.strip():
        raise UsageError("--reason: say why; it is kept with the request")
    return Word(actor, utc_now(), reason.strip(), PROCESS)


def ask(settings: Settings, messages: Sequence[Message]) -> None:
    """Send what is asked for and return when Kafka has it all.

    Raises:
        LogUnavailableError: Kafka cannot be reached; nothing was sent.
        BrokenOffError: some were not confirmed; the message says how many are in.

    """
    asyncio.run(send_all(settings.kafka, messages, client_id=f"{settings.app_id}-{PROCESS}"))

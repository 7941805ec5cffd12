"""The API's dead letters: what could not be read, and back in."""

import asyncio
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from agents.console.answers import LetterAnswer, LetterPage, ResendingAnswer, ResendingItem, ValueTold
from agents.console.api import MODEL, NAMES, SETTINGS, offset_of
from agents.console.operations import Asked, ListQuery, NoQuestion, Operation, Text
from agents.console.refusals import IDENTITY
from agents.console.roles import Role
from agents.console.sending import PROCESS
from schemas.base import utc_now
from streams.dead_letters.reading import DeadLetterError, bytes_told, headers_told, letter_named, parked_records
from streams.dead_letters.resending import resend
from streams.requests import Word
from streams.views.dead_letters import DeadLetter

MOST_LETTERS = 100
"""Sent back by one request: each is confirmed by Kafka before the next one goes."""
LONGEST_TOPIC = 249


class LettersQuery(ListQuery):
    """Which dead letters."""

    topic: str | None = Field(default=None, max_length=LONGEST_TOPIC)
    """Only what came from this topic; its prefix may be left out."""
    open: Literal["true", "false"] = "false"
    """`true`: only what was never sent back."""


class ResendBody(Asked):
    """Which dead letters are to be sent back, and why."""

    ids: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MOST_LETTERS)]
    reason: Text
    again: bool = False
    """Send back what was sent back before, too."""
    dry_run: bool = False


async def get_letters(request: web.Request, asked: LettersQuery) -> LetterPage:
    """Answer what could not be read, the last parked first."""
    prefix = request.app[SETTINGS].kafka.topic_prefix
    topic = asked.topic if not asked.topic or asked.topic.startswith(prefix) else prefix + asked.topic
    start = offset_of(asked)
    found = await asyncio.to_thread(
        request.app[MODEL].dead_letters, topic, limit=asked.limit + 1, offset=start, not_resent=asked.open == "true"
    )
    more = str(start + asked.limit) if len(found) > asked.limit else None
    return LetterPage(items=tuple(found[: asked.limit]), next_cursor=more)


async def get_letter(request: web.Request, _: NoQuestion) -> LetterAnswer:
    """Answer a dead letter whole: why it could not be read, its headers, its bytes."""
    letter = await _letter(request, request.match_info["letter"])
    (record,) = await parked_records(request.app[SETTINGS].kafka, [letter])
    told = bytes_told(record.value)
    return LetterAnswer(**dict(letter), headers=headers_told(record), value=ValueTold(**told) if told else None)


async def post_resend(request: web.Request, body: ResendBody) -> ResendingAnswer:
    """Send dead letters back; with `dryRun` nothing is sent."""
    app = request.app
    named = [await _letter(request, text) for text in body.ids]
    letters = list({letter.id: letter for letter in named}.values())
    word = Word(request[IDENTITY].name, utc_now(), body.reason, PROCESS)
    done = await resend(app[SETTINGS].kafka, app[NAMES], letters, word, again=body.again, dry_run=body.dry_run)
    items = tuple(ResendingItem(id=one.letter, outcome=one.outcome, sent_to=one.sent_to, note=one.note) for one in done)
    return ResendingAnswer(dry_run=body.dry_run, items=items)


async def _letter(request: web.Request, text: str) -> DeadLetter:
    try:
        return await asyncio.to_thread(letter_named, request.app[MODEL], request.app[NAMES], text)
    except DeadLetterError:
        raise web.HTTPNotFound(text=f"there is no dead letter {text}") from None


LETTERS = (
    Operation(
        "GET",
        "/api/dead-letters",
        "What could not be read, the last parked first",
        LettersQuery,
        LetterPage,
        get_letters,
    ),
    Operation(
        "GET",
        "/api/dead-letters/{letter}",
        "A dead letter with its headers and bytes",
        NoQuestion,
        LetterAnswer,
        get_letter,
        Role.OPERATOR,
        (404, 503),
    ),
    Operation(
        "POST",
        "/api/dead-letters/resend",
        "Send dead letters back to where they came from",
        ResendBody,
        ResendingAnswer,
        post_resend,
        Role.OPERATOR,
        (404, 503),
    ),
)

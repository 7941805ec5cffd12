"""The pages of four eyes: what waits for a second person, and its buttons; and how much waits, for the header."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from agents.console import change_words
from agents.console.api import MODEL, NAMES, SETTINGS
from agents.console.cross_site import FORM_FIELD, SESSION_COOKIE, check_form
from agents.console.feed import LONGEST_PAUSE_SECONDS, FeedState
from agents.console.operations import Text
from agents.console.pages import common
from agents.console.proposals import approve_it, proposal_of, refuse_it
from agents.console.refusals import IDENTITY
from agents.console.roles import Role, at_least
from agents.console.templating import page
from schemas.errors import LogError, UsageError
from schemas.topics import PROPOSAL, TopicNames
from streams.log.reader import follow
from streams.projection.queries import ReadModel
from streams.proposal_views import ProposalItem, proposal_item, proposed_items
from streams.proposals import Proposal, ProposalBook, read_proposals
from streams.settings import KafkaSettings

MOST_DECIDED = 25
"""On the page; the API has them all."""
MOST_CHANGES = 20
"""Of one proposal in the list; its own page has them all."""

_comment: TypeAdapter[str] = TypeAdapter(Text)


async def get_proposals_page(request: web.Request) -> web.Response:
    """Answer `GET /proposals`: what waits with each change, and what was decided lately."""
    book = await read_proposals(request.app[SETTINGS].kafka, request.app[NAMES])
    pending = [one for one in book.newest_first if one.is_pending]
    decided = [proposal_item(one) for one in book.newest_first if not one.is_pending]
    shown = await asyncio.to_thread(lambda: [_shown(one, request.app[MODEL], MOST_CHANGES) for one in pending])
    return _page(request, "proposals.html", pending=shown, decided=decided[:MOST_DECIDED])


async def get_proposal_page(request: web.Request) -> web.Response:
    """Answer `GET /proposals/{proposal}`: all changes of one."""
    proposal = await proposal_of(request)
    shown = await asyncio.to_thread(_shown, proposal, request.app[MODEL])
    return _page(request, "proposal.html", one=shown)


@at_least(Role.MAPPER)
async def post_approve_form(request: web.Request) -> web.Response:
    """Answer `POST /proposals/{proposal}/approve`."""
    return await _decide(request, approve_it)


@at_least(Role.MAPPER)
async def post_refuse_form(request: web.Request) -> web.Response:
    """Answer `POST /proposals/{proposal}/refuse`."""
    return await _decide(request, refuse_it)


async def count_pending(state: FeedState, kafka: KafkaSettings, names: TopicNames) -> None:
    """Keep the header's number up with the log for ever; while Kafka is away it stays what it was."""
    while True:
        book = ProposalBook()
        try:
            async with aclosing(follow(kafka, [names.public(PROPOSAL)], {})) as batches:
                async for batch in batches:
                    book.take(batch.records)
                    if not batch.behind and state.pending != book.pending:
                        state.pending = book.pending
                        state.changes += 1
        except LogError:  # the feed of the read model meets the same, and tells it
            await asyncio.sleep(LONGEST_PAUSE_SECONDS)


def add_pages(app: web.Application) -> None:
    """Add the routes."""
    app.router.add_get("/proposals", get_proposals_page)
    app.router.add_get("/proposals/{proposal}", get_proposal_page)
    app.router.add_post("/proposals/{proposal}/approve", post_approve_form)
    app.router.add_post("/proposals/{proposal}/refuse", post_refuse_form)


async def _decide(
    request: web.Request, decide: Callable[[web.Request, str | None], Awaitable[ProposalItem]]
) -> web.Response:
    form = await request.post()
    check_form(request, form.get(FORM_FIELD), SESSION_COOKIE)
    try:
        comment = _comment.validate_python(form["comment"]) if str(form.get("comment", "")).strip() else None
    except ValidationError:
        raise UsageError("the comment is too long") from None
    await decide(request, comment)
    raise web.HTTPSeeOther("/proposals")


def _shown(proposal: Proposal, model: ReadModel, most: int | None = None) -> dict[str, Any]:
    changes = proposal.changes
    items = proposed_items(changes[:most], model)
    told = [
        (change_words.title(change.event), change_words.lines(item), item.after is None)
        for change, item in zip(changes, items, strict=False)
    ]
    return {"item": proposal_item(proposal), "changes": told, "more": len(changes) - len(told)}


def _page(request: web.Request, template: str, **values: Any) -> web.Response:
    return page(request, template, {**common(request), **values, "may_decide": request[IDENTITY].role >= Role.MAPPER})

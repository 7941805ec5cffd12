"""Four eyes in the console: proposals are listed, approved by another person, refused or taken back.

Only here is it proven who asks, so only here is approved.
"""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from agents.console.api import MODEL, NAMES, SETTINGS, part_of
from agents.console.feed import read_in_time
from agents.console.operations import Asked, ListQuery, NoQuestion, Operation, Text
from agents.console.refusals import IDENTITY
from agents.console.roles import Role
from agents.console.sending import PROCESS, send
from schemas.base import Model, utc_now
from schemas.errors import LogUnavailableError
from schemas.topics import MAPPING
from streams.log.reader import log_bounds
from streams.mapping_changes import change_message
from streams.proposal_views import ProposalAnswer, ProposalItem, proposal_answer, proposal_item
from streams.proposals import Proposal, approve, proposal_message, propose, read_proposals, refuse, versions_now
from streams.requests import RequestError
from streams.views.mappings import MappingEvent


class ProposalPage(Model):
    """Proposals, the newest first."""

    items: tuple[ProposalItem, ...]
    next_cursor: str | None


class DecisionBody(Asked):
    """Why a proposal is approved or refused."""

    comment: Text | None = None


async def get_proposals(request: web.Request, asked: ListQuery) -> ProposalPage:
    """Answer proposals, decided ones too."""
    book = await read_proposals(request.app[SETTINGS].kafka, request.app[NAMES])
    items, next_cursor = part_of(book.newest_first, asked)
    return ProposalPage(items=tuple(map(proposal_item, items)), next_cursor=next_cursor)


async def get_proposal(request: web.Request, _: NoQuestion) -> ProposalAnswer:
    """Answer a proposal with its changes."""
    return await asyncio.to_thread(proposal_answer, await proposal_of(request), request.app[MODEL])


async def post_approval(request: web.Request, body: DecisionBody) -> ProposalItem:
    """Approve another person's proposal: its changes take effect."""
    return await approve_it(request, body.comment)


async def post_refusal(request: web.Request, body: DecisionBody) -> ProposalItem:
    """Refuse a proposal, or take back one's own."""
    return await refuse_it(request, body.comment)


async def propose_it(request: web.Request, events: Sequence[MappingEvent]) -> ProposalItem:
    """Propose changes together, and answer the proposal."""
    app, name = request.app, request[IDENTITY].name
    versions = await asyncio.to_thread(versions_now, app[MODEL])
    comment = events[0].comment if len(events) == 1 else None
    parts = propose(events, versions, actor=name, at=utc_now(), comment=comment)
    await send(request, [proposal_message(app[NAMES], part, PROCESS) for part in parts])
    book = await read_proposals(app[SETTINGS].kafka, app[NAMES])
    return proposal_item(book.get(parts[0].proposal))


async def approve_it(request: web.Request, comment: str | None) -> ProposalItem:
    """Approve the proposal that the path names, or complete an approval that broke off.

    The decision goes to the log first. Of two at the same time the first one there counts, and its changes are what
    both then send: the same events with the same ids.

    Raises:
        UnknownProposalError: there is none of that id.
        RequestError: it may not be approved by this person, or not any more.
        LogError: Kafka does not answer, or the read model is behind; approving once more completes it.

    """
    names, name = request.app[NAMES], request[IDENTITY].name
    proposal, versions = await _as_it_stands(request)
    decision, events = approve(proposal, versions, actor=name, at=utc_now(), comment=comment)
    if decision:
        await send(request, [proposal_message(names, decision, PROCESS)])
        proposal, versions = await _as_it_stands(request)
        _, events = approve(proposal, versions, actor=name, at=decision.at)
    topic = names.public(MAPPING)
    await send(request, [change_message(topic, event, process=PROCESS) for event in events])
    return proposal_item(proposal)


async def refuse_it(request: web.Request, comment: str | None) -> ProposalItem:
    """Refuse the proposal that the path names.

    Raises:
        UnknownProposalError: there is none of that id.
        RequestError: it has been decided.
        LogError: Kafka does not answer.

    """
    decision = refuse(await proposal_of(request), actor=request[IDENTITY].name, at=utc_now(), comment=comment)
    await send(request, [proposal_message(request.app[NAMES], decision, PROCESS)])
    proposal = await proposal_of(request)
    if proposal.decision and proposal.is_approved:
        raise RequestError(f"proposal {proposal.id} was approved by {proposal.decision.actor} at the same moment")
    return proposal_item(proposal)


async def proposal_of(request: web.Request) -> Proposal:
    """Return the proposal that the path names. Raises like `read_proposals` and `ProposalBook.get`."""
    book = await read_proposals(request.app[SETTINGS].kafka, request.app[NAMES])
    return book.get(request.match_info["proposal"])


async def _as_it_stands(request: web.Request) -> tuple[Proposal, dict[str, int]]:
    """Return the proposal, and the versions that hold now for certain."""
    proposal = await proposal_of(request)
    app = request.app
    ends = (await log_bounds(app[SETTINGS].kafka, [app[NAMES].public(MAPPING)])).end
    if not await read_in_time(app[MODEL], ends):
        raise LogUnavailableError(
            f"the console has not read all mappings yet, so what proposal {proposal.id} would change is not"
            " certain: approve it once more in a moment"
        )
    return proposal, await asyncio.to_thread(versions_now, app[MODEL])


PROPOSALS = (
    Operation(
        "GET", "/api/proposals", "Proposals, the newest first", ListQuery, ProposalPage, get_proposals, also=(503,)
    ),
    Operation(
        "GET",
        "/api/proposals/{proposal}",
        "A proposal with each change beside what it takes the place of",
        NoQuestion,
        ProposalAnswer,
        get_proposal,
        also=(404, 503),
    ),
    Operation(
        "POST",
        "/api/proposals/{proposal}/approve",
        "Approve another person's proposal: its changes take effect",
        DecisionBody,
        ProposalItem,
        post_approval,
        Role.MAPPER,
        (404, 409, 503),
    ),
    Operation(
        "POST",
        "/api/proposals/{proposal}/refuse",
        "Refuse a proposal, or take back your own",
        DecisionBody,
        ProposalItem,
        post_refusal,
        Role.MAPPER,
        (404, 409, 503),
    ),
)

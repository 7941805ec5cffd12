"""The API's stop button, and how posting stands."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from agents.console.answers import PausesAnswer
from agents.console.api import NAMES, SETTINGS
from agents.console.operations import Asked, NoQuestion, Operation, Text
from agents.console.refusals import IDENTITY
from agents.console.roles import Role
from agents.console.sending import PROCESS, send
from schemas.base import utc_now
from schemas.mappings import Code
from schemas.requests import PostingPaused, PostingResumed
from streams.posting_control import EVERY_COMPANY, control_message
from streams.posting_status import PostingStatus, posting_status, read_pauses


class PostingBody(Asked):
    """For which company (`*`: every one) posting is paused or resumed, and why."""

    company: Code = EVERY_COMPANY
    reason: Text


async def get_posting(request: web.Request, _: NoQuestion) -> PostingStatus:
    """Answer what is paused, the backlog, and when it will be clear."""
    return await posting_status(request.app[SETTINGS], request.app[NAMES], utc_now())


def _order(kind: type[PostingPaused]) -> Callable[[web.Request, PostingBody], Awaitable[PausesAnswer]]:
    async def order(request: web.Request, body: PostingBody) -> PausesAnswer:
        event = kind(company=body.company, actor=request[IDENTITY].name, at=utc_now(), reason=body.reason)
        book = await read_pauses(request.app[SETTINGS].kafka, request.app[NAMES])
        changed = book.apply(event)
        if changed:
            await send(request, [control_message(request.app[NAMES], event, PROCESS)])
        return PausesAnswer(changed=changed, paused=tuple(book.pauses))

    return order


POSTING = (
    Operation(
        "GET", "/api/posting", "What is paused, and the backlog", NoQuestion, PostingStatus, get_posting, also=(503,)
    ),
    Operation(
        "POST",
        "/api/posting/pause",
        "Send nothing to IFS Cloud until resumed: nothing is lost, everything waits",
        PostingBody,
        PausesAnswer,
        _order(PostingPaused),
        Role.OPERATOR,
        (503,),
    ),
    Operation(
        "POST",
        "/api/posting/resume",
        "Let posting go on",
        PostingBody,
        PausesAnswer,
        _order(PostingResumed),
        Role.OPERATOR,
        (503,),
    ),
)

"""The API's stop button, and how posting stands."""

import asyncio
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
from schemas.topics import TopicNames
from streams.posting_control import EVERY_COMPANY, control_message
from streams.posting_status import PostingStatus, WaitingBook, posting_status, read_pauses
from streams.settings import Settings

KEPT_SECONDS = 5.0
"""How long an answer serves all who ask: each asks Kafka several questions, and every open page asks."""


class PostingBoard:
    """How posting stands, read once for all who look at the same time."""

    def __init__(self, settings: Settings, names: TopicNames) -> None:
        self._settings = settings
        self._names = names
        self._waiting = WaitingBook()
        self._reading = asyncio.Lock()
        self._found: tuple[float, PostingStatus] | None = None

    async def status(self) -> PostingStatus:
        """Return how posting stands, or stood a few seconds ago. Raises like `posting_status`."""
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if self._found is None or now - self._found[0] > KEPT_SECONDS:
                self._found = (now, await posting_status(self._settings, self._names, utc_now(), self._waiting))
            return self._found[1]

    def forget(self) -> None:
        """Read anew for the next who asks: somebody has just paused posting or let it go on."""
        self._found = None


BOARD = web.AppKey("board", PostingBoard)


class PostingBody(Asked):
    """For which company (`*`: every one) posting is paused or resumed, and why."""

    company: Code = EVERY_COMPANY
    reason: Text


async def get_posting(request: web.Request, _: NoQuestion) -> PostingStatus:
    """Answer what is paused, the backlog, and when it will be clear."""
    return await request.app[BOARD].status()


def _order(kind: type[PostingPaused]) -> Callable[[web.Request, PostingBody], Awaitable[PausesAnswer]]:
    async def order(request: web.Request, body: PostingBody) -> PausesAnswer:
        event = kind(company=body.company, actor=request[IDENTITY].name, at=utc_now(), reason=body.reason)
        book = await read_pauses(request.app[SETTINGS].kafka, request.app[NAMES])
        changed = book.apply(event)
        if changed:
            await send(request, [control_message(request.app[NAMES], event, PROCESS)])
            request.app[BOARD].forget()
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

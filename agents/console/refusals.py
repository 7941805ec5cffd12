"""Every attempt that is refused: said to who asks, logged without its secret, and counted."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NoReturn

import structlog
from aiohttp import web
from prometheus_client import Counter

from agents.console.roles import Identity
from agents.limits import SourceLimit
from agents.proxies import Caller, Network, caller

FAILURES = web.AppKey("failures", SourceLimit)
PROXIES = web.AppKey("proxies", Sequence[Network])
IDENTITY = web.RequestKey("identity", Identity)

LONGEST_PATH = 200
"""Characters of a path in the log; it is a stranger's text."""
FAILURES_PER_MINUTE = 20
"""Of one source. People behind one address mistype now and then; who guesses a token of 128 bits gets nowhere."""


class Why(StrEnum):
    """Why an attempt was refused: a label of the metric."""

    NO_CREDENTIALS = "no-credentials"
    UNKNOWN_TOKEN = "unknown-token"  # noqa: S105 - a word of the metric
    ENDED_SESSION = "ended-session"
    ROLE = "role"
    CROSS_SITE = "cross-site"
    FORM = "form"
    SINGLE_SIGN_ON = "single-sign-on"
    TOO_MANY = "too-many"


REFUSED = Counter("zuora_ifs_console_refused_requests", "Requests that the console refused, by reason", ["why"])
for _why in Why:
    REFUSED.labels(_why.value)

log = structlog.get_logger(__name__)


def came_from(request: web.Request) -> Caller:
    """Return who sent a request; what proxies say counts only where they are trusted."""
    return caller(request, request.app[PROXIES])


def note_refusal(request: web.Request, why: Why) -> None:
    """Log and count a refused attempt: from where and what for, never what was given as proof."""
    REFUSED.labels(why.value).inc()
    identity = request.get(IDENTITY)
    log.warning(
        "refused",
        why=why.value,
        source=came_from(request).address,
        method=request.method,
        # As it was sent, so that it cannot write to a terminal; without the query, which may hold a secret by mistake.
        path=request.rel_url.raw_path[:LONGEST_PATH],
        name=identity.name if identity else None,
    )


def forbid(request: web.Request, why: Why, message: str) -> NoReturn:
    """Refuse a request with 403."""
    note_refusal(request, why)
    raise web.HTTPForbidden(text=message)


async def check_attempts(request: web.Request) -> None:
    """Refuse with 429 whoever failed too often in the last minute."""
    source = came_from(request).address
    if await request.app[FAILURES].is_reached(source):
        note_refusal(request, Why.TOO_MANY)
        raise web.HTTPTooManyRequests(
            text="too many failed attempts from your address: wait a minute and try again",
            headers={"Retry-After": str(await request.app[FAILURES].seconds_until_room(source))},
        )


async def note_failure(request: web.Request, why: Why) -> None:
    """Log and count a failed attempt, towards the limit of its source too."""
    note_refusal(request, why)
    await request.app[FAILURES].take(came_from(request).address)

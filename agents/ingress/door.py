"""Who is let in: the rate of each source, then every method of authentication that is set.

A source with too many failures gets 429 for the rest of the minute, also with good credentials: a guess that happens to
be right must not be told from a wrong one. Zuora comes again after 429, which it would not after 401.
"""

import structlog
from aiohttp import web

from agents.ingress.answers import RETRY_AFTER_SECONDS, Answer, come_again, refusal
from agents.ingress.authentication import Authentication, authentication
from agents.ingress.metrics import REFUSED
from agents.limits import SourceLimit
from agents.proxies import caller
from schemas.errors import TroubleError
from streams.settings import IngressSettings

log = structlog.get_logger(__name__)


class Door:
    """Lets callouts in, or says why not; every refusal is counted, and logged with its source."""

    def __init__(self, settings: IngressSettings) -> None:
        """Read who is let in.

        Raises:
            SettingsError: the authentication is not set, or unsafe.

        """
        self._authentication: Authentication = authentication(settings)
        self._trusted_proxies = settings.trusted_proxies
        self._requests = SourceLimit(settings.requests_per_minute_per_source)
        self._failures = SourceLimit(settings.failures_per_minute_per_source)

    def source(self, request: web.Request) -> str:
        """Return the address that a request came from, behind our own proxies."""
        return caller(request, self._trusted_proxies).address

    async def refuses_caller(self, request: web.Request) -> Answer | None:
        """Return the refusal by what can be told before the body is read; None lets it go on."""
        source = self.source(request)
        if not await self._requests.take(source):
            return await self._too_many(source, self._requests, "too many requests")
        if await self._failures.is_reached(source):
            return await self._too_many(source, self._failures, "too many failures")
        if not self._authentication.knows_caller(request.headers):
            return await self._basic_refusal(request, source)
        return await self._token_refusal(request, source) if self._authentication.bearer else None

    async def refuses_body(self, request: web.Request, body: bytes) -> Answer | None:
        """Return the refusal of a body that is not signed as it must be."""
        if self._authentication.trusts_body(request.headers, body):
            return None
        return await self._unauthorized(self.source(request), "wrong signature")

    async def _basic_refusal(self, request: web.Request, source: str) -> Answer:
        if "Authorization" in request.headers:
            return await self._unauthorized(source, "wrong credentials")
        # The first half of Basic's challenge and response, which every callout of Zuora begins with: not a failure.
        REFUSED.labels("no credentials yet").inc()
        return self._challenge()

    async def _token_refusal(self, request: web.Request, source: str) -> Answer | None:
        assert self._authentication.bearer  # noqa: S101 - asked before
        try:
            why = await self._authentication.bearer.why_not(request.headers.get("Authorization", ""))
        except TroubleError as error:
            log.warning("a callout cannot be checked now", source=source, reason=str(error))
            REFUSED.labels("no keys of the provider").inc()
            return come_again("the token cannot be checked at present")
        return await self._unauthorized(source, "wrong token", why) if why else None

    async def _unauthorized(self, source: str, why: str, more: str | None = None) -> Answer:
        await self._failures.take(source)
        self._tell(source, why, more)
        return self._challenge()

    async def _too_many(self, source: str, limit: SourceLimit, why: str) -> Answer:
        self._tell(source, why)
        seconds = min(RETRY_AFTER_SECONDS, await limit.seconds_until_room(source))
        return refusal(429, why, Retry_After=str(max(1, seconds)))

    def _challenge(self) -> Answer:
        return refusal(401, "not authenticated", WWW_Authenticate=self._authentication.challenge)

    def _tell(self, source: str, why: str, more: str | None = None) -> None:
        log.warning("a callout was refused", source=source, reason=more or why)
        REFUSED.labels(why).inc()

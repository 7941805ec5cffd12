"""One tenant of IFS Cloud: its projections asked within the rate budget, its answers as rows or errors of ours."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import SecretStr
from yarl import URL

from schemas.errors import RefusedError, SettingsError, TroubleError, UnreadableError
from streams.settings import IfsSettings
from streams.systems.budget import RateBudget
from streams.systems.governor import Governor
from streams.systems.ifs import odata
from streams.systems.ifs.errors import Verdict, judge, read_error
from streams.systems.retry import retry_after_seconds
from streams.systems.session import TOO_LARGE, Answer, FarSide, HttpSession, is_address
from streams.systems.tokens import TokenSource

ROOT = "/main/ifsapplications/projection/v1"
"""`main` serves the projections of category Users, all those of vouchers among them."""
SCOPE = "openid microprofile-jwt"
READ_TIMEOUT_SECONDS = 60.0
ARRIVES_WITHIN_SECONDS = 2.0
"""Of what is sent: a POST that a network held back for longer could be done after its absence was concluded. It is in
the margin of the time to settle: 5 s for the intent, 3 s to leave, 2 s to arrive."""
RESERVE_SHARE = 0.05
"""Share of the tenant's requests per minute that the poster leaves to interactive reads."""
MOST_PAGES = 200
"""Pages followed in one read; a look-up or a setup check never comes near."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of an entity set, and the tag of the set if the answer gave one."""

    rows: list[dict[str, Any]]
    tag: str | None


def budget_of(settings: IfsSettings) -> RateBudget:
    """Return the poster's budget: the configured requests per minute less the reserve, at least one."""
    return RateBudget(max(1, int(settings.requests_per_minute * (1 - RESERVE_SHARE))))


class Service:
    """Asks projections. Every request waits for its place in the budget first."""

    def __init__(self, session: FarSide, budget: RateBudget) -> None:
        self._session = session
        self.budget = budget
        self._governor = Governor(budget)
        self.requests = 0
        """Requests admitted so far."""
        self.answered = 0
        """Requests whose answer shows that IFS is at work: it did or refused what was asked, whatever it was."""
        self.idle_seconds = 0.0
        """Of waits for a place in the budget and of requests without an answer: they do not tell how quick IFS is."""
        self.before_request: Callable[[], None] = lambda: None
        """Called before a request takes its place in the budget, and once more when it has it: what it raises keeps the
        request from being made."""
        self.on_admitted: Callable[[], Awaitable[None]] = _nothing
        """Awaited when a request has been counted that is about to be made."""

    def url(self, projection: str, path: str) -> str:
        """Return the address of an entity set or entity, without a query."""
        return f"{ROOT}/{projection}.svc/{path}"

    async def admit(self) -> None:
        """Wait for one request's place in the budget; reads do so themselves, a write's must be taken before it."""
        self.before_request()  # what may not be asked takes no place from what may
        await self._take_place()
        await self.on_admitted()
        self.before_request()

    async def _admit_repeat(self) -> None:
        """Wait for a place for a request that goes out again with a fresh token; it was begun, so no pause is asked."""
        await self._take_place()

    async def _take_place(self) -> None:
        began = time.monotonic()
        try:
            await self._governor.admit()
            await self.budget.acquire()
        finally:
            self.idle_seconds += time.monotonic() - began
        self.requests += 1

    async def entity(self, projection: str, path: str) -> dict[str, Any] | None:
        """Read one entity by its key; None if there is none under the key.

        Raises:
            NotFoundError: there is no such projection or set.
            ForbiddenError, TroubleError, RefusedError, UnauthorizedError: not answered.

        """
        answer = await self._get(self.url(projection, path), "")
        judgement = judge(answer)
        if judgement.verdict is Verdict.DONE:
            return _object(answer, path)
        if answer.status == 404 and judgement.code == "ODP_RESOURCE_NOTFOUND":
            return None
        raise read_error(judgement, f"reading {projection}.svc/{path}")

    async def page(self, projection: str, path: str, query: str) -> Page:
        """Read all rows that the query asks for, page by page, with the tag of the set.

        It is the first page's: a later one's would hide what came in between into a page that was read already.

        Raises:
            NotFoundError: there is no such projection or set; never to be taken for "no rows".
            ForbiddenError, TroubleError, RefusedError, UnauthorizedError: not answered.

        """
        rows: list[dict[str, Any]] = []
        url = self.url(projection, path)
        tag: str | None = None
        for _ in range(MOST_PAGES):
            answer = await self._get(url, query)
            judgement = judge(answer)
            if judgement.verdict is not Verdict.DONE:
                raise read_error(judgement, f"reading {projection}.svc/{path}")
            body = _object(answer, path)
            rows += _rows(body, path)
            tag = tag or odata.usable_tag(answer.headers.get("ETag")) or odata.usable_tag(body.get("@odata.etag"))
            link = self._next(projection, body.get("@odata.nextLink"))
            if link is None:
                return Page(rows, tag)
            url, query = link, ""
        raise TroubleError(f"IFS {projection}.svc/{path}: more than {MOST_PAGES} pages, so the read was given up")

    async def write(
        self,
        url: str,
        body: Any,
        headers: Mapping[str, str],
        timeout_seconds: float = READ_TIMEOUT_SECONDS,
        *,
        method: Literal["POST", "PATCH"] = "POST",
        leaves_within: float | None = None,
    ) -> Answer:
        """Send a write, whose place in the budget the caller took before (`admit`), within so many seconds or not.

        Raises:
            UncertainError: it may have been done.
            TroubleError, UnauthorizedError: it was not done.

        """
        return await self._request(
            method, url, timeout_seconds, json=body, headers=headers, is_write=True, leaves_within=leaves_within
        )

    async def write_batch(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float, *, leaves_within: float
    ) -> Answer:
        """Send a batch that writes; the rest as with `write`."""
        return await self._request(
            "POST", url, timeout_seconds, data=body, headers=headers, is_write=True, leaves_within=leaves_within
        )

    async def _get(self, url: str, query: str) -> Answer:
        await self.admit()
        try:
            return await self._request("GET", url, READ_TIMEOUT_SECONDS, params=query or None)
        except RefusedError as error:
            if error.code != TOO_LARGE:
                raise
            raise TroubleError(str(error)) from error  # no answer of IFS's is; whatever it is, it may pass

    async def _request(self, method: str, url: str, timeout_seconds: float, **sent: Any) -> Answer:
        """Send a request whose place in the budget was taken, and note what its answer says of the limit."""
        answered, idle, began = self.answered, self.idle_seconds, time.monotonic()
        try:
            return await self._ask(method, url, timeout_seconds, **sent)
        finally:
            if self.answered == answered:
                self.idle_seconds = idle + time.monotonic() - began

    async def _ask(self, method: str, url: str, timeout_seconds: float, **sent: Any) -> Answer:
        answer = await self._session.request(
            method, url, timeout=timeout_seconds, before_repeat=self._admit_repeat, **sent
        )
        if answer.status == 429:
            await self._governor.refused(retry_after_seconds(answer.headers))
        elif answer.status == 503:
            self._governor.hold(retry_after_seconds(answer.headers))
        elif answer.status < 500:
            self._governor.answered()
            self.answered += 1
        return answer

    def _next(self, projection: str, link: object) -> str | None:
        """Return the address of the next page: IFS's links may be whole, from the root, or relative to the service.

        Of a whole one only the path counts: behind a gateway it names a host that we do not ask.
        """
        if not isinstance(link, str) or not link:
            return None
        encoded = link.replace(" ", "%20")
        if not encoded.isascii() or not encoded.isprintable():
            raise TroubleError("IFS's link to the next page is not a URL")
        if "://" in encoded:
            try:
                return URL(encoded, encoded=True).raw_path_qs
            except ValueError as error:
                raise TroubleError("IFS's link to the next page is not a URL") from error
        return encoded if encoded.startswith("/") else self.url(projection, encoded)


async def _nothing() -> None:
    """Do nothing."""


def _object(answer: Answer, path: str) -> dict[str, Any]:
    try:
        body = answer.json()
    except UnreadableError as error:
        raise TroubleError(f"IFS {path}: {error}", status=answer.status) from error
    if not isinstance(body, dict):
        raise TroubleError(f"IFS {path}: not a JSON object", status=answer.status)
    return body


def _rows(body: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """Return the rows; an answer without them (a gateway's own JSON) is trouble, never an empty set."""
    rows = body.get("value")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TroubleError(f"IFS {path}: an answer without rows")
    return rows


def token_source(settings: IfsSettings) -> TokenSource:
    """Return the tokens of IFS's identity provider for the settings' client.

    Raises:
        SettingsError: base URL, realm, client id or secret is missing or wrong.

    """
    for name in ("realm", "client_id", "client_secret"):
        if not getattr(settings, name):
            raise SettingsError(f"ZIFS_IFS__{name.upper()} is not set: it names the client in IFS's identity provider")
    return TokenSource(
        f"{_base_url(settings)}/auth/realms/{settings.realm}/protocol/openid-connect/token",
        settings.client_id or "",
        settings.client_secret or SecretStr(""),
        SCOPE,
        name="IFS Cloud",
        setting="ZIFS_IFS__",
    )


def _base_url(settings: IfsSettings) -> str:
    url = (settings.base_url or "").rstrip("/")
    if not is_address(url):
        raise SettingsError("ZIFS_IFS__BASE_URL must be IFS Cloud's scheme and host, such as https://acme.ifs.cloud")
    return url


@asynccontextmanager
async def connected(settings: IfsSettings, tokens: TokenSource, budget: RateBudget) -> AsyncIterator[Service]:
    """Open a session to the tenant for as long as the context is open."""
    url = _base_url(settings)
    async with HttpSession(url, tokens, name="IFS Cloud", arrives_within=ARRIVES_WITHIN_SECONDS) as session:
        yield Service(session, budget)

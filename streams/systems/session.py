"""HTTP towards a far side: bearer tokens, time-outs, bounds; every fault of the network as an error of ours."""

import math
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from schemas.errors import RefusedError, TroubleError, UnauthorizedError, UncertainError
from streams.clocks import steady_seconds
from streams.systems.bodies import TooLargeError, read_body, read_json, write_json
from streams.systems.budget import RateBudget, Slots
from streams.systems.tokens import TokenSource

CONNECT_TIMEOUT_SECONDS = 10.0
TOTAL_TIMEOUT_SECONDS = 130.0
"""Zuora gives up a request of its own after 120 s; a little more lets its answer say so."""
LARGEST_BODY_BYTES = 32 * 1024 * 1024
MOST_CONNECTIONS = 200
_LONGEST_LABEL = 63
"""Bytes between two dots of a host's name (RFC 1035 2.3.4)."""
TOO_LARGE = "too-large"
"""Code of the RefusedError for an answer that is longer than the bound."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `headers` are found in any case."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON, numbers exact (Decimal, never float).

        Raises:
            UnreadableError: it is not JSON.

        """
        return read_json(self.body)


class FarSide(Protocol):
    """What a client needs of its far side: one authorised request, answered or an error of ours."""

    async def request(  # noqa: D102 - HttpSession.request tells
        self,
        method: str,
        path_or_url: str,
        *,
        params: str | None = None,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - a part of the request
        is_write: bool = False,
        leaves_within: float | None = None,
        before_repeat: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer: ...


def is_address(url: str) -> bool:
    """Tell whether `url` can be a far side's base: `http` or `https`, a host that DNS can hold, no credentials."""
    try:
        parsed = URL(url)
        labels = (parsed.raw_host or "").rstrip(".").split(".")
        is_ours = parsed.scheme in ("http", "https") and parsed.user is None and not parsed.raw_query_string
        return (
            is_ours
            and parsed.port is not None
            and url.isprintable()
            and " " not in url
            and all(0 < len(label) <= _LONGEST_LABEL for label in labels)
        )
    except ValueError:  # among them UnicodeError
        return False


def _is_401(answer: Answer) -> bool:
    return answer.status == 401


class HttpSession:
    """One far side: its origin, its tokens, its bounds. Use as `async with`.

    Redirects are answers like others, cookies are never kept, credentials go to `base_url`'s origin and nowhere else.
    `concurrency` bounds the requests at a time, `budget` those in a minute; both count every request really sent.
    `refuses_token` tells an answer that means 401, where the far side has other ways of saying so. `arrives_within`:
    seconds after which a connection is broken off whose far side takes nothing of what was sent.
    """

    def __init__(
        self,
        base_url: str,
        tokens: TokenSource,
        *,
        name: str,
        connect_timeout: float = CONNECT_TIMEOUT_SECONDS,
        total_timeout: float = TOTAL_TIMEOUT_SECONDS,
        concurrency: int | Callable[[], float] | None = None,
        budget: RateBudget | None = None,
        default_headers: Mapping[str, str] | None = None,
        refuses_token: Callable[[Answer], bool] = _is_401,
        largest_body_bytes: int = LARGEST_BODY_BYTES,
        arrives_within: float | None = None,
    ) -> None:
        self.name = name
        self._base = base_url.rstrip("/")
        self._origin = URL(base_url).origin()
        self._tokens = tokens
        self._connect_timeout, self._total_timeout = connect_timeout, total_timeout
        self._slots = Slots(MOST_CONNECTIONS if concurrency is None else concurrency)
        self._budget = budget
        self._default_headers = {"Accept": "application/json", "Accept-Encoding": "gzip", **(default_headers or {})}
        self._refuses_token = refuses_token
        self._largest_body_bytes = largest_body_bytes
        self._arrives_within = arrives_within
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, socket_factory=self._socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client:
            await self._client.close()

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """Return a socket that does not go on sending for long to a network that takes nothing.

        A closed one does for minutes: what was given up long ago would still be done when the network is back.
        """
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        if self._arrives_within is not None and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux has it, macOS has not
            milliseconds = round(self._arrives_within * 1000)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)  # tcp(7), RFC 5482
        return made

    async def request(
        self,
        method: str,
        path_or_url: str,
        *,
        params: str | None = None,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - aiohttp's own, which also knows what was sent
        is_write: bool = False,
        leaves_within: float | None = None,
        before_repeat: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer:
        """Send one request with a bearer token and return the answer, whatever its status; a 401 once more, anew.

        `path_or_url` lies under `base_url`, or is a whole URL of the same origin; it and `params` (a query) are sent
        as they are, so they must be encoded. `json` may hold Decimals, which become exact numbers. What cannot leave
        within `leaves_within` seconds, for want of a token or a connection, is not sent any more. `before_repeat` is
        awaited before a request goes out a second time.

        Raises:
            UnauthorizedError: a fresh token was refused too, or the credentials.
            TroubleError: not reached, not answered in time, broken off; not sent in time.
            UncertainError: the same where `is_write` and the request may have arrived.
            RefusedError: the answer is longer than the bound (code `too-large`), or the URL is not the far side's.

        """
        url = self._url(path_or_url, params)
        sent_headers = {**self._default_headers, **(headers or {})}
        if json is not None:
            data, sent_headers = write_json(json), {"Content-Type": "application/json", **sent_headers}
        seconds = timeout or self._total_timeout
        leave_by = math.inf if leaves_within is None else steady_seconds() + leaves_within
        for is_repeat in (False, True):
            if is_repeat and before_repeat:
                await before_repeat()
            token = await self._tokens.token()
            sent_headers["Authorization"] = f"Bearer {token}"
            answer = await self._send(method, url, data, sent_headers, seconds, leave_by=leave_by, is_write=is_write)
            if not self._refuses_token(answer):
                return replace(answer, body=self._tokens.hidden(answer.body, token))
            self._tokens.reject(token)
        raise UnauthorizedError(f"{self.name} refuses a fresh token (401)", status=401)

    def _url(self, path_or_url: str, params: str | None) -> URL:
        whole = (
            path_or_url
            if path_or_url.startswith(("https://", "http://"))
            else f"{self._base}/{path_or_url.lstrip('/')}"
        )
        if params:
            whole += ("&" if "?" in whole else "?") + params
        if not whole.isascii() or not whole.isprintable() or " " in whole:
            raise RefusedError(f"not an encoded URL, not sent to {self.name}")
        try:
            url = URL(whole, encoded=True)
            is_ours = url.origin() == self._origin and url.user is None
        except ValueError as error:
            raise RefusedError(f"not a URL, not sent to {self.name}: {error}") from error
        if not is_ours:
            raise RefusedError(f"{url.host} is not {self.name} ({self._origin}), so no credentials go there")
        return url

    async def _send(
        self,
        method: str,
        url: URL,
        data: bytes | None,
        headers: Mapping[str, str],
        seconds: float,
        *,
        leave_by: float,
        is_write: bool,
    ) -> Answer:
        if self._client is None:
            raise RuntimeError("an HttpSession is used inside `async with`")
        async with self._slots:
            if self._budget:
                await self._budget.acquire()
            lost = UncertainError if is_write else TroubleError
            left = leave_by - steady_seconds()
            if left <= 0:
                raise TroubleError(f"not sent to {self.name}: a token or a place for it came too late")
            timeout = aiohttp.ClientTimeout(total=seconds, connect=min(self._connect_timeout, left))
            try:
                async with self._client.request(
                    method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
                ) as response:
                    body = await read_body(response, self._largest_body_bytes)
                    return Answer(response.status, response.headers, body)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                # No connection came about, so nothing was sent: certain, also for a write.
                raise TroubleError(f"{self.name} cannot be reached at {self._origin}: {_words(error)}") from error
            except TooLargeError as error:
                if is_write:
                    raise UncertainError(f"{self.name} answered a write with {error}") from error
                raise RefusedError(f"{self.name} answered with {error}", code=TOO_LARGE) from error
            except TimeoutError as error:
                raise lost(f"{self.name} did not answer within {seconds:g} s") from error
            except (aiohttp.ClientError, OSError) as error:
                raise lost(f"the connection to {self.name} broke off: {_words(error)}") from error


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]

"""OAuth 2.0 tokens by client credentials (RFC 6749 4.4): fetched once for all, renewed before they expire."""

import asyncio
import json
import time
from collections.abc import Mapping

import aiohttp
from pydantic import SecretStr

from schemas.errors import FarSideError, TroubleError, UnauthorizedError
from streams.systems.bodies import TooLargeError, read_body
from streams.systems.retry import retry_after_seconds

TOKEN_TIMEOUT_SECONDS = 30.0
LARGEST_TOKEN_ANSWER_BYTES = 65_536
REFUSED_REST_SECONDS = 10.0
"""Credentials that were refused are not sent again for so long, however many want a token: providers lock a client out
after some failures in a row. Others that are set meanwhile are used at once."""
YOUNG_SECONDS = 10.0
"""A second token in a row that is refused so soon after it was fetched tells that no new one helps: the next is fetched
only so long after it. Zuora allows 100 tokens a minute from one address; 64 fetches that each ask anew took as many."""
MARGIN_SHARE = 0.2
"""Of a short token's life at most this share is given up as margin: 30 s of a token of 20 s would leave nothing."""
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_REFUSED = (400, 401, 403)
_LONGEST_WORD = 100
SHORTEST_HIDDEN = 12
"""Characters; a shorter secret is also found where it is none, such as in an amount."""


class TokenSource:
    """Gives the present token, and a new one when it is near its end or was refused.

    However many ask at once, one request goes out. `setting` begins the names of the settings that a person would
    have to correct, such as `ZIFS_ZUORA__`.
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: SecretStr,
        scope: str | None = None,
        margin_seconds: float = 30,
        *,
        name: str = "Zuora",
        setting: str | None = None,
    ) -> None:
        self._token_url = token_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = scope
        self._margin_seconds = margin_seconds
        self._name = name
        self._setting = setting or f"ZIFS_{name.split(maxsplit=1)[0].upper()}__"
        self._token: str | None = None
        self._renew_at = 0.0
        self._rests_until = 0.0
        self._asked_at = float("-inf")
        self._refused_young = 0
        self._fetching = asyncio.Lock()
        self._tries = 0
        self._failure: FarSideError | None = None

    async def token(self) -> str:
        """Return a token that is good for some time yet.

        Raises:
            UnauthorizedError: the far side refuses the client id or secret.
            TroubleError: the token endpoint cannot be reached, or answers with nonsense.

        """
        if self._token is None or time.monotonic() >= self._renew_at:
            tries = self._tries
            async with self._fetching:
                await self._renew(tries)
        return self._token or ""

    def reject(self, token: str) -> None:
        """Tell that `token` was refused: the next call of `token` fetches a new one, unless one is there already.

        After two young ones in a row it raises UnauthorizedError for some seconds.
        """
        if token != self._token:
            return
        self._token = None
        self._refused_young += 1
        if time.monotonic() - self._asked_at >= YOUNG_SECONDS:
            self._refused_young = 0
        elif self._refused_young > 1:
            self._rests_until = self._asked_at + YOUNG_SECONDS
            self._failure = UnauthorizedError(f"{self._name} refuses a fresh token (401)", status=401)

    def hidden(self, body: bytes, token: str = "") -> bytes:
        """Return a far side's words without our credentials: some gateways quote a request that they refuse."""
        for secret in (token, self._client_secret.get_secret_value()):
            if secret and len(secret) >= SHORTEST_HIDDEN and (text := secret.encode(errors="replace")) in body:
                body = body.replace(text, b"***")
        return body

    def update(self, client_id: str, client_secret: SecretStr) -> None:
        """Use other credentials from the next token on, which is fetched at the next call."""
        self._client_id, self._client_secret = client_id, client_secret
        self._token = None
        self._rests_until = 0.0
        self._refused_young = 0
        self._renew_at = 0.0  # a token of the old ones that is being fetched just now is not used either

    async def _renew(self, tries: int) -> None:
        """Fetch a token unless another did while we waited; what it met with then holds for us too, good or bad."""
        if self._token is not None and time.monotonic() < self._renew_at:
            return
        if self._failure and (self._tries != tries or time.monotonic() < self._rests_until):
            raise self._failure
        try:
            await self._fetch()
            self._failure = None
        except FarSideError as error:
            self._failure = error
            raise
        finally:
            self._tries += 1  # counted when it ends, so that who comes while it runs shares its outcome

    async def _fetch(self) -> None:
        self._asked_at = asked_at = time.monotonic()
        asked_with = (self._client_id, self._client_secret)
        status, headers, body = await self._ask()
        if status != 200:
            body = self.hidden(body)
        if status in _REFUSED:
            if asked_with == (self._client_id, self._client_secret):
                self._rests_until = time.monotonic() + REFUSED_REST_SECONDS
            raise UnauthorizedError(self._refusal(status, body), status=status)
        if status != 200:
            raise TroubleError(
                f"{self._name}'s token endpoint {self._token_url} answered {status}; is {self._setting}BASE_URL right?",
                status=status,
                retry_after=retry_after_seconds(headers),
            )
        token, seconds = self._read(body)
        if asked_with == (self._client_id, self._client_secret):  # else: replaced meanwhile, the next call asks anew
            self._renew_at = asked_at + seconds - min(self._margin_seconds, seconds * MARGIN_SHARE)
        self._token = token

    async def _ask(self) -> tuple[int, Mapping[str, str], bytes]:
        form = {"grant_type": "client_credentials", "client_id": self._client_id}
        form["client_secret"] = self._client_secret.get_secret_value()
        if self._scope:
            form["scope"] = self._scope
        timeout = aiohttp.ClientTimeout(total=TOKEN_TIMEOUT_SECONDS)
        try:
            # A session for each token, one in minutes: nothing to close, and no cookie outlives it.
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=_HEADERS, auto_decompress=False) as client,
                client.post(self._token_url, data=form, allow_redirects=False) as response,
            ):
                return response.status, response.headers, await read_body(response, LARGEST_TOKEN_ANSWER_BYTES)
        except (aiohttp.ClientError, OSError, TooLargeError) as error:
            words = str(error) or type(error).__name__
            raise TroubleError(f"{self._name}'s token endpoint cannot be reached: {words}") from error

    def _read(self, body: bytes) -> tuple[str, float]:
        """Return the token and the seconds that it lives; without `expires_in` until it is refused (RFC 6749 5.1)."""
        try:
            answer = json.loads(body)
            token, seconds = answer["access_token"], float(answer.get("expires_in", "inf"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            token, seconds = None, 0.0
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or not seconds > 0:
            raise TroubleError(f"{self._name}'s token endpoint answered with something that holds no token")
        return token, seconds

    def _refusal(self, status: int, body: bytes) -> str:
        try:
            word = json.loads(body)["error"]
        except (ValueError, TypeError, KeyError, RecursionError):
            word = ""
        said = f", {word}" if isinstance(word, str) and word.isprintable() and 0 < len(word) < _LONGEST_WORD else ""
        return (
            f"{self._name} refuses the credentials ({status}{said}): "
            f"check {self._setting}CLIENT_ID and {self._setting}CLIENT_SECRET, or those in the vault"
        )

"""The keys that an identity provider signs with (JWKS, RFC 7517): fetched, kept a while, followed when they rotate."""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Any

import aiohttp
import jwt
import structlog
from yarl import URL

from schemas.errors import SettingsError, TroubleError
from streams.systems.bodies import TooLargeError, read_body

log = structlog.get_logger(__name__)

FETCH_SECONDS = 3.0
"""What one fetch may take: who waits for it has others waiting for their answer."""
FRESH_SECONDS = 600.0
"""After this the keys are fetched again, so that one that the provider has withdrawn is not believed for long."""
USABLE_SECONDS = 86_400.0
"""While the provider cannot be reached, what it published last goes on being believed for a day."""
REST_SECONDS = 10.0
"""Between two fetches: tokens with made-up key ids must not become an attack on the provider."""
LARGEST_ANSWER_BYTES = 262_144
_OTHER_KEY = (jwt.InvalidSignatureError, jwt.InvalidKeyError, TypeError)
"""What checking a token with a key raises that it was not signed with; TypeError, where the key is of another kind."""
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class ProviderKeys:
    """The published keys of one provider; however many ask at once, one request goes out."""

    def __init__(self, url: str, *, setting: str) -> None:
        """Take the keys from `url`; `setting` is the setting that a person would have to correct.

        Raises:
            SettingsError: the address is not one that keys can be trusted from.

        """
        address = URL(url)
        if address.scheme != "https" and not (address.scheme == "http" and address.host in ("127.0.0.1", "localhost")):
            raise SettingsError(f"{setting}: an https address is needed, or anybody on the way could put in keys")
        self._url = address
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def claims(
        self,
        token: str,
        *,
        algorithms: Collection[str],
        audience: str | None,
        issuer: str | None,
        required: Collection[str],
        leeway_seconds: float,
    ) -> Mapping[str, Any]:
        """Return what a token says that one of the provider's keys has signed.

        Raises:
            jwt.PyJWTError: it is not good; InvalidAlgorithmError where its algorithm is not among `algorithms`.
            ValueError, TypeError, RecursionError: it cannot be read.
            TroubleError: that cannot be told now, for the keys cannot be had.

        """
        head = jwt.get_unverified_header(token)
        algorithm, key_id = head.get("alg"), head.get("kid")
        if not isinstance(algorithm, str) or algorithm not in algorithms:
            raise jwt.InvalidAlgorithmError(f"{algorithm} is not allowed")
        error: Exception = jwt.InvalidKeyError("there is no such key")
        for key in await self.candidates(key_id if isinstance(key_id, str) else None):
            try:
                found: Mapping[str, Any] = jwt.decode(
                    token,
                    key.key,
                    algorithms=[algorithm],
                    audience=audience,
                    issuer=issuer,
                    leeway=leeway_seconds,
                    options={"require": list(required)},
                )
            except _OTHER_KEY as wrong:
                error = wrong
            else:
                return found
        raise error

    async def candidates(self, key_id: str | None) -> list[jwt.PyJWK]:
        """Return the keys that a token with this `kid` may be signed with; without one all. None: there is no such key.

        Raises:
            TroubleError: that cannot be told now, for the provider does not answer or was asked a moment ago.

        """
        if time.monotonic() - self._fetched_at > FRESH_SECONDS:
            await self._refresh()
        found = self._matching(key_id)
        if not found:
            came_at = time.monotonic()
            await self._refresh()
            found = self._matching(key_id)
            if not found and self._fetched_at < came_at:
                raise TroubleError("the identity provider's keys were fetched a moment ago", retry_after=REST_SECONDS)
        return found

    def _matching(self, key_id: str | None) -> list[jwt.PyJWK]:
        return [key for key in self._keys if key_id is None or key.key_id == key_id]

    async def _refresh(self) -> None:
        """Fetch the keys unless that was tried a moment ago; usable ones stay when it fails."""
        came_at = time.monotonic()
        async with self._fetching:
            if self._fetched_at >= came_at:
                return  # another did while this one waited
            if time.monotonic() - self._asked_at >= REST_SECONDS:
                self._asked_at = time.monotonic()
                try:
                    self._keys, self._fetched_at = await self._fetch(), time.monotonic()
                except TroubleError as error:
                    log.warning("the identity provider's keys cannot be fetched", reason=str(error))
        if time.monotonic() - self._fetched_at > USABLE_SECONDS:
            raise TroubleError(f"there are no keys of the identity provider {self._url.host}", retry_after=REST_SECONDS)

    async def _fetch(self) -> list[jwt.PyJWK]:
        shown = f"{self._url.origin()}{self._url.raw_path}"  # a query, or a user, may hold a secret
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=_HEADERS, auto_decompress=False) as client,
                client.get(self._url, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise TroubleError(f"{shown} answered {response.status}")
                body = await read_body(response, LARGEST_ANSWER_BYTES)
        except (aiohttp.ClientError, OSError, TooLargeError) as error:
            raise TroubleError(f"{shown} cannot be reached: {type(error).__name__}") from error
        try:
            keys = jwt.PyJWKSet.from_json(body.decode()).keys
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise TroubleError(f"{shown} answered with something that is no key set") from error
        return [key for key in keys if key.public_key_use != "enc"]

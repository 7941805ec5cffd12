"""Tokens for SASL OAUTHBEARER (RFC 7628), by client credentials: shared by all clients of an event loop."""

import asyncio
from collections.abc import MutableMapping
from weakref import WeakKeyDictionary

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError
from pydantic import SecretStr

from schemas.errors import FarSideError, UnauthorizedError
from streams.systems.tokens import TokenSource

_Key = tuple[str, str, SecretStr, str | None]
_SOURCES: MutableMapping[asyncio.AbstractEventLoop, dict[_Key, TokenSource]] = WeakKeyDictionary()
"""A token source belongs to one loop, and Faust's consumers have loops of their own."""


class BearerTokens(AbstractTokenProvider):  # type: ignore[misc]
    """What aiokafka asks for a token each time it connects; a token is fetched anew shortly before it ends."""

    def __init__(self, token_url: str, client_id: str, client_secret: SecretStr, scope: str | None) -> None:
        self._key: _Key = (token_url, client_id, client_secret, scope)

    async def token(self) -> str:
        """Return a token that is good for some time yet.

        Raises:
            AuthenticationFailedError: there is none; aiokafka takes it for a broker that cannot be reached, and tries
                again.

        """
        sources = _SOURCES.setdefault(asyncio.get_running_loop(), {})
        if self._key not in sources:
            sources[self._key] = TokenSource(*self._key, name="Kafka", setting="ZIFS_KAFKA__SASL_OAUTH_")
        try:
            return await sources[self._key].token()
        except UnauthorizedError as error:
            raise AuthenticationFailedError(
                f"{self._key[0]} refuses the client ({error.status}): correct ZIFS_KAFKA__SASL_OAUTH_CLIENT_ID, "
                "SASL_OAUTH_CLIENT_SECRET or SASL_OAUTH_SCOPE"
            ) from error
        except FarSideError as error:
            raise AuthenticationFailedError(
                f"there is no token for Kafka: ZIFS_KAFKA__SASL_OAUTH_TOKEN_URL {self._key[0]} cannot be reached or "
                "answers without one"
            ) from error

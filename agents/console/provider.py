"""The identity provider of single sign-on: discovery, the exchange of a code, and the check of the ID token.

OpenID Connect Core 1.0 (3.1 authorization code flow, 3.1.3.7 ID token validation), Discovery 1.0, PKCE (RFC 7636).
"""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import aiohttp
import jwt
from oauthlib.oauth2 import OAuth2Error, WebApplicationClient
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from yarl import URL

from agents.console.access import is_loopback
from schemas.errors import ConnectorError, SettingsError, TroubleError
from streams.systems.bodies import TooLargeError, read_body
from streams.systems.jwks import ProviderKeys

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones alone: with `none` anybody could sign, with HS256 who knows the client secret."""
DISCOVERY = ".well-known/openid-configuration"
DISCOVERY_SECONDS = 3600.0
"""How long a discovery document is kept."""
ANSWER_SECONDS = 10.0
LARGEST_ANSWER_BYTES = 262_144
LEEWAY_SECONDS = 60
"""How far the provider's clock and ours may be apart."""
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class SignOnError(ConnectorError):
    """Somebody could not sign in by single sign-on; the message is for them."""


class Discovery(BaseModel):
    """What of the provider's discovery document is needed (OpenID Connect Discovery 1.0, 3)."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Provider:
    """Talks to the identity provider; it need not be there when the console starts."""

    def __init__(self, issuer: str, client_id: str, client_secret: SecretStr, scopes: str) -> None:
        _check_address(issuer, "ZIFS_CONSOLE__OIDC_ISSUER")
        if {URL(issuer).raw_user, URL(issuer).raw_password} != {None} or "?" in issuer or "#" in issuer:
            # OpenID Connect Discovery 1.0, 3. It is told in log lines, and must hold no secret.
            raise SettingsError("ZIFS_CONSOLE__OIDC_ISSUER: an address without user, query and fragment is needed")
        self._issuer = issuer
        self._client = WebApplicationClient(client_id)
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._discovery: Discovery | None = None
        self._discovered_at = float("-inf")
        self._keys: ProviderKeys | None = None

    async def sign_in_url(self, redirect_url: str, state: str, nonce: str, verifier: str) -> URL:
        """Return where a person signs in.

        Raises:
            TroubleError: the provider cannot be reached, or tells nothing of use.

        """
        found = await self._discover()
        return URL(found.authorization_endpoint).update_query(
            response_type="code",
            client_id=self._client_id,
            redirect_uri=redirect_url,
            scope=self._scopes,
            state=state,
            nonce=nonce,
            code_challenge=self._client.create_code_challenge(verifier, "S256"),
            code_challenge_method="S256",
        )

    async def claims(self, code: str, redirect_url: str, verifier: str, nonce: str) -> Mapping[str, Any]:
        """Return what the provider says of the person who came back with a code.

        Raises:
            SignOnError: the provider refuses the code, or its ID token is not good.
            TroubleError: the provider cannot be reached.

        """
        found = await self._discover()
        token = await self._id_token(found, code, redirect_url, verifier)
        try:
            claims = await self._verified(token)
        except jwt.PyJWTError as error:
            raise SignOnError(f"the identity provider's ID token is not good: {type(error).__name__}") from error
        except (ValueError, TypeError, RecursionError):  # what base64 and JSON of another can do
            raise SignOnError("the identity provider's ID token cannot be read") from None
        if claims.get("nonce") != nonce:
            raise SignOnError("the identity provider's ID token is not of this sign-in: its nonce differs")
        if claims.get("azp", self._client_id) != self._client_id:
            raise SignOnError("the identity provider's ID token was made for another client")
        return claims

    async def _discover(self) -> Discovery:
        if self._discovery is not None and time.monotonic() - self._discovered_at < DISCOVERY_SECONDS:
            return self._discovery
        url = f"{self._issuer.rstrip('/')}/{DISCOVERY}"
        status, body = await _ask("GET", url)
        if status != 200:
            raise TroubleError(f"the identity provider answered {status} at {url}: is ZIFS_CONSOLE__OIDC_ISSUER right?")
        found = _discovery(body, url)
        if found.issuer != self._issuer:
            raise TroubleError(
                f"the identity provider calls itself {found.issuer}: ZIFS_CONSOLE__OIDC_ISSUER must be the same"
            )
        if self._discovery is None or self._discovery.jwks_uri != found.jwks_uri:
            self._keys = ProviderKeys(found.jwks_uri, setting="ZIFS_CONSOLE__OIDC_ISSUER")
        self._discovery, self._discovered_at = found, time.monotonic()
        return found

    async def _id_token(self, found: Discovery, code: str, redirect_url: str, verifier: str) -> str:
        secret = self._client_secret.get_secret_value()
        by_form = "client_secret_basic" not in found.token_endpoint_auth_methods_supported
        body = self._client.prepare_request_body(
            code=code,
            redirect_uri=redirect_url,
            code_verifier=verifier,
            include_client_id=by_form,
            **({"client_secret": secret} if by_form else {}),
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if not by_form:
            # Both are form-encoded before they are joined (RFC 6749 2.3.1): a secret may have a colon.
            headers["Authorization"] = aiohttp.encode_basic_auth(quote_plus(self._client_id), quote_plus(secret))
        status, answer = await _ask("POST", found.token_endpoint, body=body.encode(), headers=headers)
        if status >= 500:
            raise TroubleError(f"the identity provider answered {status}")
        try:
            token = self._client.parse_request_body_response(answer.decode()).get("id_token")
        except OAuth2Error as error:
            raise SignOnError(f"the identity provider refuses the sign-in ({status}, {error.error})") from error
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise TroubleError(f"the identity provider answered {status} with something that holds no token") from None
        if not isinstance(token, str):
            raise SignOnError("the identity provider gave no ID token: ZIFS_CONSOLE__OIDC_SCOPES must have `openid`")
        return token

    async def _verified(self, token: str) -> Mapping[str, Any]:
        if self._keys is None:
            raise TroubleError("the identity provider's keys are not known yet")
        return await self._keys.claims(
            token,
            algorithms=ALGORITHMS,
            audience=self._client_id,
            issuer=self._issuer,
            required=("exp", "iat", "iss", "aud", "sub"),
            leeway_seconds=LEEWAY_SECONDS,
        )


def _discovery(body: bytes, url: str) -> Discovery:
    try:
        found = Discovery.model_validate_json(body)
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            _check_address(getattr(found, name), f"the identity provider's {name}")
    except (ValidationError, SettingsError) as error:
        told = str(error) if isinstance(error, SettingsError) else "it lacks what sign-in needs"
        raise TroubleError(f"the identity provider's answer at {url} is of no use: {told}") from None
    return found


def _check_address(text: str, what: str) -> None:
    try:
        url = URL(text)
        fits = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host or ""))
    except ValueError:
        fits = False
    if not fits:
        raise SettingsError(f"{what}: an https address is needed (http only on this machine)")


async def _ask(
    method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        # A session for each sign-in: nothing to close, and no cookie of one person meets another.
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=_HEADERS, auto_decompress=False) as client,
            client.request(method, url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status, await read_body(response, LARGEST_ANSWER_BYTES)
    except (aiohttp.ClientError, OSError, TooLargeError) as error:
        words = str(error) or type(error).__name__
        raise TroubleError(f"the identity provider cannot be reached: {words}") from error

"""Bearer tokens: JWTs that the customer's identity provider has signed (RFC 6750, RFC 7519, RFC 8725)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from schemas.errors import SettingsError
from streams.settings import IngressSettings
from streams.systems.jwks import ProviderKeys

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones: with HS256 who knows the published key could sign, with `none` anybody."""

LEEWAY_SECONDS = 30.0
"""How far the provider's clock and ours may be apart."""

_SETTING = "ZIFS_INGRESS__JWT_"


@dataclass(frozen=True)
class Bearer:
    """Whose tokens are good, for whom, and what must be in them."""

    keys: ProviderKeys
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    scope: str | None = None
    claim: tuple[str, str] | None = None

    async def why_not(self, authorization: str) -> str | None:
        """Return why an `Authorization` header is refused, in words without anything of the token; None if it is good.

        Raises:
            TroubleError: it cannot be told now, for there are no keys to check it with.

        """
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return "no bearer token"
        try:
            return await self._why_not(token.strip())
        except jwt.InvalidAlgorithmError:
            return "the token is not good: its algorithm is not allowed"
        except jwt.PyJWTError as error:
            return f"the token is not good: {type(error).__name__}"
        except (ValueError, TypeError, RecursionError):  # what base64 and JSON of a stranger can do
            return "the token is not good: it cannot be read"

    async def _why_not(self, token: str) -> str | None:
        claims = await self.keys.claims(
            token,
            algorithms=self.algorithms,
            audience=self.audience,
            issuer=self.issuer,
            required=("exp", "iss", "aud"),
            leeway_seconds=LEEWAY_SECONDS,
        )
        return self._missing_in(claims)

    def _missing_in(self, claims: Mapping[str, Any]) -> str | None:
        # `scope` is RFC 8693's name, a list in a string; Entra ID and Okta say `scp`, and may give a list.
        if self.scope and self.scope not in {*_values(claims.get("scope")), *_values(claims.get("scp"))}:
            return f"the token has no scope {self.scope}"
        if self.claim and not _holds(claims.get(self.claim[0]), self.claim[1]):
            return f"the token's claim {self.claim[0]} is not {self.claim[1]}"
        return None


def bearer(settings: IngressSettings) -> Bearer | None:
    """Return how bearer tokens are checked; None where they are not asked for.

    Raises:
        SettingsError: it is set by halves, or an algorithm is not safe.

    """
    needed = {
        "JWKS_URL": settings.jwt_jwks_url or "",
        "ISSUER": settings.jwt_issuer or "",
        "AUDIENCE": settings.jwt_audience or "",
    }
    missing = [name for name, value in needed.items() if not value]
    if len(missing) == len(needed) and not settings.jwt_required_scope and not settings.jwt_required_claim:
        return None
    if missing:
        raise SettingsError(f"{_SETTING}{missing[0]} is not set: key set, issuer and audience go together")
    name, _, value = (settings.jwt_required_claim or "").partition("=")
    return Bearer(
        ProviderKeys(needed["JWKS_URL"], setting=f"{_SETTING}JWKS_URL"),
        needed["ISSUER"],
        needed["AUDIENCE"],
        _algorithms(settings.jwt_algorithms),
        settings.jwt_required_scope or None,
        (name, value) if name else None,
    )


def _algorithms(text: str) -> tuple[str, ...]:
    named = tuple(name.strip() for name in text.split(",") if name.strip())
    unsafe = [name for name in named if name not in ALGORITHMS]
    if unsafe or not named:
        refused = f"{unsafe[0][:20]} is refused" if unsafe else "empty"
        raise SettingsError(f"{_SETTING}ALGORITHMS: {refused}; use {', '.join(ALGORITHMS)}")
    return named


def _values(claim: object) -> Collection[Any]:
    return claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else ()


def _holds(claim: object, value: str) -> bool:
    return value in claim if isinstance(claim, list) else claim == value

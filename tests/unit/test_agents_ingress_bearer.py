"""Bearer tokens against a provider's published keys: which are good, how keys rotate, and what if it is away."""

import base64
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from structlog.testing import capture_logs

from agents.ingress.authentication import authentication
from agents.ingress.bearer import Bearer
from schemas.errors import SettingsError, TroubleError
from streams.settings import IngressSettings
from streams.systems import jwks
from tests.support.identity_provider import AUDIENCE, ISSUER, IdentityProvider

SET = {"jwt_jwks_url": "https://identity.example/keys", "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    provider = IdentityProvider()
    async with provider.running():
        yield provider


def door(provider: IdentityProvider, **settings: Any) -> Bearer:
    bearer = authentication(IngressSettings.model_validate(SET | {"jwt_jwks_url": provider.url} | settings)).bearer
    assert bearer
    return bearer


async def test_a_good_token_is_let_in(provider: IdentityProvider) -> None:
    bearer = door(provider)

    assert await bearer.why_not(f"Bearer {provider.token()}") is None
    assert await bearer.why_not(f"bearer  {provider.token(aud=['other', AUDIENCE])}") is None
    assert provider.asked == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"exp": timedelta(seconds=-60)}, "ExpiredSignatureError"),
        ({"exp": None}, "MissingRequiredClaimError"),
        ({"nbf": timedelta(seconds=60)}, "ImmatureSignatureError"),
        ({"iss": "https://else.example"}, "InvalidIssuerError"),
        ({"iss": None}, "MissingRequiredClaimError"),
        ({"aud": "other"}, "InvalidAudienceError"),
        ({"aud": None}, "MissingRequiredClaimError"),
        ({"algorithm": "RS512"}, "its algorithm is not allowed"),
        ({"algorithm": "none"}, "its algorithm is not allowed"),
        ({"key": IdentityProvider().key}, "InvalidSignatureError"),
    ],
    ids=[
        "expired",
        "no end",
        "not yet",
        "issuer",
        "no issuer",
        "audience",
        "no audience",
        "RS512",
        "none",
        "key",
    ],
)
async def test_a_bad_token_is_refused_in_words_without_it(
    provider: IdentityProvider, changed: dict[str, Any], why: str
) -> None:
    now = time.time()  # this test may run long after it was collected
    token = provider.token(
        **{name: now + one.total_seconds() if isinstance(one, timedelta) else one for name, one in changed.items()}
    )

    said = await door(provider).why_not(f"Bearer {token}")

    assert said is not None
    assert why in said
    assert token[10:40] not in said


async def test_clocks_may_be_half_a_minute_apart(provider: IdentityProvider) -> None:
    assert await door(provider).why_not(f"Bearer {provider.token(exp=time.time() - 15, nbf=time.time() + 15)}") is None


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic enVvcmE6c2VjcmV0",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer " + "é" * 9,
        "Bearer .....",
    ],
)
async def test_what_is_no_token_is_refused(provider: IdentityProvider, authorization: str) -> None:
    assert await door(provider).why_not(authorization)


async def test_the_published_key_as_a_shared_secret_is_refused(provider: IdentityProvider) -> None:
    """The old trick: sign with HS256 and the text of the public key."""

    def part(value: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    forged = f"{part({'alg': 'HS256', 'kid': 'first'})}.{part({'iss': ISSUER})}.c2ln"

    assert await door(provider).why_not(f"Bearer {forged}") == "the token is not good: its algorithm is not allowed"


async def test_elliptic_keys_are_taken_where_they_are_set(provider: IdentityProvider) -> None:
    provider.rotate("curve", elliptic=True)

    assert (
        await door(provider, jwt_algorithms="RS256, ES256").why_not(f"Bearer {provider.token(algorithm='ES256')}")
        is None
    )
    assert await door(provider).why_not(f"Bearer {provider.token(algorithm='ES256')}")


async def test_a_token_without_a_key_id_is_tried_with_every_key(provider: IdentityProvider) -> None:
    older = provider.published
    provider.rotate("second")
    provider.published = older + provider.published
    token = jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 60}, provider.key, "RS256")

    assert await door(provider).why_not(f"Bearer {token}") is None


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_a_token_without_a_key_id_is_tried_past_keys_of_another_kind(
    provider: IdentityProvider, algorithm: str
) -> None:
    elliptic = algorithm == "ES256"
    provider.rotate("other", elliptic=not elliptic)
    others = provider.published
    provider.rotate("own", elliptic=elliptic)
    provider.published = others + provider.published
    bearer = door(provider, jwt_algorithms="RS256, ES256")
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 60}
    strangers = IdentityProvider()
    strangers.rotate("own", elliptic=elliptic)

    assert await bearer.why_not(f"Bearer {jwt.encode(claims, provider.key, algorithm)}") is None
    assert await bearer.why_not(f"Bearer {jwt.encode(claims, strangers.key, algorithm)}")


@pytest.mark.parametrize(
    ("settings", "claims", "good"),
    [
        ({"jwt_required_scope": "callouts"}, {"scope": "read callouts"}, True),
        ({"jwt_required_scope": "callouts"}, {"scp": ["callouts"]}, True),
        ({"jwt_required_scope": "callouts"}, {"scope": "callouts.read"}, False),
        ({"jwt_required_scope": "callouts"}, {}, False),
        ({"jwt_required_claim": "roles=zuora"}, {"roles": ["zuora"]}, True),
        ({"jwt_required_claim": "client=zuora=1"}, {"client": "zuora=1"}, True),
        ({"jwt_required_claim": "roles=zuora"}, {"roles": "zuora-too"}, False),
        ({"jwt_required_claim": "roles=zuora"}, {"roles": {"zuora": 1}}, False),
    ],
)
async def test_a_scope_and_a_claim_may_be_demanded(
    provider: IdentityProvider,
    settings: dict[str, Any],
    claims: dict[str, Any],
    good: bool,  # noqa: FBT001 - a column
) -> None:
    said = await door(provider, **settings).why_not(f"Bearer {provider.token(**claims)}")

    assert (said is None) is good


async def test_a_new_key_is_fetched_when_a_token_names_it(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    bearer = door(provider)
    assert await bearer.why_not(f"Bearer {provider.token()}") is None
    provider.rotate("second")

    # The keys were fetched a moment ago: it cannot be told whether there is such a key, so Zuora is to come again.
    with pytest.raises(TroubleError, match="a moment ago"):
        await bearer.why_not(f"Bearer {provider.token()}")
    assert provider.asked == 1

    monkeypatch.setattr(jwks, "REST_SECONDS", 0.0)
    assert await bearer.why_not(f"Bearer {provider.token()}") is None
    assert provider.asked == 2
    assert "InvalidKeyError" in str(await bearer.why_not(f"Bearer {provider.token(head={'kid': 'made up'})}"))


async def test_without_keys_nothing_can_be_told(provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.status = 500
    bearer = door(provider)

    with capture_logs() as logs, pytest.raises(TroubleError, match="no keys"):
        await bearer.why_not(f"Bearer {provider.token()}")
    assert "answered 500" in str(logs)

    provider.status = 200
    monkeypatch.setattr(jwks, "REST_SECONDS", 0.0)
    assert await bearer.why_not(f"Bearer {provider.token()}") is None


async def test_known_keys_outlast_a_provider_that_is_away(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "REST_SECONDS", 0.0)
    monkeypatch.setattr(jwks, "FRESH_SECONDS", 0.0)
    bearer = door(provider)
    assert await bearer.why_not(f"Bearer {provider.token()}") is None
    provider.status = 503

    assert await bearer.why_not(f"Bearer {provider.token()}") is None
    assert provider.asked == 2
    monkeypatch.setattr(jwks, "USABLE_SECONDS", 0.0)
    with pytest.raises(TroubleError):
        await bearer.why_not(f"Bearer {provider.token()}")


@pytest.mark.parametrize("answer", [[], [{"kty": "RSA"}], [{"kty": "oct", "k": "c2VjcmV0", "use": "enc"}]])
async def test_a_key_set_without_keys_is_no_key_set(provider: IdentityProvider, answer: list[dict[str, str]]) -> None:
    provider.published = answer

    with pytest.raises(TroubleError):
        await door(provider).why_not(f"Bearer {provider.token()}")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (SET | {"jwt_algorithms": "HS256"}, "ZIFS_INGRESS__JWT_ALGORITHMS: HS256 is refused"),
        (SET | {"jwt_algorithms": "RS256,none"}, "ZIFS_INGRESS__JWT_ALGORITHMS: none is refused"),
        (SET | {"jwt_algorithms": " "}, "ZIFS_INGRESS__JWT_ALGORITHMS: empty"),
        (SET | {"jwt_issuer": None}, "ZIFS_INGRESS__JWT_ISSUER is not set"),
        (SET | {"jwt_audience": ""}, "ZIFS_INGRESS__JWT_AUDIENCE is not set"),
        ({"jwt_required_scope": "callouts", "hmac_secret": "s"}, "ZIFS_INGRESS__JWT_JWKS_URL is not set"),
        (SET | {"jwt_jwks_url": "http://identity.example/keys"}, "ZIFS_INGRESS__JWT_JWKS_URL: an https address"),
        (SET | {"basic_username": "zuora", "basic_password": "p"}, "choose Basic or bearer"),
    ],
)
def test_unsafe_settings_are_refused_in_a_line_that_names_them(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        authentication(IngressSettings.model_validate(settings))


def test_a_bearer_and_a_signature_are_both_demanded_where_both_are_set() -> None:
    methods = authentication(IngressSettings.model_validate(SET | {"hmac_secret": "s"}))

    assert methods.bearer
    assert not methods.trusts_body({}, b"{}")
    assert methods.challenge == 'Bearer realm="zuora-ifs"'

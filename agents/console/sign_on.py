"""Single sign-on: the way to the identity provider and back, and which role its word gives."""

import hmac
import secrets
from collections.abc import Mapping
from typing import Any, NoReturn

from aiohttp import web
from yarl import URL

from agents.console.access import SESSION_SECONDS
from agents.console.cross_site import SESSION_COOKIE, set_cookie
from agents.console.guard import ACCESS
from agents.console.provider import Provider, SignOnError
from agents.console.refusals import Why, check_attempts, forbid, note_failure
from agents.console.roles import Identity, Role
from agents.console.sealing import Seal
from agents.console.signing_in import local_target
from schemas.errors import SettingsError
from streams.settings import ConsoleSettings

CALLBACK_PATH = "/login/callback"
COOKIE = "zuora_ifs_sign_on"
PATIENCE_SECONDS = 900
"""How long a person may take at the provider."""
LONGEST_NAME = 100


class SignOn:
    """What single sign-on needs.

    Raises:
        SettingsError: it is set by halves.

    """

    def __init__(self, settings: ConsoleSettings, issuer: str) -> None:
        self.redirect_url = str(own_site(_needed(settings.base_url, "BASE_URL")).joinpath(CALLBACK_PATH.lstrip("/")))
        secret = settings.oidc_client_secret
        if secret is None or not secret.get_secret_value():
            raise SettingsError("ZIFS_CONSOLE__OIDC_CLIENT_SECRET is not set: single sign-on needs it")
        if not settings.oidc_roles:
            raise SettingsError("ZIFS_CONSOLE__OIDC_ROLES is not set: nobody would have a role by single sign-on")
        if "openid" not in settings.oidc_scopes.split():
            raise SettingsError("ZIFS_CONSOLE__OIDC_SCOPES: `openid` must be among them")
        client_id = _needed(settings.oidc_client_id, "OIDC_CLIENT_ID")
        self.provider = Provider(issuer, client_id, secret, settings.oidc_scopes)
        root = settings.session_secret or secret
        self.seal = Seal(root.get_secret_value().encode(), "on the way to the provider")
        self.role_claim = settings.oidc_role_claim


SIGN_ON = web.AppKey("sign_on", SignOn)


def sign_on(settings: ConsoleSettings) -> SignOn | None:
    """Return single sign-on as it is set; None where it is not.

    Raises:
        SettingsError: it is set by halves.

    """
    return SignOn(settings, settings.oidc_issuer) if settings.oidc_issuer else None


def own_site(base_url: str) -> URL:
    """Return where people reach the console.

    Raises:
        SettingsError: it is no address of a site's root.

    """
    url = URL(base_url)
    if url.scheme not in ("http", "https") or not url.host or url.path not in ("", "/"):
        raise SettingsError("ZIFS_CONSOLE__BASE_URL: must be like https://ledger.example.com, without a path")
    return url.origin()


async def get_single_sign_on(request: web.Request) -> web.Response:
    """Answer `GET /login/single-sign-on`: leads to the identity provider."""
    to = request.app[SIGN_ON]
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    url = await to.provider.sign_in_url(to.redirect_url, state, nonce, verifier)
    response = web.HTTPSeeOther(url)
    way = {"state": state, "nonce": nonce, "verifier": verifier, "next": local_target(request.query.get("next"))}
    # Lax, not Strict: the provider leads back here, and the cookie has to come along.
    set_cookie(request, response, COOKIE, to.seal.close(way), seconds=PATIENCE_SECONDS, path="/login")
    raise response


async def get_callback(request: web.Request) -> web.Response:
    """Answer `GET /login/callback`: the provider's word becomes a session."""
    await check_attempts(request)
    to = request.app[SIGN_ON]
    way = to.seal.open(request.cookies.get(COOKIE, ""), PATIENCE_SECONDS)
    if way is None or not hmac.compare_digest(way["state"].encode(), request.query.get("state", "").encode()):
        # Not counted: a page of another site can lead any browser here, and nobody guesses a state of 256 bits.
        forbid(request, Why.SINGLE_SIGN_ON, "this sign-in took too long or was begun elsewhere: begin it again")
    if "code" not in request.query:
        await _fail(request, f"the identity provider says no: {_word(request.query.get('error'))}")
    try:
        claims = await to.provider.claims(request.query["code"], to.redirect_url, way["verifier"], way["nonce"])
    except SignOnError as error:
        await _fail(request, str(error))
    identity = _identity(request, claims)
    response = web.HTTPSeeOther(local_target(way["next"]))
    response.del_cookie(COOKIE, path="/login")
    session = request.app[ACCESS].sign_on_session(identity)
    set_cookie(request, response, SESSION_COOKIE, session, seconds=SESSION_SECONDS)
    raise response


def _identity(request: web.Request, claims: Mapping[str, Any]) -> Identity:
    """Return who came, with the highest role that the claim gives; without one nobody gets in."""
    name = name_of(claims)
    found = values_at(claims, request.app[SIGN_ON].role_claim)
    roles = request.app[ACCESS].roles
    given = [roles[value] for value in found if value in roles]
    if not given:
        forbid(
            request,
            Why.SINGLE_SIGN_ON,
            f"you are signed in as {name}, but nothing in your account gives you a role here: ask your administrator"
            " (ZIFS_CONSOLE__OIDC_ROLES says which groups have one)",
        )
    return Identity(name, max(given, key=Role))


def name_of(claims: Mapping[str, Any]) -> str:
    """Return what a person is called in the log: the name that they sign in with, their address, or their id."""
    for claim in ("preferred_username", "email"):
        name = claims.get(claim)
        if isinstance(name, str) and name.isprintable() and 0 < len(name.strip()) <= LONGEST_NAME:
            return name.strip()
    return str(claims["sub"])[:LONGEST_NAME]


def values_at(claims: Mapping[str, Any], path: str) -> list[str]:
    """Return the values of a claim, one or many; a name that holds dots itself is looked for first."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
    values = [found] if isinstance(found, str) else found
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


async def _fail(request: web.Request, message: str) -> NoReturn:
    await note_failure(request, Why.SINGLE_SIGN_ON)
    raise web.HTTPForbidden(text=message)


def _word(text: str | None) -> str:
    """Return the provider's error code if it is one (RFC 6749 4.1.2.1), for this comes with the address bar."""
    return (
        text if text and text.isascii() and text.replace("_", "").isalnum() and len(text) <= LONGEST_NAME else "no code"
    )


def _needed(value: str | None, name: str) -> str:
    if not value:
        raise SettingsError(f"ZIFS_CONSOLE__{name} is not set: single sign-on needs it")
    return value

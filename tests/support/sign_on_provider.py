"""An identity provider that people sign in at: discovery, a sign-in page that says yes at once, tokens for codes."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web
from yarl import URL

from agents.serving import start_site
from tests.support.identity_provider import IdentityProvider

CLIENT_ID = "console"
CLIENT_SECRET = "s:h/a r+ed"
PERSON = {"preferred_username": "eva", "roles": ["staff", "ledger-operators"]}


class SignOnProvider(IdentityProvider):
    """Answers as OpenID Connect Core 1.0 says, for one client and one person.

    `claims` are put into its ID tokens beside (or instead of) what has to be there, `signing` says how they are signed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.claims: dict[str, Any] = dict(PERSON)
        self.signing: dict[str, Any] = {}
        self.discovery: dict[str, Any] = {}
        self.refusal: str | None = None
        self.id_tokens = True
        self._codes: dict[str, dict[str, str]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer for as long as this is open; `url` is the issuer."""
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        app.router.add_get("/keys", self._keys)
        site = await start_site(app, "127.0.0.1", 0)
        self.url = site.url
        try:
            yield
        finally:
            await site.stop()

    async def _keys(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response({"keys": self.published}, status=self.status)

    async def _discovery(self, _: web.Request) -> web.Response:
        told = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?tenant=acme",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }
        return web.json_response(told | self.discovery, status=self.status)

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert asked["tenant"] == "acme"
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
        assert asked["code_challenge_method"] == "S256"
        back = URL(asked["redirect_uri"])
        if self.refusal:
            raise web.HTTPFound(back.with_query(error=self.refusal, state=asked["state"]))
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        raise web.HTTPFound(back.with_query(code=code, state=asked["state"]))

    async def _token(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        if not self._knows(request.headers.get("Authorization"), form):
            return web.json_response({"error": "invalid_client"}, status=401)
        asked = self._codes.pop(str(form.get("code")), None)
        digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        claims = {"iss": self.url, "aud": CLIENT_ID, "sub": "00u1", "nonce": asked["nonce"]} | self.claims
        told: dict[str, Any] = {"access_token": "opaque", "token_type": "Bearer", "expires_in": 60}
        if self.id_tokens:
            told["id_token"] = self.token(**self.signing, **claims)
        return web.json_response(told)

    def _knows(self, authorization: str | None, form: dict[str, Any]) -> bool:
        if "token_endpoint_auth_methods_supported" in self.discovery:
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        scheme, _, told = (authorization or "").partition(" ")
        name, _, secret = base64.b64decode(told).decode().partition(":")
        return (scheme, unquote_plus(name), unquote_plus(secret)) == ("Basic", CLIENT_ID, CLIENT_SECRET)

"""An identity provider for tests: publishes its keys over HTTP, signs tokens, rotates, goes away."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agents.serving import start_site

ISSUER = "https://identity.example"
AUDIENCE = "zuora-ifs"


class IdentityProvider:
    """Has one key at a time; `published` is what its key set holds, and `asked` how often that was fetched."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.status = 200
        self.client_secret = "brokers-know-this-one"
        self.token_seconds = 300
        self.tokens_given = 0
        self.published: list[dict[str, Any]] = []
        self.key: Any = None
        self.key_id = ""
        self.rotate("first")

    def rotate(self, key_id: str, *, elliptic: bool = False, publish: bool = True) -> None:
        """Sign with a new key from now on."""
        self.key_id = key_id
        self.key = (
            ec.generate_private_key(ec.SECP256R1())
            if elliptic
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        algorithm: Any = jwt.algorithms.ECAlgorithm if elliptic else jwt.algorithms.RSAAlgorithm
        described = json.loads(algorithm.to_jwk(self.key.public_key()))
        if publish:
            self.published = [described | {"kid": key_id, "use": "sig"}]

    def token(
        self, *, algorithm: str = "RS256", key: Any = None, head: dict[str, Any] | None = None, **changed: Any
    ) -> str:
        """Return a token that is good, unless a claim is changed; None leaves one out."""
        now = time.time()
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "zuora", "iat": now, "nbf": now, "exp": now + 300} | changed
        claims = {name: value for name, value in claims.items() if value is not None}
        key = None if algorithm == "none" else key or self.key
        return jwt.encode(claims, key, algorithm, headers={"kid": self.key_id} | (head or {}))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Publish the keys, and give tokens to clients, for as long as this is open."""

        async def keys(_: web.Request) -> web.Response:
            self.asked += 1
            return web.json_response({"keys": self.published}, status=self.status)

        async def token(request: web.Request) -> web.Response:
            form = await request.post()
            self.tokens_given += 1
            if form.get("client_secret") != self.client_secret:
                return web.json_response({"error": "invalid_client"}, status=401)
            given = self.token(sub=form["client_id"])
            return web.json_response({"access_token": given, "expires_in": self.token_seconds})

        app = web.Application()
        app.router.add_get("/keys", keys)
        app.router.add_post("/token", token)
        site = await start_site(app, "127.0.0.1", 0)
        self.url = f"{site.url}/keys"
        try:
            yield
        finally:
            await site.stop()

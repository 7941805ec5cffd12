"""What one IFS sandbox is made of, and where its application keeps it."""

import secrets
import time
from collections import Counter

from aiohttp import web

from deploy.sandbox.exact import json_response
from deploy.sandbox.faults import Faults
from deploy.sandbox.ifs.checks import Checker
from deploy.sandbox.ifs.defaults import companies
from deploy.sandbox.ifs.ledger import Draft, Ledger
from deploy.sandbox.ifs.settings import IfsSettings
from deploy.sandbox.traffic import Traffic

#: Faults that concern any request, and those of a POST that books.
REQUEST_FAULTS = frozenset(
    {"status", "database-error", "locked", "rate-limit", "slow", "hang", "drop", "empty", "metadata-changed"}
)
BOOKING_FAULTS = frozenset({"commit-then-drop", "commit-then-504", "commit-late", "other-writer"})


class IfsSandbox:
    """State and machinery of one sandbox; the application only routes to it."""

    def __init__(self, settings: IfsSettings) -> None:
        self.settings = settings
        self.companies = companies(settings.user)
        self.ledger = Ledger(settings, self.companies)
        self.traffic = Traffic(settings.requests_per_minute, 0, settings.window_seconds)
        self.faults = Faults(REQUEST_FAULTS | BOOKING_FAULTS)
        #: How often what was answered or found: `refused:{code}`, `posts`, `booked`, `preconditionFailed`, …
        self.counts: Counter[str] = Counter()
        #: Vouchers that the entry assistant was given and that were not cleaned up, by object key.
        self.drafts: dict[str, Draft] = {}
        self._tokens: dict[str, float] = {}
        #: Commits that come late hold a reference here until they are done.
        self.late: set[object] = set()

    def checker(self, *, text_numbers: bool = False) -> Checker:
        """A checker of request bodies under the present settings."""
        settings = self.settings
        return Checker(
            self.companies,
            user=settings.user,
            rows_property=settings.rows_property,
            status=settings.voucher_status,
            text_numbers=text_numbers,
        )

    async def issue_token(self, request: web.Request) -> web.Response:
        """Answer the token endpoint as Keycloak does (client_credentials in the form)."""
        if request.match_info["realm"] != self.settings.realm:
            return json_response({"error": "Realm does not exist"}, 404)
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return json_response(
                {"error": "unsupported_grant_type", "error_description": "Unsupported grant_type"}, 400
            )
        if (form.get("client_id"), form.get("client_secret")) != (self.settings.client_id, self.settings.client_secret):
            return json_response(
                {"error": "unauthorized_client", "error_description": "Invalid client or Invalid client credentials"},
                401,
            )
        token = f"eyJhbGciOiJSUzI1NiJ9.{secrets.token_urlsafe(24)}.c2ln"
        self._tokens[token] = time.monotonic() + self.settings.token_seconds
        self.counts["tokensIssued"] += 1
        whole = int(self.settings.token_seconds)
        expires = whole if whole == self.settings.token_seconds else self.settings.token_seconds
        return json_response(
            {
                "access_token": token,
                "expires_in": expires,
                "refresh_expires_in": 0,
                "token_type": "Bearer",
                "not-before-policy": 0,
                "scope": str(form.get("scope") or "openid microprofile-jwt"),
            }
        )

    def token_is_good(self, request: web.Request) -> bool:
        """Whether the request carries a token that is valid now."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._tokens.get(token, 0.0) > time.monotonic()

    def revoke_tokens(self) -> None:
        """Every token issued so far is void."""
        self._tokens.clear()


SANDBOX: web.AppKey[IfsSandbox] = web.AppKey("sandbox", IfsSandbox)

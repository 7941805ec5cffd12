"""Zuora's ways of saying no, and the tokens that say who asks."""

import re
import secrets
import time

from aiohttp import web

from deploy.sandbox.exact import Json, json_response
from deploy.sandbox.zuora.settings import ZuoraSettings

#: Two-digit category at the end of a code -> HTTP status, from Zuora-Version 2024-05-20 on.
UNAUTHENTICATED, BAD_VALUE, BAD_QUERY, NOT_FOUND, WRONG_METHOD, INTERNAL, TEMPORARY = 11, 20, 27, 40, 45, 60, 61


class ApiError(Exception):
    """An error answer on its way out; the middleware gives it the shape of the path it happened on."""

    def __init__(self, status: int, code: int | str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers


def not_found(key: str) -> ApiError:
    """The object is not there, or not yet."""
    return ApiError(404, 50000040, f"Cannot find entity by key: '{key}'.")


def bad_query(message: str) -> ApiError:
    """A query parameter is wrong."""
    return ApiError(400, 50000027, message)


def sign_in_first() -> ApiError:
    """No token, a wrong one or an old one."""
    return ApiError(401, 90000011, "this resource is protected, please sign in first")


def shaped(error: ApiError, path: str, version: str) -> web.Response:
    """Write an error as its endpoint does: v1, object query, or the older CRUD calls."""
    request_id = secrets.token_hex(16)
    reasons = [{"code": error.code, "message": error.message}]
    if path.startswith("/v1/object/"):
        if error.status == 401:
            return json_response({"message": "Authentication error"}, 401, {"WWW-Authenticate": "Bearer"})
        return json_response(
            {"records": [], "size": 0, "done": True} if error.status == 404 else {"reasons": reasons},
            error.status,
            error.headers,
        )
    if not path.startswith("/v1"):
        return json_response({"reasons": reasons, "requestId": request_id}, error.status, error.headers)
    body: Json = {
        "success": False,
        "processId": secrets.token_hex(8).upper(),
        "reasons": reasons,
        "requestId": request_id,
    }
    coded = isinstance(error.code, int) and error.status not in {401, 429}
    # Before dates, versions were numbers such as 257.0; all of those are old.
    old_version = re.fullmatch(r"\d{4}-\d\d-\d\d", version) is None or version < "2024-05-20"
    return json_response(body, 200 if coded and old_version else error.status, error.headers)


class Tokens:
    """Issues and checks OAuth tokens (client credentials in the form, as `POST /oauth/token` has it)."""

    def __init__(self, settings: ZuoraSettings) -> None:
        self._settings = settings
        self._valid_until: dict[str, float] = {}
        self.issued = 0

    async def issue(self, request: web.Request) -> web.Response:
        """Answer `POST /oauth/token`."""
        form = await request.post()
        if request.content_type != "application/x-www-form-urlencoded" or "Authorization" in request.headers:
            return json_response({"reason": "client credentials belong into the form", "code": "invalid_request"}, 400)
        if form.get("grant_type") != "client_credentials":
            return json_response(
                {"error": "unsupported_grant_type", "error_description": "grant_type must be client_credentials"}, 400
            )
        given = (str(form.get("client_id", "")), str(form.get("client_secret", "")))
        if given != (self._settings.client_id, self._settings.client_secret):
            return json_response({"error": "invalid_client", "error_description": "Bad client credentials"}, 401)
        token = secrets.token_hex(16)
        self._valid_until[token] = time.monotonic() + self._settings.token_seconds
        self.issued += 1
        answer = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self._settings.token_seconds,
            "jti": token,
            "scope": "user.2c92c0f86a8dd422016a9e7a70116b0d entity.1 service.usage.delete tenant.12345",
        }
        return json_response(answer)

    def check(self, request: web.Request) -> None:
        """Raise the 401 for a request without a valid token."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self._valid_until.get(token, 0.0) <= time.monotonic():
            raise sign_in_first()

    def revoke_all(self) -> None:
        """Every token issued so far is void."""
        self._valid_until.clear()

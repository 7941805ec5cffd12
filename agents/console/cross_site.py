"""Nothing that a page of another site sends with somebody's cookie is done.

Browsers say where a request comes from: `Sec-Fetch-Site` on pages by TLS and of this machine, `Origin` with every POST,
PUT and DELETE. Forms carry a token besides, for browsers that say neither (OWASP, Cross-Site Request Forgery
Prevention: Fetch Metadata with a fallback to Origin, tokens as defence in depth).
"""

import hashlib
import hmac
import secrets
from typing import Literal

from aiohttp import web
from yarl import URL

from agents.console.refusals import Why, came_from, forbid

OWN_SITE = web.AppKey("own_site", URL)
SESSION_COOKIE = "zuora_ifs_session"
FORM_COOKIE = "zuora_ifs_form"
FORM_FIELD = "form"
FORM_SECONDS = 24 * 3600
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def check_site(request: web.Request, *, form: bool) -> None:
    """Refuse a change that a page of another site asks for; of a `form` that tells nothing its token decides."""
    if request.method in SAFE_METHODS or "Authorization" in request.headers:
        return  # nothing is changed, or a program speaks: no browser adds such a header by itself
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        fits = site in ("same-origin", "none")
    elif origin is not None:
        fits = _is_ours(request, origin)
    else:
        fits = form
    if not fits:
        forbid(request, Why.CROSS_SITE, "this was not sent by a page of the console, so nothing was done")


def sign_in_form(request: web.Request) -> tuple[str, str]:
    """Return the cookie and the token of the form to sign in, where there is no session yet."""
    cookie = request.cookies.get(FORM_COOKIE, "") or secrets.token_urlsafe(32)
    return cookie, _token_of(cookie)


def session_form(request: web.Request) -> str:
    """Return the token of forms in a session."""
    return _token_of(request.cookies.get(SESSION_COOKIE, ""))


def check_form(request: web.Request, given: object, cookie_name: str) -> None:
    """Refuse a form whose token does not belong to the browser's own cookie."""
    cookie = request.cookies.get(cookie_name, "")
    if not cookie or not hmac.compare_digest(_token_of(cookie).encode(), str(given).encode(errors="replace")):
        forbid(request, Why.FORM, "this form is too old or came from another site: open the page again")


def set_cookie(
    request: web.Request,
    response: web.StreamResponse,
    name: str,
    value: str,
    *,
    seconds: int,
    path: str = "/",
    same_site: Literal["Lax", "Strict"] = "Lax",
) -> None:
    """Set a cookie that no script reads, and that goes by TLS only where people come by TLS."""
    response.set_cookie(
        name, value, max_age=seconds, path=path, httponly=True, secure=is_secure(request), samesite=same_site
    )


def is_secure(request: web.Request) -> bool:
    """Return whether people reach the console by TLS."""
    own = request.app.get(OWN_SITE)
    # Whoever lies about it harms nobody but himself, so that header needs no trusted proxy here.
    said = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return came_from(request).secure or said == "https" or (own is not None and own.scheme == "https")


def _is_ours(request: web.Request, origin: str) -> bool:
    own = request.app.get(OWN_SITE)
    if own is not None and origin == str(own.origin()):
        return True
    scheme, _, authority = origin.partition("://")
    # What ends TLS before us may leave the Host but not tell the scheme: https is always good enough.
    return authority == request.host and (scheme == "https" or (scheme == "http" and not is_secure(request)))


def _token_of(cookie: str) -> str:
    """The cookie is a secret of this browser and the console; who has its digest was shown the form."""
    return hmac.new(cookie.encode(errors="replace"), b"zuora-ifs console form", hashlib.sha256).hexdigest()

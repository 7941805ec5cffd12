"""What every request passes: who is it, may they, and headers that keep browsers from doing harm."""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from agents.console.access import Access, is_loopback
from agents.console.cross_site import SESSION_COOKIE, check_site, is_secure
from agents.console.refusals import IDENTITY, Why, check_attempts, forbid, note_failure, note_refusal
from agents.console.roles import LOCAL, Identity, required_role
from agents.console.templating import page
from schemas.errors import LogError, TroubleError, UsageError
from streams.requests import RequestError, UnknownRecordError

ACCESS = web.AppKey("access", Access)
SIGN_IN_PATHS = ("/login", "/login/single-sign-on", "/login/callback", "/logout")
OPEN_PATHS = ("/healthz", "/readyz", "/metrics", *SIGN_IN_PATHS)
OPEN_FOLDERS = ("/static/",)
RETRY_SECONDS = "5"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: with that browsers send `Origin: null` with our own forms too.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STRICT_TRANSPORT = "max-age=31536000"
"""A year of TLS only, once a browser came by TLS; other hosts of the domain are not ours to bind."""

log = structlog.get_logger(__name__)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into one sentence: as JSON for programs, as a page for people."""
    try:
        return await handler(request)
    except UsageError as error:
        return _refusal(request, 400, str(error), {})
    except RequestError as error:
        return _refusal(request, 404 if isinstance(error, UnknownRecordError) else 409, str(error), {})
    except (LogError, TroubleError) as error:
        log.warning("a request cannot be answered now", path=request.rel_url.raw_path, reason=str(error))
        return _refusal(request, 503, str(error), {"Retry-After": RETRY_SECONDS})
    except web.HTTPError as error:
        return _refusal(request, error.status, error.text or error.reason, _kept(error))
    except web.HTTPException:
        raise
    except Exception:
        # A caller gets no inner details; whoever runs the console finds all of them in its log.
        log.exception("a request failed unexpectedly", method=request.method, path=request.rel_url.raw_path)
        return _refusal(request, 500, "the console failed unexpectedly; its log tells more", {})


@web.middleware
async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who may; programs get 401 or 403, people without a session the login page."""
    if request.path in SIGN_IN_PATHS:
        check_site(request, form=True)
    if request.path in OPEN_PATHS or request.path.startswith(OPEN_FOLDERS):
        return await handler(request)
    identity = await identify(request)
    if identity is None and (request.path.startswith("/api/") or "Authorization" in request.headers):
        raise web.HTTPUnauthorized(
            text="a bearer token is needed", headers={"WWW-Authenticate": 'Bearer realm="zuora-ifs"'}
        )
    if identity is None:
        raise web.HTTPSeeOther(request.app.router["login"].url_for().with_query(next=request.path_qs))
    request[IDENTITY] = identity
    check_site(request, form=False)
    needed = required_role(request.match_info.handler)
    if identity.role < needed:
        forbid(
            request,
            Why.ROLE,
            f"this needs the role {needed.name.lower()}, {identity.name} is {identity.role.name.lower()}",
        )
    return await handler(request)


async def identify(request: web.Request) -> Identity | None:
    """Return who asks; None if nobody known, which is logged where it is no person on the way to sign in."""
    knows = request.app[ACCESS]
    if knows.is_open:
        # The name in the request too: a page of another site whose name was bent to this machine gets nothing.
        if is_loopback(request.host):
            return LOCAL
        note_refusal(request, Why.CROSS_SITE)
        return None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        await check_attempts(request)
        identity = knows.by_token(token.strip()) if scheme.lower() == "bearer" else None
        if identity is None:
            await note_failure(request, Why.UNKNOWN_TOKEN)
        return identity
    cookie = request.cookies.get(SESSION_COOKIE)
    identity = knows.by_session(cookie) if cookie else None
    if identity is None and (cookie or request.path.startswith("/api/")):
        note_refusal(request, Why.ENDED_SESSION if cookie else Why.NO_CREDENTIALS)
    return identity


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Send the same safe headers with everything; only files that never change may be kept."""
    response.headers.update(HEADERS)
    if is_secure(request):
        response.headers["Strict-Transport-Security"] = STRICT_TRANSPORT
    response.headers.setdefault("Cache-Control", "no-cache" if request.path.startswith(OPEN_FOLDERS) else "no-store")


def _refusal(request: web.Request, status: int, message: str, headers: dict[str, str]) -> web.Response:
    if request.path.startswith("/api/") or "text/html" not in request.headers.get("Accept", ""):
        return web.json_response({"error": message}, status=status, headers=headers)
    response = page(request, "error.html", {"status": status, "message": message}, status=status)
    response.headers.update(headers)
    return response


def _kept(error: web.HTTPException) -> dict[str, str]:
    names = ("Allow", "WWW-Authenticate", "Retry-After")
    return {name: error.headers[name] for name in names if name in error.headers}

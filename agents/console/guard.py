"""What every request passes: who is it, may they, and headers that keep browsers from doing harm."""

from aiohttp import web
from aiohttp.typedefs import Handler

from agents.console.access import LOCAL, Access, Identity, is_loopback, required_role
from agents.console.templating import page
from schemas.errors import LogError, UsageError
from streams.requests import RequestError, UnknownRecordError

ACCESS = web.AppKey("access", Access)
IDENTITY = web.RequestKey("identity", Identity)
SESSION_COOKIE = "zuora_ifs_session"
OPEN_PATHS = ("/healthz", "/readyz", "/metrics", "/login", "/logout")
OPEN_FOLDERS = ("/static/",)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into one sentence: as JSON for programs, as a page for people."""
    try:
        return await handler(request)
    except UsageError as error:
        return _refusal(request, 400, str(error), {})
    except RequestError as error:
        return _refusal(request, 404 if isinstance(error, UnknownRecordError) else 409, str(error), {})
    except LogError as error:
        return _refusal(request, 503, str(error), {"Retry-After": "5"})
    except web.HTTPError as error:
        return _refusal(request, error.status, error.text or error.reason, _kept(error))


@web.middleware
async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who may; programs get 401 or 403, people without a session the login page."""
    if request.path in OPEN_PATHS or request.path.startswith(OPEN_FOLDERS):
        return await handler(request)
    identity = identify(request)
    if identity is None and (request.path.startswith("/api/") or "Authorization" in request.headers):
        raise web.HTTPUnauthorized(
            text="a bearer token is needed", headers={"WWW-Authenticate": 'Bearer realm="zuora-ifs"'}
        )
    if identity is None:
        raise web.HTTPSeeOther(request.app.router["login"].url_for().with_query(next=request.path_qs))
    needed = required_role(request.match_info.handler)
    if identity.role < needed:
        raise web.HTTPForbidden(
            text=f"this needs the role {needed.name.lower()}, {identity.name} is {identity.role.name.lower()}"
        )
    request[IDENTITY] = identity
    return await handler(request)


def identify(request: web.Request) -> Identity | None:
    """Return who asks; None if nobody known."""
    knows = request.app[ACCESS]
    if knows.is_open:
        # The name in the request too: a page of another site whose name was bent to this machine gets nothing.
        return LOCAL if is_loopback(request.host) else None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        return knows.by_token(token.strip()) if scheme.lower() == "bearer" else None
    return knows.by_session(request.cookies.get(SESSION_COOKIE, ""))


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Send the same safe headers with everything; only files that never change may be kept."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-cache" if request.path.startswith(OPEN_FOLDERS) else "no-store")


def _refusal(request: web.Request, status: int, message: str, headers: dict[str, str]) -> web.Response:
    if request.path.startswith("/api/") or "text/html" not in request.headers.get("Accept", ""):
        return web.json_response({"error": message}, status=status, headers=headers)
    response = page(request, "error.html", {"status": status, "message": message}, status=status)
    response.headers.update(headers)
    return response


def _kept(error: web.HTTPException) -> dict[str, str]:
    return {name: error.headers[name] for name in ("Allow", "WWW-Authenticate") if name in error.headers}

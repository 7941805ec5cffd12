"""Signing in with a token, and out."""

from aiohttp import web

from agents.console.access import SESSION_SECONDS
from agents.console.cross_site import (
    FORM_COOKIE,
    FORM_FIELD,
    FORM_SECONDS,
    SESSION_COOKIE,
    check_form,
    set_cookie,
    sign_in_form,
)
from agents.console.guard import ACCESS
from agents.console.refusals import Why, check_attempts, note_failure
from agents.console.templating import page


async def get_login(request: web.Request) -> web.Response:
    """Answer `GET /login`: asks for a token, or leads to single sign-on."""
    return _login_page(request, local_target(request.query.get("next")))


async def post_login(request: web.Request) -> web.Response:
    """Answer `POST /login`: a token becomes a session."""
    await check_attempts(request)
    form = await request.post()
    check_form(request, form.get(FORM_FIELD), FORM_COOKIE)
    target = local_target(str(form.get("next", "")))
    session = request.app[ACCESS].token_session(str(form.get("token", "")).strip())
    if session is None:
        await note_failure(request, Why.UNKNOWN_TOKEN)
        return _login_page(request, target, wrong=True)
    response = web.HTTPSeeOther(target)
    set_cookie(request, response, SESSION_COOKIE, session, seconds=SESSION_SECONDS)
    raise response


async def post_logout(request: web.Request) -> web.Response:
    """Answer `POST /logout`: ends the session in this browser."""
    if SESSION_COOKIE in request.cookies:
        check_form(request, (await request.post()).get(FORM_FIELD), SESSION_COOKIE)
    response = web.HTTPSeeOther("/login")
    response.del_cookie(SESSION_COOKIE)
    raise response


def local_target(target: str | None) -> str:
    """Return a path of this site; anything that could lead elsewhere becomes the first page."""
    fits = target and target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if target and fits and target.isprintable() else "/"


def _login_page(request: web.Request, target: str, *, wrong: bool = False) -> web.Response:
    knows = request.app[ACCESS]
    cookie, token = sign_in_form(request)
    values = {
        "wrong": wrong,
        "next": target,
        "form_token": token,
        "has_tokens": knows.has_tokens,
        "has_sign_on": knows.has_sign_on,
    }
    response = page(request, "login.html", values, status=401 if wrong else 200)
    set_cookie(request, response, FORM_COOKIE, cookie, seconds=FORM_SECONDS, path="/login", same_site="Strict")
    return response

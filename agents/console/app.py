"""The console process: a read model that follows the log, pages and API on top of it."""

import asyncio

import structlog
from aiohttp import web

from agents.console import api, pages, proposal_pages, sign_on, signing_in
from agents.console.access import Access
from agents.console.changes import CHANGES
from agents.console.cross_site import OWN_SITE
from agents.console.feed import FeedState, run_feed
from agents.console.guard import ACCESS, access, add_headers, errors
from agents.console.letters import LETTERS
from agents.console.openapi import DESCRIBED, get_openapi
from agents.console.operations import add_operations
from agents.console.parking import park_unreadable
from agents.console.posting import BOARD, POSTING, PostingBoard
from agents.console.proposals import PROPOSALS
from agents.console.refusals import FAILURES, FAILURES_PER_MINUTE, PROXIES
from agents.console.requests import REQUESTS
from agents.console.templating import HERE, TEMPLATES, environment
from agents.limits import SourceLimit
from agents.serving import add_probes, run, start_site, stop_signal
from agents.tls import server_tls
from schemas.topics import TopicNames
from streams.log.connection import connection_options
from streams.privacy.opening import Opener
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from streams.settings import Settings
from streams.vault.keys import LocalKeys

PATIENCE_SECONDS = 10.0
"""How long a new console waits for the one that it replaces to let go of the file."""
LARGEST_BODY_BYTES = 64 * 1024
"""500 records named in one replay take half of it."""
OPERATIONS = (*api.QUESTIONS, *CHANGES, *REQUESTS, *POSTING, *LETTERS, *PROPOSALS)
"""All that the API can do."""

log = structlog.get_logger(__name__)


def create_app(settings: Settings, model: ReadModel, state: FeedState) -> web.Application:
    """Return the application.

    Raises:
        SettingsError: a token cannot be read, or none is set and the console would listen on a network.

    """
    app = web.Application(client_max_size=LARGEST_BODY_BYTES, middlewares=[errors, access])
    app[TEMPLATES] = environment()
    app[api.MODEL] = model
    app[api.STATE] = state
    app[api.SETTINGS] = settings
    app[api.NAMES] = TopicNames(settings.kafka.topic_prefix, settings.app_id)
    app[BOARD] = PostingBoard(settings, app[api.NAMES])
    app.on_response_prepare.append(add_headers)
    _add_doors(app, settings)
    app.router.add_get("/", pages.get_overview, name="overview")
    app.router.add_get("/records/{id}", pages.get_record_page, name="record")
    proposal_pages.add_pages(app)
    app.router.add_static("/static/", HERE / "static")
    app[DESCRIBED] = OPERATIONS
    add_operations(app, OPERATIONS)
    app.router.add_get("/api/openapi.json", get_openapi)
    add_probes(app, lambda: _why_not_ready(state))
    return app


def _add_doors(app: web.Application, settings: Settings) -> None:
    console = settings.console
    app[ACCESS] = Access(console)
    app[PROXIES] = console.trusted_proxies
    app[FAILURES] = SourceLimit(FAILURES_PER_MINUTE)
    if console.base_url:
        app[OWN_SITE] = sign_on.own_site(console.base_url)
    if to := sign_on.sign_on(console):
        app[sign_on.SIGN_ON] = to
        app.router.add_get("/login/single-sign-on", sign_on.get_single_sign_on)
        app.router.add_get(sign_on.CALLBACK_PATH, sign_on.get_callback)
    app.router.add_get("/login", signing_in.get_login, name="login")
    app.router.add_post("/login", signing_in.post_login)
    app.router.add_post("/logout", signing_in.post_logout)


def run_console(settings: Settings) -> None:
    """Run the process until it is asked to stop (SIGTERM, SIGINT); Kafka need not be there when it starts.

    Raises:
        SettingsError: a setting is missing or wrong, or the port is taken.
        ProjectionError: the read model's file cannot be written, or another console writes it.

    """
    run(_serve(settings))


async def _serve(settings: Settings) -> None:
    connection_options(settings.kafka)  # an unusable certificate or a missing server list is told at once
    path = settings.data_dir / "console.sqlite"
    state = FeedState()
    opener = Opener(LocalKeys(settings.vault.keys))
    app = create_app(settings, ReadModel(path, opener), state)
    if app[ACCESS].is_open:
        log.warning("no tokens are set: whoever is on this machine may look, nobody else", host=settings.console.host)
    if short := app[ACCESS].short_secrets():
        log.warning("easy to guess: use 20 characters drawn at random, or more", secrets=short)
    with Store(path, patience_seconds=PATIENCE_SECONDS) as store:
        tls = server_tls(settings.console, "ZIFS_CONSOLE__")
        site = await start_site(app, settings.console.host, settings.console.port, tls=tls)
        projector = Projector(store, app[api.NAMES], opener, keeps_unparked=True)
        feed = asyncio.ensure_future(run_feed(state, projector, settings.kafka, app[api.NAMES]))
        parking = asyncio.ensure_future(park_unreadable(app[api.MODEL], settings.kafka, app[api.NAMES]))
        followers = [feed, parking]
        if settings.four_eyes:
            counting = proposal_pages.count_pending(state, settings.kafka, app[api.NAMES])
            followers.append(asyncio.ensure_future(counting))
        stop = asyncio.ensure_future(stop_signal())
        try:
            await asyncio.wait({*followers, stop}, return_when=asyncio.FIRST_COMPLETED)
            for follower in followers:
                if follower.done():
                    follower.result()
        finally:
            await _end(*followers, stop)
            await site.stop()


async def _end(*tasks: asyncio.Future[None]) -> None:
    """Cancel and wait: the feed's thread must have let go of the file before it is closed."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _why_not_ready(state: FeedState) -> list[str]:
    if state.caught_up:
        return []
    behind = "" if state.behind is None else f", {state.behind} records to go"
    return [state.trouble or f"the read model has not caught up with the log yet{behind}"]

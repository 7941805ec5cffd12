"""The console's application in this process, on a read model filled without a broker, and a person at its forms."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from agents.console.app import create_app
from agents.console.feed import FeedState
from agents.serving import start_site
from schemas.base import Model
from schemas.topics import AUDIT, MAPPING, TopicNames
from streams.accounting.keys import topic_key
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from streams.settings import Settings
from tests.support.projecting import log_record

FORM = re.compile(r'name="form" value="([^"]*)"')


@asynccontextmanager
async def console_app(
    folder: Path,
    *,
    steps: Iterable[Model] = (),
    mappings: Iterable[Model] = (),
    token: str = "",
    **console: Any,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve the console as these settings say; its Kafka is never there.

    With a token every request bears it.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    path = folder / "console.sqlite"
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": "127.0.0.1:1"}, "console": console})
    with Store(path) as store:
        projector = Projector(store, TopicNames("", settings.app_id))
        projector.apply([log_record(one, n, topic=AUDIT) for n, one in enumerate(steps)])
        projector.partitions = {MAPPING: 1}
        projector.apply([log_record(one, n, topic=MAPPING, key=topic_key(one)) for n, one in enumerate(mappings)])
    site = await start_site(create_app(settings, ReadModel(path), FeedState(caught_up=True, behind=0)), "127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(
            site.url, headers=headers, cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as session:
            yield session
    finally:
        await site.stop()


async def form_token(session: aiohttp.ClientSession, path: str = "/login") -> str:
    """Open a page and return the token of its form."""
    async with session.get(path) as answer:
        found = FORM.search(await answer.text())
    assert found, f"{path} has no form"
    return found[1]


async def sign_in(session: aiohttp.ClientSession, token: str, **fields: str) -> None:
    """Sign in with a token, as the form does."""
    form = {"token": token, "form": await form_token(session), **fields}
    async with session.post("/login", data=form) as answer:
        assert answer.status == 200, await answer.text()

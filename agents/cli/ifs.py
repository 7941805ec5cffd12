"""Questions to IFS Cloud that a command can do without: it waits a moment for the answer, and never fails for it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from schemas.credentials import System
from schemas.errors import ConnectorError
from streams.settings import Settings
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.service import budget_of, connected, token_source
from streams.vault.current import current_credentials

PATIENCE_SECONDS = 15.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """What IFS Cloud said, or why it did not; neither where no settings of IFS Cloud are there."""

    value: T | None = None
    trouble: str | None = None


def ask_ifs(settings: Settings, question: Callable[[IfsClient], Awaitable[T]]) -> Answered[T]:
    """Put a question to IFS Cloud."""
    if not settings.ifs.base_url:
        return Answered()
    try:
        return Answered(asyncio.run(_ask(settings, question)))
    except TimeoutError:
        return Answered(trouble=f"IFS Cloud did not answer within {PATIENCE_SECONDS:g} s")
    except ConnectorError as error:
        return Answered(trouble=str(error))


async def _ask(settings: Settings, question: Callable[[IfsClient], Awaitable[T]]) -> T:
    async with asyncio.timeout(PATIENCE_SECONDS):
        current = await current_credentials(settings)
        current.require(System.IFS)
        ifs = current.settings.ifs
        async with connected(ifs, token_source(ifs), budget_of(ifs)) as service:
            return await question(IfsClient(service, ifs))

"""Following topics for as long as a process runs, whatever becomes of Kafka and of the topics meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import structlog

from schemas.errors import LogError, TopicsError

RETRY_SECONDS = 5.0
"""Between two tries; meanwhile what is known holds."""

log = structlog.get_logger(__name__)


async def keep_following(
    follow_on: Callable[[], AsyncGenerator[object, None]],
    *,
    read_anew: Callable[[], None],
    told: str,
    retry_seconds: float = RETRY_SECONDS,
) -> None:
    """Call `follow_on` again whenever it ends or fails; has no end of its own.

    It goes on where it was and yields after each batch that it has taken. `read_anew` makes it begin with the first
    record, for its topic is not there or was made anew. Trouble is `told` in one log line, not in one for each try.
    """
    trouble: str | None = None
    while True:
        try:
            async with aclosing(follow_on()) as batches:
                async for _ in batches:
                    trouble = None
        except LogError as error:
            if str(error) != trouble:
                log.warning(told, why=str(error))
            trouble = str(error)
            if isinstance(error, TopicsError):
                read_anew()
        except Exception:
            log.exception(told)
        await asyncio.sleep(retry_seconds)

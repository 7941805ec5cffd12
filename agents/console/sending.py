"""How the console changes something: as messages to the log, each confirmed by Kafka before the answer goes out."""

from collections.abc import Sequence

from aiohttp import web

from agents.console.api import NAMES, SETTINGS
from streams.log.messages import Message
from streams.log.sending import send_all

PROCESS = "console"


async def send(request: web.Request, messages: Sequence[Message]) -> int:
    """Send messages and return the highest offset, which of a single message is its own; 0 where there are none.

    Raises:
        LogUnavailableError: Kafka cannot be reached; nothing was sent.
        BrokenOffError: some were not confirmed; the message says how many are in.

    """
    settings, names = request.app[SETTINGS], request.app[NAMES]
    highest = await send_all(settings.kafka, messages, client_id=f"{names.app_id}-{PROCESS}")
    return max(highest.values(), default=0)

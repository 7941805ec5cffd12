"""Dead letters of the topics that are followed beside the agents' own: orders to pause, and the vault.

Who follows them passes over what it cannot read; here it is parked. There is nothing to acknowledge: each worker that
takes over the posting reads them from their beginning and parks such records again, which are shown once all the same.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from schemas.credentials import CredentialSealed, System
from schemas.envelope import decode_any
from schemas.errors import UnreadableError
from schemas.requests import PostingPaused
from schemas.topics import CONTROL, CREDENTIAL, DEAD_LETTER, TopicNames
from streams import background
from streams.log.following import RETRY_SECONDS, keep_following
from streams.log.messages import Message, dead_letter
from streams.log.reader import LogRecord, Position, follow
from streams.settings import KafkaSettings

SYSTEMS = {system.value.encode() for system in System}

log = structlog.get_logger(__name__)


class Parking:
    """Reads these topics for as long as this worker posts, so that one worker of many does it."""

    def __init__(
        self,
        kafka: KafkaSettings,
        names: TopicNames,
        *,
        send: Callable[[Message], Awaitable[object]],
        is_active: Callable[[], bool],
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """Wire it; `send` returns once Kafka has a message.

        `retry_seconds` are also those between two looks at whether this worker is the one that posts.
        """
        self._kafka = kafka
        self._dead_letters = names.public(DEAD_LETTER)
        self._checks = {names.public(CONTROL): _check_order, names.public(CREDENTIAL): _check_credential}
        self._send = send
        self._is_active = is_active
        self._retry_seconds = retry_seconds
        self._read_to: dict[Position, int] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Park what cannot be read, for as long as the context is open."""
        told = "orders and credentials cannot be looked through for what is to be parked"
        following = keep_following(
            self._follow_on, read_anew=self._read_to.clear, told=told, retry_seconds=self._retry_seconds
        )
        async with background.running(following):
            yield

    async def _follow_on(self) -> AsyncGenerator[None, None]:
        if not self._is_active():
            return
        async for batch in follow(self._kafka, list(self._checks), self._read_to):
            for record in batch.records:
                await self._look_at(record)
                self._read_to[record.topic, record.partition] = record.offset + 1
            yield
            if not self._is_active():
                return

    async def _look_at(self, record: LogRecord) -> None:
        try:
            self._checks[record.topic](record)
        except UnreadableError as error:
            log.warning("parked as a dead letter", topic=record.topic, offset=record.offset, why=str(error))
            await self._send(dead_letter(self._dead_letters, record, str(error), error))


def _check_order(record: LogRecord) -> None:
    order = decode_any(record.headers, record.value)
    if not isinstance(order, PostingPaused):
        raise UnreadableError(f"{type(order).__name__} is no order to pause or resume posting")
    if record.key != order.company.encode():
        raise UnreadableError(f"not under the key of its company, which is {order.company}")


def _check_credential(record: LogRecord) -> None:
    if record.key not in SYSTEMS:
        raise UnreadableError("not under the name of a system whose credentials are kept")
    if record.value and not isinstance(decode_any(record.headers, record.value), CredentialSealed):
        raise UnreadableError("not a sealed credential")

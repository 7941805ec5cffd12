"""The keys of accounts as who seals with them has them: read to the end, followed, and made where there is none."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import structlog

from schemas.base import utc_now
from schemas.errors import LogUnavailableError, SettingsError, UnreadableError
from schemas.topics import PERSONAL_KEY, TopicNames
from streams import background
from streams.log.following import keep_following
from streams.log.producer import LogProducer
from streams.log.reader import LogRecord, follow, read_to_end
from streams.privacy.key_book import KeyBook
from streams.privacy.messages import key_message, opened_key, sealed_key
from streams.privacy.sealing import DataKey
from streams.settings import KafkaSettings
from streams.vault.keys import LocalKeys

RETRY_SECONDS = 5.0
"""Between two tries to have a new key confirmed."""
MOST_OPEN = 10_000
"""Keys kept unwrapped; about 2 MB."""

log = structlog.get_logger(__name__)


class PersonalKeys:
    """Gives the key of an account, made at need and confirmed by Kafka before its first use.

    Two processes may make a key for one account at the same time: both are kept, and the older is used from then on.
    """

    def __init__(
        self, kafka: KafkaSettings, names: TopicNames, producer: LogProducer, keys: LocalKeys, *, process: str
    ) -> None:
        self._kafka = kafka
        self._names = names
        self._topic = names.public(PERSONAL_KEY)
        self._producer = producer
        self._keys = keys
        self._process = process
        self._book = KeyBook()
        self._open: dict[str, DataKey] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self) -> None:
        """Read all keys there are.

        Raises:
            LogUnavailableError: Kafka does not answer.
            TopicsError: the topic does not exist.

        """
        async for batch in read_to_end(self._kafka, [self._topic], self._book.read_to):
            self._take(batch.records)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Take over what becomes of keys, for as long as the context is open."""
        told = "the personal keys cannot be followed; those known are used"
        async with background.running(keep_following(self._follow_on, read_anew=self._book.read_to.clear, told=told)):
            yield

    async def key_of(self, account_id: str) -> DataKey:
        """Return the key of an account; waits for as long as Kafka does not take a new one."""
        async with self._locks.setdefault(account_id, asyncio.Lock()):
            return self._usable(account_id) or await self._made(account_id)

    def _usable(self, account_id: str) -> DataKey | None:
        kept = self._book.oldest(account_id)
        if kept is None:
            return None
        if (known := self._open.get(kept.key_id)) is not None:
            return known
        try:
            opened = opened_key(account_id, kept, self._keys)
        except (SettingsError, UnreadableError) as error:
            # Made under a key of keys that we do not have: what is new is sealed under a key that we can open.
            log.warning("a personal key cannot be opened; another is made", account=account_id, why=str(error))
            return None
        self._remember(opened)
        return opened

    async def _made(self, account_id: str) -> DataKey:
        made = DataKey.new(account_id)
        event = sealed_key(made, self._keys, utc_now())
        message = key_message(self._names, event, self._process)
        while True:
            try:
                await self._producer.send_and_confirm(
                    message.topic, key=message.key, value=message.value, headers=message.headers
                )
            except LogUnavailableError as error:
                log.warning("a personal key is not confirmed; it is sent again", account=account_id, why=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._book.add(event)
                self._remember(made)
                return made

    def _remember(self, key: DataKey) -> None:
        self._open[key.key_id] = key
        if len(self._open) > MOST_OPEN:
            self._open.pop(next(iter(self._open)))

    async def _follow_on(self) -> AsyncGenerator[None, None]:
        async for batch in follow(self._kafka, [self._topic], self._book.read_to):
            self._take(batch.records)
            yield

    def _take(self, records: list[LogRecord]) -> None:
        for erased in self._book.take(records):
            self._open.pop(erased.key_id, None)

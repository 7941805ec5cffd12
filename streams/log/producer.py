"""The one producer of a process: idempotent, confirmed by all in-sync replicas, for outputs and changelogs alike."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from schemas.errors import LogError, LogUnavailableError, SettingsError
from schemas.topics import LARGEST_MESSAGE_BYTES
from streams.log.connection import connection_options
from streams.log.cutting import without_bytes
from streams.log.denied import denial, hidden, require_brokers, said, why_unreachable
from streams.log.leaderless import rest_without_leader
from streams.settings import KafkaSettings

LARGEST_REQUEST_BYTES = 17 * 1024 * 1024
"""One message of the largest size that topics take, with room for its headers and the batch around it."""

RECORD_OVERHEAD_BYTES = 1024
"""Left free in every size check: batch header (61 bytes), lengths and timestamps of the record."""

Header = tuple[str, bytes]


class RecordTooLargeError(LogError):
    """A record is larger than its topic takes; nothing of it was written, and it will never be."""


class RecordRefusedError(LogUnavailableError):
    """Kafka answered that it does not take a record, and no second try of the same producer will change that.

    The producer has counted it already (idempotent producers number their records), so Kafka refuses all that follow
    in that partition too, as out of order: who wants to go on needs a new producer.
    """


def record_bytes(key: bytes | None, value: bytes | None, headers: Iterable[Header] = ()) -> int:
    """Return what a record takes in a batch, in bytes, generously."""
    named = sum(len(name.encode()) + len(content) for name, content in headers)
    return len(key or b"") + len(value or b"") + named + RECORD_OVERHEAD_BYTES


class LogProducer:
    """Sends records in the order they are given, each partition by itself, without duplicates of its own retries.

    Records with the same key go to the same partition as with Java's producer (murmur2).
    """

    def __init__(
        self, kafka: KafkaSettings, *, client_id: str, largest_records: Mapping[str, int] | None = None
    ) -> None:
        """Make a producer; `largest_records` says in bytes what a topic takes that takes less than the largest."""
        self._kafka = kafka
        self._client_id = client_id
        self._largest_records = largest_records or {}
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            LogUnavailableError: no broker answers.
            LogDeniedError: the brokers refuse the credentials.

        """
        producer = AIOKafkaProducer(
            **connection_options(self._kafka),
            client_id=self._client_id,
            enable_idempotence=True,  # a retry after a lost answer does not write twice, and order survives it
            acks="all",  # confirmed means: on every in-sync replica
            linger_ms=5,  # collects a batch; at 1,000 events/s a single send would otherwise be a request of its own
            max_batch_size=262_144,  # 16 KiB, the default, halves the rate with 1 KB records
            max_request_size=LARGEST_REQUEST_BYTES,
        )
        try:
            await producer.start()
            require_brokers(producer.client)
            rest_without_leader(producer.client)
            self._producer = producer
        except ValueError as error:
            raise SettingsError("ZIFS_KAFKA__BOOTSTRAP_SERVERS: host:port, comma-separated, expected") from error
        except (KafkaError, OSError) as error:
            raise denial(error) or await why_unreachable(self._kafka, error) from error
        finally:
            if self._producer is None:
                await producer.stop()

    def largest_record(self, topic: str) -> int:
        """Return how many bytes a record of a topic may have, as `record_bytes` counts them."""
        return min(self._largest_records.get(topic, LARGEST_MESSAGE_BYTES), LARGEST_MESSAGE_BYTES)

    def check_size(self, topic: str, key: bytes | None, value: bytes | None, headers: Iterable[Header] = ()) -> None:
        """Check that a topic takes a record.

        Raises:
            RecordTooLargeError: it does not.

        """
        size, largest = record_bytes(key, value, headers), self.largest_record(topic)
        if size > largest:
            raise RecordTooLargeError(f"a record of {size} bytes for {topic} is over {largest} bytes")

    async def send(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Sequence[Header] = (),
        partition: int | None = None,
    ) -> asyncio.Future[RecordMetadata]:
        """Queue a record; the returned future is done when all in-sync replicas have it.

        A dead letter that is larger than its topic takes goes without its bytes.

        Raises:
            RecordTooLargeError: larger than its topic takes; nothing was queued.
            LogUnavailableError: Kafka did not take it into a batch for 40 s, or does not know the topic.

        """
        try:
            self.check_size(topic, key, value, headers)
        except RecordTooLargeError:
            left = without_bytes(key, headers)
            if left is None:
                raise
            (key, headers), value = left, b""
            self.check_size(topic, key, value, headers)
        try:
            future: asyncio.Future[RecordMetadata] = await self._started().send(
                topic, key=key, value=value, headers=list(headers), partition=partition
            )
        except KafkaError as error:
            raise LogUnavailableError(f"Kafka takes no record for {topic}: {said(error)}") from error
        return future

    async def send_and_confirm(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Sequence[Header] = (),
        partition: int | None = None,
        timeout_seconds: float = 10,
    ) -> RecordMetadata:
        """Send a record and wait until all in-sync replicas have it.

        Raises:
            RecordTooLargeError: larger than its topic takes.
            RecordRefusedError: Kafka does not take it, and takes no more of that partition from this producer.
            LogUnavailableError: not confirmed in time; it may still arrive.

        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await (await self.send(topic, key=key, value=value, headers=headers, partition=partition))
        except TimeoutError:
            raise LogUnavailableError(f"Kafka did not confirm a record for {topic} in {timeout_seconds:g} s") from None
        except KafkaError as error:
            raise RecordRefusedError(f"Kafka did not take a record for {topic}: {said(error)}") from error

    async def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic, 0 if it does not exist.

        Raises:
            LogUnavailableError: Kafka does not answer.
            LogDeniedError: this principal may not see it, whether it is there or not.

        """
        client = self._started().client
        try:
            await client.add_topic(topic)
            answered = await client.force_metadata_update()
        except KafkaError as error:
            raise LogUnavailableError(f"Kafka does not tell about {topic}: {type(error).__name__}") from error
        if not answered:
            raise LogUnavailableError(f"no broker tells about {topic}")
        if topic in client.cluster.unauthorized_topics:
            raise hidden(self._kafka, [topic])
        return len(client.cluster.partitions_for_topic(topic) or ())

    async def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything queued so far is confirmed; False if that took longer than `timeout_seconds`."""
        flushing = asyncio.ensure_future(self._started().flush())
        done, _ = await asyncio.wait({flushing}, timeout=timeout_seconds)
        if not done:
            flushing.cancel()
        return bool(done)

    async def stop(self) -> None:
        """Send what is queued and disconnect; without effect if it was not started."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise LogError("the producer is not running: start() comes first, and nothing after stop()")
        return self._producer

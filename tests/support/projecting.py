"""Audit events, records of the log and topics for tests of the read model, the console and the command line."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.audit import RecordStatusChanged
from schemas.base import Model
from schemas.envelope import encode
from schemas.topics import AUDIT, TopicNames
from streams.log.messages import Message, event_message
from streams.log.producer import LogProducer
from streams.log.reader import LogRecord
from streams.log.topics import apply_topics
from streams.settings import KafkaSettings, Settings

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def step(record_id: str, status: str, *, minute: int = 0, **fields: Any) -> RecordStatusChanged:
    """Return a step of a record, `minute` minutes after START; amounts and the rest as given."""
    document_type, _, document_id = record_id.partition(":")
    at = START + timedelta(minutes=minute)
    common = {
        "id": record_id,
        "documentType": document_type,
        "documentId": document_id,
        "documentNumber": document_id.upper(),
        "status": status,
        "receivedAt": START,
        "updatedAt": at,
        "actor": "bookkeeper",
        "at": at,
        "cause": f"cause-{minute}",
    }
    return RecordStatusChanged.model_validate(common | fields)


def log_record(
    event: Model, offset: int, *, topic: str = AUDIT, partition: int = 0, key: str = "", event_id: str = ""
) -> LogRecord:
    """Return an event as it is read from the log."""
    headers = {
        "ce_id": (event_id or f"{topic}/{partition}/{offset}").encode(),
        "ce_type": type(event).__name__.encode(),
    }
    return LogRecord(topic, partition, offset, key.encode(), encode(event), headers, START)


def audit_message(names: TopicNames, event: RecordStatusChanged, event_id: str | None = None) -> Message:
    """Return a step as the bookkeeper sends it."""
    return event_message(
        names.public(AUDIT),
        event.id,
        event,
        event_id=event_id or f"{event.id}/{event.at.isoformat()}/{event.status}",
        process="bookkeeper",
        subject=event.id,
        time=event.at,
    )


ZuoraIfs = Callable[..., str]
"""Runs the command line in this process and gives what it said; `code` is what it must end with."""


@dataclass
class Cluster:
    """The topics of one test on the broker of the run."""

    settings: Settings

    @property
    def kafka(self) -> KafkaSettings:
        return self.settings.kafka

    @property
    def names(self) -> TopicNames:
        return TopicNames(self.kafka.topic_prefix, self.settings.app_id)

    async def make_topics(self) -> None:
        await apply_topics(self.kafka, self.names)

    async def send(self, messages: Iterable[Message]) -> None:
        """Append messages and return when Kafka has them all."""
        producer = LogProducer(self.kafka, client_id="test")
        await producer.start()
        try:
            sent = [
                await producer.send(
                    one.topic, key=one.key, value=one.value, headers=one.headers, partition=one.partition
                )
                for one in messages
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def send_steps(self, *steps: RecordStatusChanged) -> None:
        await self.send([audit_message(self.names, one) for one in steps])


def cluster_of(bootstrap_servers: str, unique: str, data_dir: Any, **console: Any) -> Cluster:
    """Return settings with topics of their own, three partitions each."""
    return Cluster(
        Settings.model_validate(
            {
                "app_id": unique,
                "data_dir": data_dir,
                "kafka": {
                    "bootstrap_servers": bootstrap_servers,
                    "topic_prefix": f"{unique}.",
                    "partitions": 3,
                    "replication_factor": 1,
                },
                "console": console,
            }
        )
    )

"""What a stream app says about Kafka when it is asked whether it can do its work."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.runtime.app import StreamApp
from agents.runtime.outbox import Outbox, Outgoing
from streams.log.producer import LogProducer
from streams.settings import KafkaSettings
from tests.support.runtime_app import Producer

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")


class Placed:
    """Where a record landed."""

    offset = 0


async def test_what_is_sent_and_not_confirmed_is_counted_from_the_last_confirmation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("agents.runtime.outbox.time", SimpleNamespace(monotonic=lambda: now[0]))
    producer = Producer()
    outbox = Outbox(producer)  # type: ignore[arg-type]
    assert outbox.seconds_unconfirmed == 0

    await outbox.send(Outgoing("topic", b"key", b"1"))
    now[0] += 7
    await outbox.send(Outgoing("topic", b"key", b"2"))
    assert outbox.seconds_unconfirmed == 7
    producer.futures[0].set_result(Placed())
    await outbox.settled(0.01)
    now[0] += 3
    assert outbox.seconds_unconfirmed == 3
    producer.futures[1].set_result(Placed())
    assert await outbox.settled(1)
    now[0] += 50
    assert outbox.seconds_unconfirmed == 0


@pytest.mark.parametrize(
    ("heard", "unconfirmed", "told"),
    [
        (1.0, 0.0, []),
        (1.0, 5.0, []),
        (7.0, 0.0, ["Kafka has not confirmed for 7 s that books is in its group"]),
        (1.0, 6.0, ["Kafka has confirmed no record of books for 6 s"]),
    ],
)
def test_an_app_that_has_its_partitions_says_what_kafka_does_not_confirm(
    heard: float, unconfirmed: float, told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    producer = LogProducer(KAFKA, client_id="test")
    app = StreamApp("books", kafka=KAFKA, producer=producer, data_dir=tmp_path)
    assert app.why_not_ready() == ["books waits for its partitions"]

    monkeypatch.setattr(StreamApp, "is_ready", True)
    monkeypatch.setattr(StreamApp, "seconds_since_heartbeat", heard)
    monkeypatch.setattr(Outbox, "seconds_unconfirmed", unconfirmed)
    assert app.why_not_ready() == told

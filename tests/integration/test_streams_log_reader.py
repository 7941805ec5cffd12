"""Single records read again from the log, near and far, in the order they were asked for."""

from pathlib import Path

import pytest

from schemas.errors import TopicsError
from schemas.topics import DOCUMENT
from streams.log.producer import LogProducer
from streams.log.reader import READ_OVER_RECORDS, read_many
from tests.support.projecting import cluster_of

RECORDS = 3 * READ_OVER_RECORDS


async def test_records_come_back_in_the_order_they_were_asked_for(
    kafka_bootstrap: str, unique: str, tmp_path: Path
) -> None:
    cluster = cluster_of(kafka_bootstrap, unique, tmp_path)
    await cluster.make_topics()
    topic = cluster.names.public(DOCUMENT)
    producer = LogProducer(cluster.kafka, client_id="test")
    await producer.start()
    sent = [await producer.send(topic, key=b"k", value=b"%d" % n, partition=0) for n in range(RECORDS)]
    await producer.send_and_confirm(topic, key=b"k", value=b"other", partition=1)
    assert [(await one).offset for one in sent] == list(range(RECORDS))
    await producer.stop()

    offsets = [RECORDS - 1, 5, 6, 7, 5, READ_OVER_RECORDS + 100, 0]
    places = [(topic, 0, offset) for offset in offsets] + [(topic, 1, 0)]
    read = await read_many(cluster.kafka, places)

    assert [record.value for record in read] == [b"%d" % offset for offset in offsets] + [b"other"]
    assert await read_many(cluster.kafka, []) == []


async def test_an_offset_that_the_log_does_not_have_is_named(kafka_bootstrap: str, unique: str, tmp_path: Path) -> None:
    cluster = cluster_of(kafka_bootstrap, unique, tmp_path)
    await cluster.make_topics()
    topic = cluster.names.public(DOCUMENT)

    with pytest.raises(TopicsError):
        await read_many(cluster.kafka, [(topic, 0, 7)])

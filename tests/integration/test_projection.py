"""The read model against a real broker: brought up to the ends, kept up, made again when the log is another."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from schemas.envelope import encode
from schemas.errors import LogUnavailableError, TopicsError
from schemas.topics import AUDIT, DOCUMENT
from streams.log.messages import Message
from streams.log.reader import log_bounds, read_one, read_to_end
from streams.projection.feed import catch_up, keep_up
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel, Wanted
from streams.projection.store import Store
from streams.settings import KafkaSettings
from tests.support.projecting import Cluster, cluster_of, step


async def bring_up(cluster: Cluster, path: Path, *topics: str) -> ReadModel:
    with Store(path) as store:
        names = cluster.names
        await catch_up(Projector(store, names), cluster.kafka, names, topics or (AUDIT,), lambda _done, _behind: None)
    return ReadModel(path)


async def test_each_call_reads_up_to_the_ends_and_no_further_than_needed(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "model.sqlite"
    await cluster.send_steps(*(step(f"Invoice:{n}", "received") for n in range(50)))
    assert len((await bring_up(cluster, path)).records(Wanted(), limit=100).records) == 50

    await cluster.send_steps(step("Invoice:7", "fetched", minute=1))
    told: list[tuple[int, int]] = []
    with Store(path) as store:
        await catch_up(
            Projector(store, cluster.names), cluster.kafka, cluster.names, [AUDIT], lambda *one: told.append(one)
        )

    assert told[-1] == (1, 0)
    record = ReadModel(path).record("Invoice:7")
    assert record is not None
    assert record.status == "fetched"


async def test_empty_topics_are_at_their_end_at_once(cluster: Cluster, tmp_path: Path) -> None:
    model = await bring_up(cluster, tmp_path / "model.sqlite")

    assert model.records(Wanted(), limit=10).records == []


async def test_a_repeated_event_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    first, second = step("Invoice:1", "received"), step("Invoice:1", "fetched", minute=1)
    await cluster.send_steps(first, second, first)

    model = await bring_up(cluster, tmp_path / "model.sqlite")

    assert [one.status for one in model.steps("Invoice:1")] == ["received", "fetched"]
    assert [(row.status, row.records) for row in model.totals()] == [("fetched", 1)]


async def test_following_brings_what_is_appended_later(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "model.sqlite"
    await cluster.send_steps(step("Invoice:1", "received"))
    with Store(path) as store:
        async with (
            asyncio.timeout(60),
            aclosing(keep_up(Projector(store, cluster.names), cluster.kafka, cluster.names, [AUDIT])) as feed,
        ):
            async for fed in feed:
                if fed.behind == 0 and ReadModel(path).record("Invoice:1"):
                    break
            await cluster.send_steps(step("Invoice:2", "received"))
            async for _ in feed:
                if ReadModel(path).record("Invoice:2"):
                    break

    assert [row.records for row in ReadModel(path).totals()] == [2]


async def test_another_cluster_or_a_topic_made_anew_is_read_from_its_beginning(
    cluster: Cluster, tmp_path: Path, kafka_bootstrap: str, unique: str
) -> None:
    path = tmp_path / "model.sqlite"
    other = cluster_of(kafka_bootstrap, f"{unique}-other", tmp_path)
    await other.make_topics()
    await other.send_steps(*(step(f"Invoice:old{n}", "received") for n in range(10)))
    await bring_up(other, path)
    await cluster.send_steps(*(step(f"Invoice:new{n}", "received", minute=n) for n in range(40)))
    with Store(path) as store:
        # As if the topic had been deleted, made again under the same name, and had outgrown what was read of it.
        bounds = await log_bounds(cluster.kafka, [cluster.names.public(AUDIT)])
        store.set_meta("log", f"{bounds.cluster_id}/{cluster.names.prefix}")
        store.connection.execute("UPDATE positions SET topic = ?", (cluster.names.public(AUDIT),))

    model = await bring_up(cluster, path)

    assert model.record("Invoice:old1") is None
    assert len(model.records(Wanted(), limit=100).records) == 40


async def test_what_is_no_event_is_passed_over(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.send(
        [Message(cluster.names.public(AUDIT), b"x", b"\xff\xfe"), Message(cluster.names.public(AUDIT), b"y", None)]
    )
    await cluster.send_steps(step("Invoice:1", "received"))

    model = await bring_up(cluster, tmp_path / "model.sqlite")

    assert [record.id for record in model.records(Wanted(), limit=10).records] == ["Invoice:1"]


async def test_one_record_is_read_by_its_place(cluster: Cluster) -> None:
    topic = cluster.names.public(DOCUMENT)
    event = step("Invoice:1", "received")
    await cluster.send([Message(topic, b"k", b"zero", partition=2), Message(topic, b"k", encode(event), partition=2)])

    record = await read_one(cluster.kafka, topic, 2, 1)

    assert (record.offset, record.key, record.value) == (1, b"k", encode(event))


async def test_a_missing_topic_is_told_with_what_to_do(kafka_bootstrap: str, unique: str) -> None:
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap)
    with pytest.raises(TopicsError, match=f"{unique}.*`zuora-ifs topics apply`"):
        async for _ in read_to_end(kafka, [f"{unique}-nowhere"], {}):
            pass


async def test_an_unreachable_broker_is_told_in_bounded_time() -> None:
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(LogUnavailableError, match=r"127\.0\.0\.1:1"):
        async with asyncio.timeout(20):
            await log_bounds(kafka, ["any"])

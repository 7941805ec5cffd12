"""Ingress with a real Kafka: 200 means that it is in the topic, also when Kafka goes away and comes back."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer

from agents.ingress import app as ingress_app
from agents.ingress import connection
from agents.ingress.app import create_app
from agents.ingress.connection import LogConnection
from agents.serving import Site, start_site
from deploy.kafka.ports import free_port
from schemas.topics import DEAD_LETTER, NOTIFICATION, TopicNames
from streams.log.topics import apply_topics
from streams.settings import Settings
from tests.support.brokers import KafkaProcess

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0


def settings_for(bootstrap_servers: str, prefix: str) -> Settings:
    kafka = {
        "bootstrap_servers": bootstrap_servers,
        "topic_prefix": prefix,
        "partitions": 2,
        "replication_factor": 1,
    }
    return Settings.model_validate({"kafka": kafka, "app_id": prefix.strip("-"), "ingress": {"allow_anonymous": True}})


async def create_topics(settings: Settings) -> None:
    await apply_topics(settings.kafka, TopicNames(settings.kafka.topic_prefix, settings.app_id))


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Site]:
    async with LogConnection(settings.kafka, client_id="test") as log:
        site = await start_site(create_app(settings, log), "127.0.0.1", 0, auto_decompress=False)
        try:
            yield site
        finally:
            await site.stop()


async def post(site: Site, body: bytes | dict[str, Any], notification_id: str = "") -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if notification_id:
        headers["Zuora-Notification-Id"] = notification_id
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{site.url}/webhooks/zuora", data=raw, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def get(site: Site, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(site.url + path) as answer:
        return answer.status, await answer.text()


async def eventually_ready(site: Site, status: int = 200) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    answer = await get(site, "/readyz")
    while answer[0] != status:
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.1)
        answer = await get(site, "/readyz")


async def in_topic(settings: Settings, topic: str) -> list[tuple[bytes | None, bytes, dict[str, bytes]]]:
    """Return all records that are in a topic now: key, value, headers."""
    name = TopicNames(settings.kafka.topic_prefix, settings.app_id).public(topic)
    consumer = AIOKafkaConsumer(
        name, bootstrap_servers=settings.kafka.bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        records = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += [(record.key, record.value, dict(record.headers)) for record in batch]
        return records
    finally:
        await consumer.stop()


async def test_200_means_that_it_is_in_the_topic(kafka_bootstrap: str, unique: str) -> None:
    settings = settings_for(kafka_bootstrap, f"{unique}-")
    await create_topics(settings)
    async with running(settings) as site:
        await eventually_ready(site)
        answers = await asyncio.gather(*(post(site, {"InvoiceId": f"i{n}"}, f"n{n}") for n in range(50)))
        written = await in_topic(settings, NOTIFICATION)

    assert {status for status, _ in answers} == {200}
    assert {answer["eventId"] for _, answer in answers} == {headers["ce_id"].decode() for _, _, headers in written}
    assert {key for key, _, _ in written} == {f"i{n}".encode() for n in range(50)}


async def test_what_cannot_be_read_is_in_the_dead_letters(kafka_bootstrap: str, unique: str) -> None:
    settings = settings_for(kafka_bootstrap, f"{unique}-")
    await create_topics(settings)
    async with running(settings) as site:
        unreadable, _ = await post(site, b"\x00not a callout")
        unknown, _ = await post(site, {"event": "SubscriptionCreated", "objectId": "s1"})

    assert (unreadable, unknown) == (400, 200)
    written = await in_topic(settings, DEAD_LETTER)
    assert {(key, value) for key, value, _ in written} == {
        (None, b"\x00not a callout"),
        (b"s1", b'{"event": "SubscriptionCreated", "objectId": "s1"}'),
    }
    assert await in_topic(settings, NOTIFICATION) == []


async def test_missing_topics_are_told_by_readiness(kafka_bootstrap: str, unique: str) -> None:
    settings = settings_for(kafka_bootstrap, f"{unique}-")
    async with running(settings) as site:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "does not exist" not in (answer := await get(site, "/readyz"))[1]:
            assert time.monotonic() < deadline, answer
            await asyncio.sleep(0.1)
        assert answer[0] == 503
        await create_topics(settings)
        await eventually_ready(site)
        assert (await post(site, {"InvoiceId": "1"}))[0] == 200


async def test_kafka_may_be_away_at_the_start_and_go_and_come_back(
    kafka_process: Callable[[], KafkaProcess], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingress_app, "CONFIRM_SECONDS", 1.0)
    monkeypatch.setattr(connection, "TROUBLE_SECONDS", 5.0)  # not ready for so long after the broker is back
    broker = kafka_process()
    settings = settings_for(broker.bootstrap_servers, f"{unique}-")
    await create_topics(settings)
    broker.stop()
    taken = []

    async with running(settings) as site:
        assert (await get(site, "/healthz"))[0] == 200
        assert (await get(site, "/readyz"))[0] == 503
        assert (await post(site, {"InvoiceId": "away"}, "away"))[0] == 503

        await asyncio.to_thread(broker.start)
        await eventually_ready(site)
        taken.append(await post(site, {"InvoiceId": "first"}, "first"))

        await asyncio.to_thread(broker.kill)
        assert (await post(site, {"InvoiceId": "killed"}, "killed"))[0] == 503
        await eventually_ready(site, 503)

        await asyncio.to_thread(broker.start)
        await eventually_ready(site)
        taken.append(await post(site, {"InvoiceId": "second"}, "second"))

        written = {headers["ce_id"].decode() for _, _, headers in await in_topic(settings, NOTIFICATION)}
    assert [status for status, _ in taken] == [200, 200]
    assert {answer["eventId"] for _, answer in taken} <= written


async def test_a_frozen_kafka_is_503_in_time_and_not_ready(
    kafka_process: Callable[[], KafkaProcess], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingress_app, "CONFIRM_SECONDS", 1.0)
    monkeypatch.setattr(connection, "TROUBLE_SECONDS", 5.0)  # not ready for so long after the broker is back
    broker = kafka_process()
    settings = settings_for(broker.bootstrap_servers, f"{unique}-")
    await create_topics(settings)
    async with running(settings) as site:
        await eventually_ready(site)
        broker.pause()
        try:
            started = time.monotonic()
            answers = await asyncio.gather(*(post(site, {"InvoiceId": str(n)}) for n in range(20)))
            assert time.monotonic() - started < 5
            assert {status for status, _ in answers} == {503}
            assert (await get(site, "/readyz"))[0] == 503
            assert (await get(site, "/healthz"))[0] == 200
        finally:
            broker.resume()
        await eventually_ready(site)
        assert (await post(site, {"InvoiceId": "again"}))[0] == 200


def test_the_process_ends_cleanly_when_it_is_asked_to(unique: str) -> None:
    """Kafka is not there at all: it starts, says so, and still stops within 5 s."""
    port = free_port("127.0.0.1")
    environment = os.environ | {
        "ZIFS_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port('127.0.0.1')}",
        "ZIFS_APP_ID": unique,
        "ZIFS_INGRESS__HOST": "127.0.0.1",
        "ZIFS_INGRESS__PORT": str(port),
        "ZIFS_INGRESS__ALLOW_ANONYMOUS": "true",
    }
    command = [sys.executable, "-m", "agents", "ingress"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        asyncio.run(eventually_alive(process, f"http://127.0.0.1:{port}/healthz"))
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, logs = process.communicate(timeout=60)
    finally:
        process.kill()
    assert time.monotonic() - started < 5
    assert process.returncode == 0
    assert "waiting for Kafka" in logs
    assert "Traceback" not in logs


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ZIFS_KAFKA__BOOTSTRAP_SERVERS": ""}, "ZIFS_KAFKA__BOOTSTRAP_SERVERS"),
        ({"ZIFS_INGRESS__ALLOW_ANONYMOUS": "false"}, "ZIFS_INGRESS__HMAC_SECRET"),
        ({"ZIFS_INGRESS__HMAC_SECRET": "hunter2", "ZIFS_INGRESS__HMAC_ALGORITHM": "md5"}, "md5 is refused"),
        ({"ZIFS_INGRESS__TLS_CERTFILE": "gone.pem", "ZIFS_INGRESS__TLS_KEYFILE": "gone.pem"}, "No such file"),
        ({"ZIFS_INGRESS__JWT_JWKS_URL": "https://keys.example"}, "ZIFS_INGRESS__JWT_ISSUER is not set"),
        ({"ZIFS_INGRESS__TRUSTED_PROXIES": "10.0.0.1/8"}, "ZIFS_INGRESS__TRUSTED_PROXIES"),
        ({"ZIFS_INGRESS__PORT": "70000"}, "ZIFS_INGRESS__PORT"),
        ({"ZIFS_INGRESS__HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
    ],
    ids=[
        "no broker named",
        "no authentication",
        "unsafe algorithm",
        "no certificate",
        "half of OAuth2",
        "no network",
        "no such port",
        "not an address of this machine",
    ],
)
def test_wrong_settings_end_the_process_with_2_and_a_line_that_names_them(changed: dict[str, str], said: str) -> None:
    environment = os.environ | {
        "ZIFS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "ZIFS_INGRESS__PORT": "0",
        "ZIFS_INGRESS__ALLOW_ANONYMOUS": "true",
    }
    command = [sys.executable, "-m", "agents", "ingress"]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment | changed, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert said in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr


async def eventually_alive(process: subprocess.Popen[str], url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    assert answer.status == 200
                    return
            except aiohttp.ClientConnectionError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)

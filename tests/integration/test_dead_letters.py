"""Garbage on every topic that the worker reads, and a worker killed over it: parked once each, and all else goes on."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from schemas.base import utc_now
from schemas.mappings import AccountMappingSet
from schemas.topics import DEAD_LETTER, TopicNames
from streams.log.messages import Message
from streams.log.partitions import partition_of
from streams.log.producer import LogProducer
from streams.mapping_changes import change_message
from tests.support.waiting import eventually
from tests.support.whole_system import System, whole_system

READ = (
    *(topics.NOTIFICATION, topics.DOCUMENT, topics.MAPPING, topics.VOUCHER, topics.REQUEST, topics.VOUCHER_COMMAND),
    *(topics.CONTROL, topics.CREDENTIAL),
)
READ_FOR_OURSELVES = (
    *(topics.FETCH_LATER, topics.CHART_COPY, topics.RELEASE, topics.POSTING_PROGRESS, topics.HANDED_OVER),
    topics.POSTING_RETRY,
)
SESSION_SECONDS = "3"
DAY = "2026-02-10"
GARBAGE = (
    Message("", b"8ad0", b"\xff\x00", (("ce_type", b"\xff"), ("traceparent", b"\xfe"))),
    Message("", None, b"", ()),
    Message("", b"\xff\xfe", b'{"recordId": {}}', (("ce_id", b"\xc3"), ("ce_type", b"DocumentCaptured"))),
)


def _garbage(names: TopicNames) -> list[Message]:
    full_names = [*(names.public(name) for name in READ), *(names.working(name) for name in READ_FOR_OURSELVES)]
    # A compacted topic takes nothing without a key.
    keys = {names.public(topics.CREDENTIAL): b"nobody"}
    return [Message(name, one.key or keys.get(name), one.value, one.headers) for name in full_names for one in GARBAGE]


async def _append(system: System, messages: list[Message]) -> set[str]:
    """Append messages and return their places."""
    producer = LogProducer(system.kafka, client_id="test")
    await producer.start()
    try:
        places = [
            await producer.send_and_confirm(
                one.topic, key=one.key, value=one.value, headers=one.headers, partition=one.partition
            )
            for one in messages
        ]
    finally:
        await producer.stop()
    return {f"{place.topic}/{place.partition}/{place.offset}" for place in places}


async def _listed(system: System) -> dict[str, Any]:
    found = json.loads(await system.zuora_ifs("dead-letters", "list", "--json"))
    assert len({one["id"] for one in found}) == len(found)
    return {one["id"]: one for one in found}


def _mapping_elsewhere(system: System, account: str) -> Message:
    """A mapping in a partition where a client with another partitioner put it."""
    event = AccountMappingSet(account_id=account, company="10", gl_account="1510", actor="eva", at=utc_now())
    message = change_message(system.names.public(topics.MAPPING), event, process="test")
    count = system.kafka.partitions
    other = (partition_of(account.encode(), count) + 1) % count
    return Message(message.topic, message.key, message.value, message.headers, other)


@pytest.mark.timeout(600)
async def test_garbage_on_every_topic_is_parked_once_and_the_rest_goes_on(kafka_bootstrap: str, tmp_path: Path) -> None:
    async with whole_system(kafka_bootstrap, tmp_path) as system:
        await system.stop("worker")
        system.stage.environment["ZIFS_WORKER__SESSION_SECONDS"] = SESSION_SECONDS
        [account] = await system.zuora("accounts", {"currency": "EUR", "count": 1})
        mappings = [row for row in await system.default_mappings() if row["kind"] != "account"]
        await system.import_mappings(mappings)
        expected = await _append(system, _garbage(system.names))
        elsewhere = await _append(system, [_mapping_elsewhere(system, account["id"])])

        await system.start("worker")
        await eventually(lambda: system.count(DEAD_LETTER), lambda parked: parked > len(expected) / 2, seconds=60)
        await system.stop("worker", signal.SIGKILL)
        expected |= await _append(system, _garbage(system.names))
        await system.start("worker")

        order = {"sku": "SKU-ANL-002", "chargeAmount": "100.00"}
        made = await system.zuora(
            "invoices", {"accountId": account["id"], "currency": "EUR", "date": DAY, "items": [order]}
        )
        await system.callouts_delivered()
        await system.statuses_are({made["number"]: {"mapping-missing"}}, 60)
        found = await eventually(lambda: _listed(system), lambda now: set(now) >= expected | elsewhere, seconds=60)
        assert set(found) == expected | elsewhere
        assert all(found[place]["reason"] for place in found)

        [place] = elsewhere
        assert found[place]["reason"].startswith("not in the partition of its key")
        await system.zuora_ifs(
            "dead-letters", "resend", place, "--reason", "with the right partitioner", "--actor", "eva"
        )
        await system.statuses_are({made["number"]: {"posted"}}, 60)
        assert (await _listed(system))[place]["resent"][0]["actor"] == "eva"
        assert len(await system.ifs("vouchers")) == 1

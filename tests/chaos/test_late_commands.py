"""A bookkeeper whose network stands still while its command is under way, and that is taken for dead.

Its successor meets a newer state of the document first. Then the network goes on, and Kafka takes the command.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from deploy.kafka.ports import free_port
from schemas.envelope import decode_any
from schemas.topics import DOCUMENT, RELEASE, VOUCHER, VOUCHER_COMMAND
from schemas.vouchers import VoucherPosted, VoucherRejected
from streams.log.connection import connection_options
from streams.log.reader import log_bounds, read_to_end
from streams.log.topics import admin_client
from tests.support.brokers import KafkaProcess
from tests.support.held_network import HeldNetwork, held_network
from tests.support.waiting import eventually
from tests.support.whole_system import System, whole_system

HOST = "127.0.0.1"
SESSION_SECONDS = 3


def _second_listener(port: int, other_port: int, advertised_port: int) -> str:
    """Return the settings of a broker that is reached by a second way too."""
    controller = f"{HOST}:{free_port(HOST)}"
    clients = f"PLAINTEXT://{HOST}:{port},HELD://{HOST}"
    return "".join(
        f"{name}={value}\n"
        for name, value in {
            "listeners": f"{clients}:{other_port},CONTROLLER://{controller}",
            "advertised.listeners": f"{clients}:{advertised_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,HELD:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{controller}",
        }.items()
    )


@asynccontextmanager
async def _two_ways(folder: Path) -> AsyncIterator[tuple[str, str, HeldNetwork]]:
    """Run a broker; yield where it is reached, where through the network that may stand still, and that network."""
    ports = free_port(HOST), free_port(HOST), free_port(HOST)
    settings = folder / "second.properties"
    settings.write_text(_second_listener(*ports))
    broker = KafkaProcess(folder / "kafka", ports[0], ["--properties", str(settings)]).start()
    try:
        async with held_network(ports[2], ports[1]) as network:
            yield broker.bootstrap_servers, f"{HOST}:{ports[2]}", network
    finally:
        broker.stop()


async def _start(system: System, name: str, agents: str, **settings: str) -> None:
    """Start a worker with some of the agents, and return once it can do its work."""
    port = free_port(HOST)
    own = {"ZIFS_WORKER__PORT": str(port), "ZIFS_WORKER__SESSION_SECONDS": str(SESSION_SECONDS)}
    own["ZIFS_DATA_DIR"] = str(system.folder / name)
    environment = system.stage.environment | own | settings
    process = await system.children.start(name, "agents", "worker", "--agents", agents, environment=environment)
    system.processes[name] = process
    await system.children.ready(name, process, f"http://{HOST}:{port}")


async def _pass_over(system: System, topic: str) -> None:
    """Commit the ends of a topic in the bookkeeper's name once nobody is in its group, as an operator may."""
    group = system.names.agent("bookkeeper")

    async def is_empty() -> bool:
        async with admin_client(system.kafka) as admin:
            (described,) = await admin.describe_consumer_groups([group])
            return described.groups[0][2] == "Empty"

    await eventually(is_empty, lambda empty: empty, seconds=60)
    ends = (await log_bounds(system.kafka, [topic])).end
    consumer = AIOKafkaConsumer(**connection_options(system.kafka), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        offsets = {TopicPartition(*place): end for place, end in ends.items()}
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
    finally:
        await consumer.stop()


async def _told(system: System, topic: str) -> list[Any]:
    """Return what a topic has, decoded."""
    found = []
    async for batch in read_to_end(system.kafka, [system.names.public(topic)], {}):
        found += [decode_any(record.headers, record.value) for record in batch.records]
    return found


@pytest.mark.timeout(300)
async def test_a_command_that_arrives_after_its_successors_makes_no_second_voucher(tmp_path: Path) -> None:
    async with (
        _two_ways(tmp_path) as (servers, held_servers, network),
        whole_system(servers, tmp_path / "system") as system,
    ):
        await system.stop("worker")
        await _start(system, "others", "collector,poster")
        await _start(system, "held", "bookkeeper", ZIFS_KAFKA__BOOTSTRAP_SERVERS=held_servers)
        (account,) = await system.zuora("accounts", {"currency": "EUR", "count": 1})
        mappings = await system.default_mappings()
        await system.import_mappings([row for row in mappings if row["kind"] != "account"])
        item = {"sku": "SKU-ANL-002", "chargeAmount": "100.00", "taxes": []}
        order = {"accountId": account["id"], "currency": "EUR", "date": "2026-02-10", "items": [item]}
        invoice = await system.zuora("invoices", order)
        await system.statuses_are({invoice["number"]: {"mapping-missing"}})

        network.hold_at(b"voucher-command")
        await system.import_mappings([row for row in mappings if row["kind"] == "account"])
        await asyncio.wait_for(network.holds.wait(), 60)
        for action, change in (("unpost", {}), ("edit", {"items": [item | {"chargeAmount": "80.00"}]}), ("post", {})):
            await system.zuora(f"invoices/{invoice['id']}/{action}", change)
        await eventually(lambda: _told(system, DOCUMENT), lambda now: now[-1].amount == Decimal("80.00"))
        await _pass_over(system, system.names.working(RELEASE))
        await _start(system, "successor", "bookkeeper")
        await system.statuses_are({invoice["number"]: {"posted"}})
        assert await system.count(VOUCHER_COMMAND) == 1

        network.release()
        await eventually(lambda: system.count(VOUCHER_COMMAND), lambda count: count == 2, seconds=60)
        outcomes = await eventually(lambda: _told(system, VOUCHER), lambda now: len(now) == 2)
        assert isinstance(outcomes[0], VoucherPosted)
        assert isinstance(outcomes[1], VoucherRejected)
        assert (outcomes[0].amount, outcomes[1].reason) == (Decimal("80.00"), "another-voucher-stands")
        (voucher,) = await system.ifs("vouchers")
        assert outcomes[0].reference in str(voucher)
        await system.statuses_are({invoice["number"]: {"posted"}})

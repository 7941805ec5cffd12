"""How far a group is behind, when Kafka does not say what it has committed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CoordinatorLoadInProgressError
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3

from streams.log import backlog
from streams.log.reader import Bounds
from streams.settings import KafkaSettings

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:9")


def kafka_answers(monkeypatch: pytest.MonkeyPatch, offsets: OffsetFetchResponse_v3) -> None:
    async def bounds(*_: object) -> Bounds:
        return Bounds("cluster", {("commands", 0): 0}, {("commands", 0): 1000})

    async def answer(request: object, *_: object) -> object:
        return offsets if isinstance(request, OffsetFetchRequest) else SimpleNamespace(error_code=0, coordinator_id=1)

    @asynccontextmanager
    async def admin_client(_: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = object.__new__(AIOKafkaAdminClient)
        admin._send_request = answer
        yield admin

    monkeypatch.setattr(backlog, "log_bounds", bounds)
    monkeypatch.setattr(backlog, "admin_client", admin_client)


async def test_what_is_behind_the_committed_offset_is_the_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_answers(monkeypatch, OffsetFetchResponse_v3(0, [("commands", [(0, 993, "", 0)])], 0))

    assert await backlog.backlog(KAFKA, group="app-poster", topic="commands") == 7


async def test_a_coordinator_that_is_loading_is_not_taken_for_a_group_that_has_everything_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answer names no partition, and the backlog would be all that was ever posted."""
    kafka_answers(monkeypatch, OffsetFetchResponse_v3(0, [], 14))

    with pytest.raises(CoordinatorLoadInProgressError):
        await backlog.backlog(KAFKA, group="app-poster", topic="commands")

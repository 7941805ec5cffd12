"""Clients rest while a partition has no leader, and do not otherwise."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.protocol.metadata import MetadataResponse_v1

from streams.log.leaderless import REST_SECONDS, rest_without_leader


@pytest.mark.parametrize(
    ("leaders", "rests"),
    [
        pytest.param([1, 1], [], id="all have one"),
        pytest.param([1, -1], [REST_SECONDS], id="one has none"),
        pytest.param([], [], id="nothing is known yet"),
    ],
)
async def test_a_client_rests_before_it_asks_again_who_leads(
    monkeypatch: pytest.MonkeyPatch, leaders: list[int], rests: list[float]
) -> None:
    cluster, asked, rested = ClusterMetadata(), list[Any](), list[float]()
    partitions = [(0, number, leader, [1], [1]) for number, leader in enumerate(leaders)]
    cluster.update_metadata(MetadataResponse_v1([(1, "b", 9092, None)], 1, [(0, "in", False, partitions)]))

    async def ask(*given: Any) -> bool:
        asked.append(given)
        return True

    async def sleep(seconds: float) -> None:
        rested.append(seconds)

    client: Any = SimpleNamespace(cluster=cluster, _metadata_update=ask)
    rest_without_leader(client)
    monkeypatch.setattr(asyncio, "sleep", sleep)

    assert await client._metadata_update(cluster, {"in"})

    assert rested == rests
    assert asked == [(cluster, {"in"})]

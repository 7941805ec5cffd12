"""A rest for clients while a partition has no leader."""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata

REST_SECONDS = 0.1
"""Java's clients rest as long (`retry.backoff.ms`)."""


def rest_without_leader(client: AIOKafkaClient) -> None:
    """Let a client wait before it asks the brokers again who leads, while a partition that it knows has no leader.

    aiokafka 0.14 asks again as soon as the answer is there, 390 times a second, for as long as the leader is away: it
    takes a seventh of a processor for each client, and the brokers that are left have to answer.
    """
    ask = client._metadata_update  # noqa: SLF001 - the only way by which a client asks

    async def ask_in_time(cluster: ClusterMetadata, topics: Any) -> Any:
        if _lacks_leader(client.cluster):
            await asyncio.sleep(REST_SECONDS)
        return await ask(cluster, topics)

    client._metadata_update = ask_in_time  # noqa: SLF001


def _lacks_leader(cluster: ClusterMetadata) -> bool:
    return any(
        len(cluster.available_partitions_for_topic(topic)) < len(cluster.partitions_for_topic(topic))
        for topic in cluster.topics()
    )

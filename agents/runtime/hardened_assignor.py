"""Faust's assignor of partitions, hardened: it divides all topics or none."""

from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka.cluster import ClusterMetadata
from faust.assignor.partition_assignor import PartitionAssignor

log = structlog.get_logger()


class HardenedAssignor(PartitionAssignor):  # type: ignore[misc]
    """Gives the same partition number of all topics to the same worker."""

    unknown_topics: tuple[str, ...] = ()
    """Of the last assignment: what the group subscribes to and Kafka has not told of, in which case nobody got any."""

    def _perform_assignment(self, cluster: ClusterMetadata, member_metadata: Mapping[str, Any]) -> Mapping[str, Any]:
        """Divide the partitions among the members.

        Fault closed: a topic that is not in the metadata is left out with a warning and the others are divided, so
        partitions may come without their changelog, or changelogs without their source. The metadata lacks topics
        after a request for it has failed, which is what the first one of a worker does that starts as the broker goes.
        """
        subscribed = {topic for metadata in member_metadata.values() for topic in metadata.subscription}
        self.unknown_topics = tuple(sorted(topic for topic in subscribed if not cluster.partitions_for_topic(topic)))
        if self.unknown_topics:
            log.warning("Kafka has not told of all topics: nobody gets partitions", topics=self.unknown_topics)
            cluster = ClusterMetadata()  # of no topic at all
        assigned: Mapping[str, Any] = super()._perform_assignment(cluster, member_metadata)
        return assigned

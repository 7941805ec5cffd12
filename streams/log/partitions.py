"""Which partition a key belongs to: murmur2, as Java's clients do it."""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among `partitions`."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)

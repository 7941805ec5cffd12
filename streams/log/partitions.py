"""Which partition a key belongs to: murmur2, as Java's clients do it."""

from aiokafka.partitioner import murmur2

from schemas.errors import UnreadableError
from streams.log.messages import Origin


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among `partitions`."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def check_partition(origin: Origin, partitions: int) -> None:
    """Refuse a record that lies where nobody looks for its key: what belongs together would be in two partitions.

    Raises:
        UnreadableError: it has no key, or another client's partitioner put it there.

    """
    if origin.key is None or partition_of(origin.key, partitions) != origin.partition:
        raise UnreadableError("not in the partition of its key: produce with the murmur2 partitioner")

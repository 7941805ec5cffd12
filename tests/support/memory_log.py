"""A log and tables in memory, with crashes: what an agent sends is in the log before what it writes is in its tables.

That is the order which the runtime guarantees; a crash between the two, or before the commit, is what tests make here.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from agents.runtime import Event
from streams.log.partitions import partition_of


@dataclass
class MemoryLog:
    """Topics with their partitions, each a list of events."""

    partitions: int
    single: Collection[str] = ()
    appended: int = 0
    """Records of all topics together: the time, in seconds, of the last one."""
    topics: dict[str, dict[int, list[Event]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def append(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Any = (), partition: int | None = None
    ) -> Event:
        """Append a record to the partition of its key, or to the one named."""
        if partition is None:
            partition = 0 if topic in self.single else partition_of(key or b"", self.partitions)
        records = self.topics[topic][partition]
        self.appended += 1
        event = Event(topic, partition, len(records), key, value, dict(headers), float(self.appended))
        records.append(event)
        return event

    def all(self, topic: str) -> list[Event]:
        """Return the records of a topic, partition by partition."""
        return [event for number in sorted(self.topics[topic]) for event in self.topics[topic][number]]

    async def read(self, places: Collection[tuple[str, int, int]]) -> list[bytes | None]:
        """Return the values at places."""
        return [self.topics[topic][partition][offset].value for topic, partition, offset in places]


class MemoryTable:
    """One table: entries per partition, and the writes of the event in hand over them."""

    def __init__(self) -> None:
        self.states: dict[int, dict[str, bytes]] = defaultdict(dict)
        self.here = 0
        self.pending: dict[str, bytes | None] = {}

    def get(self, key: str) -> bytes | None:
        """Return the newest value."""
        return self.pending[key] if key in self.pending else self.states[self.here].get(key)

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Go through all entries of the partition in hand."""
        merged = self.states[self.here] | self.pending
        return iter([(key, value) for key, value in merged.items() if value is not None])

    def pop(self, key: str) -> bytes | None:
        """Delete an entry."""
        value = self.get(key)
        if value is not None:
            self.pending[key] = None
        return value

    def __getitem__(self, key: str) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: bytes) -> None:
        self.pending[key] = value

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def keep(self) -> None:
        """Make the writes of the event in hand lasting."""
        for key, value in self.pending.items():
            if value is None:
                self.states[self.here].pop(key, None)
            else:
                self.states[self.here][key] = value
        self.pending.clear()


class MemoryWork:
    """The effects of one event; `send` appends at once."""

    def __init__(self, log: MemoryLog, partition: int) -> None:
        self.partition = partition
        self._log = log

    def send(self, topic: str, **record: Any) -> None:
        """Send a record."""
        self._log.append(topic, **record)

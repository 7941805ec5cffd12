"""A table as handlers see it: text keys, raw bytes as values, backed by a changelog."""

from collections.abc import Iterator
from typing import TypeVar

from agents.runtime.state import PartitionState
from agents.runtime.work import Work, working
from schemas.errors import TopicsError
from streams.log.producer import RecordTooLargeError, record_bytes

_Default = TypeVar("_Default")

DEFAULT_LARGEST_RECORD_BYTES = 1_000_000
"""A changelog with the broker's default `max.message.bytes` takes 1,048,588."""


class StateTable:
    """Reads and writes the partition of the event in hand, whatever the key.

    So the key of an entry must follow from the key of the event that writes it. Usable inside a handler or inside
    `open_work()` only; elsewhere every access raises NotInHandlerError, and Abandoned once the partition was taken
    away. Any bytes may be stored, empty ones too.
    """

    def __init__(
        self,
        name: str,
        *,
        partitions: int,
        changelog_topic: str,
        largest_record_bytes: int = DEFAULT_LARGEST_RECORD_BYTES,
    ) -> None:
        self.name = name
        self.partitions = partitions
        self.changelog_topic = changelog_topic
        self.largest_record_bytes = largest_record_bytes
        self.states: dict[int, PartitionState] = {}

    def get(self, key: str, default: _Default | None = None) -> bytes | _Default | None:
        """Return the value of a key, or `default`."""
        _, state = self._here()
        value = state.get(key.encode())
        return default if value is None else value

    def set(self, key: str, value: bytes) -> None:
        """Write an entry; it is seen at once and confirmed with the event.

        Raises:
            RecordTooLargeError: larger than the changelog takes; nothing was written.

        """
        if not isinstance(value, bytes):
            raise TypeError(f"table {self.name} takes bytes, not {type(value).__name__}")
        work, state = self._here()
        encoded = key.encode()
        size = record_bytes(encoded, value)
        if size > self.largest_record_bytes:
            raise RecordTooLargeError(
                f"an entry of {size} bytes for table {self.name} is over {self.largest_record_bytes} bytes"
            )
        work.add_change(state.write(encoded, value))

    def pop(self, key: str) -> bytes | None:
        """Delete an entry and return its value; None, and nothing written, if there was none."""
        work, state = self._here()
        encoded = key.encode()
        value = state.get(encoded)
        if value is not None:
            work.add_change(state.write(encoded, None))
        return value

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Go through all entries of the partition in hand, in no order; for rebuilding what is derived from them."""
        _, state = self._here()
        return ((key.decode(), value) for key, value in state.items())

    def __getitem__(self, key: str) -> bytes:
        _, state = self._here()
        value = state.get(key.encode())
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: bytes) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        if self.pop(key) is None:
            raise KeyError(key)

    def __contains__(self, key: str) -> bool:
        _, state = self._here()
        return state.get(key.encode()) is not None

    def __bool__(self) -> bool:
        return True  # `if table:` asks whether there is one, never how many entries it has

    def _here(self) -> tuple[Work, PartitionState]:
        work = working()
        state = self.states.get(work.partition)
        if state is None:
            raise TopicsError(
                f"{work.label} is in partition {work.partition}, for which table {self.name} is not on this worker: "
                f"its changelog {self.changelog_topic} must have as many partitions, and all workers the same version"
            )
        return work, state

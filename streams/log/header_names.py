"""Records whose headers have names that are not UTF-8, which other clients can write.

aiokafka 0.14 raises UnicodeDecodeError over one, again and again: nobody could read on from there. Such a batch is read
by its slower reader, with U+FFFD in the place of what is no text, as Java's clients have it.
"""

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

LENGTH_AT = 8
"""Where the length of a batch lies (Kafka: record batch)."""


class AnyHeaderNames:
    """What aiokafka's fetcher goes through: the batches of one answer of a broker."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._records = MemoryRecords(data)
        self._taken = 0
        self.has_next = self._records.has_next
        self.size_in_bytes = self._records.size_in_bytes

    def next_batch(self) -> "Any":
        """Return the next batch."""
        batch = self._records.next_batch()
        self._taken += 1
        return None if batch is None else _Batch(batch, self._data, self._taken - 1)


class _Batch:
    def __init__(self, batch: Any, data: Any, index: int) -> None:
        self._batch = batch
        self._data = data
        self._index = index

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            # From the batch's beginning: the fetcher passes over offsets that it has had.
            yield from self._slowly()

    def _slowly(self) -> Iterator[Any]:
        begin = 0
        for _ in range(self._index):
            begin += _size(self._data, begin)
        batch: Any = _DefaultRecordBatchPy(bytearray(self._data[begin : begin + _size(self._data, begin)]))
        batch._maybe_uncompress()  # noqa: SLF001 - as it would itself, before it reads
        batch._buffer = _Lenient(batch._buffer)  # noqa: SLF001 - nothing else tells it how to read names
        yield from batch


def _size(data: Any, begin: int) -> int:
    """Return the bytes of the batch that begins there: first offset, length, and what the length is of."""
    length: int = struct.unpack_from(">i", data, begin + LENGTH_AT)[0]
    return LENGTH_AT + 4 + length


class _Lenient(bytearray):
    """Bytes whose parts are always text."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Lenient(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return bytes(self).decode(encoding, errors)


def read_any_header_names() -> None:
    """Have all consumers of this process read on over such records."""
    fetcher.MemoryRecords = AnyHeaderNames

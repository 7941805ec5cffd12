"""A header whose name is no text stops nobody: its record and those behind it are read."""

import struct
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

import streams.log.reader  # noqa: F401 - it has them read so
from streams.log.header_names import AnyHeaderNames

CRC_AT, CRC_OF = 17, 21
"""Where the checksum of a batch lies, and where what it is of begins (Kafka: record batch, magic 2)."""


def batch(first_offset: int, names: list[bytes]) -> bytes:
    """A batch of one record for each name of a header, as another client writes it."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
    for number in range(len(names)):
        builder.append(number, 1, b"key", b"value %d" % number, [("n" * 8, b"told"), ("empty", None)])
    made = bytearray(builder.build())
    place = 0
    for name in names:
        place = made.index(b"n" * 8, place)
        made[place : place + 8] = name.ljust(8, b"x")
    struct.pack_into(">q", made, 0, first_offset)
    struct.pack_into(">I", made, CRC_AT, calc_crc32c(bytes(made[CRC_OF:])))
    return bytes(made)


def read(data: bytes) -> list[Any]:
    records: Any = AnyHeaderNames(data)
    check_crcs = True
    place = TopicPartition("t", 0)
    return list(fetcher.PartitionRecords(place, records, [], 0, None, None, check_crcs, fetcher.READ_UNCOMMITTED))


def test_records_behind_one_with_such_a_header_are_read() -> None:
    data = batch(0, [b"good", b"\xff\xfe", b"good"]) + batch(3, [b"good"]) + batch(4, [b"\xc3"])
    found = read(data)
    assert [record.offset for record in found] == [0, 1, 2, 3, 4]
    assert [record.value for record in found] == [b"value 0", b"value 1", b"value 2", b"value 0", b"value 0"]
    assert [record.headers[0] for record in found[1:3]] == [("\ufffd\ufffdxxxxxx", b"told"), ("goodxxxx", b"told")]


def test_all_consumers_read_so() -> None:
    assert fetcher.MemoryRecords is AnyHeaderNames


def test_aiokafka_still_needs_it() -> None:
    """Where this fails, aiokafka reads such names by itself, and this module can go."""
    records: Any = AnyHeaderNames(batch(0, [b"\xff"]))._records
    one: DefaultRecordBatch = records.next_batch()
    with pytest.raises(UnicodeDecodeError):
        list(one)

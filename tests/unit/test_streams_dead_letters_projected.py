"""The read model passes over what it cannot read, on every topic that it reads, and goes on."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.topics import AUDIT, DEAD_LETTER, PROPOSAL, TopicNames
from streams.log.reader import LogRecord
from streams.projection.projector import PROJECTED, Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from tests.support.garbage import ANYTHING, KEYS
from tests.support.projecting import START, log_record, step

NAMES = TopicNames("", "zuora-ifs")
ONLY_READ_HERE = [NAMES.public(name) for name in (AUDIT, PROPOSAL, DEAD_LETTER)]
LETTER = {"dlq.topic": b"t", "dlq.partition": b"0", "dlq.offset": b"7", "dlq.time": b"2026-03-01T08:00:00Z"}
ABOUT_LETTERS = st.dictionaries(
    st.sampled_from([*LETTER, "dlq.resent", "dlq.resent-at", "zuora-notification-id", "ce_id"]), st.binary(max_size=24)
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    logging.disable(logging.WARNING)
    with Store(tmp_path_factory.mktemp("projected") / "read.sqlite") as made:
        yield made
    logging.disable(logging.NOTSET)


def next_offset(store: Store, topic: str) -> int:
    return store.positions([topic]).get((topic, 0), -1) + 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(topic=st.sampled_from([NAMES.public(name) for name in PROJECTED]), key=KEYS, told=ANYTHING, about=ABOUT_LETTERS)
def test_any_bytes_are_passed_over_and_what_follows_is_read(
    store: Store, topic: str, key: bytes | None, told: tuple[dict[str, bytes], bytes | None], about: dict[str, bytes]
) -> None:
    projector = Projector(store, NAMES, keeps_unparked=True)
    projector.partitions = dict.fromkeys([NAMES.public(name) for name in PROJECTED], 1)
    headers = told[0] | (LETTER | about if topic == NAMES.public(DEAD_LETTER) else {})
    before, count = len(ReadModel(Path(store.path)).unparked()), projector.unreadable
    met = LogRecord(topic, 0, next_offset(store, topic), key, told[1], headers, START)
    projector.apply([met])
    kept = [record for record, _ in ReadModel(Path(store.path)).unparked()[before:]]
    assert kept == [met] * (projector.unreadable - count) * (topic in ONLY_READ_HERE)

    audit = NAMES.public(AUDIT)
    offset = next_offset(store, audit)
    projector.apply([log_record(step(f"Invoice:good-{offset}", "posted"), offset)])
    model = ReadModel(Path(store.path))
    assert model.record(f"Invoice:good-{offset}") is not None
    assert model.status_totals()
    assert all(letter.id for letter in model.dead_letters(limit=1_000))

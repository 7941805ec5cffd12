"""What only the console reads and cannot read: kept whole until it is a dead letter, parked once, whatever fails."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from agents.console import parking
from schemas.errors import LogUnavailableError
from schemas.mappings import AccountMappingSet
from schemas.proposals import ChangeProposed, ProposalApproved
from schemas.topics import AUDIT, DEAD_LETTER, MAPPING, PERSONAL_KEY, PROPOSAL, TopicNames
from streams import background
from streams.log.messages import Message, dead_letter
from streams.log.reader import Bounds, LogRecord
from streams.log.topics import LEAST_MESSAGE_BYTES
from streams.projection import unparked
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from streams.proposals import propose
from streams.settings import KafkaSettings
from tests.support.projecting import START, log_record, step
from tests.support.waiting import eventually

NAMES = TopicNames("", "app")
KAFKA = KafkaSettings()
ACCOUNT = AccountMappingSet(actor="anna", at=START, account_id="8ad0", company="10", gl_account="1510")
(PROPOSED,) = propose([ACCOUNT], {}, actor="anna", at=START)
APPROVED = ProposalApproved(proposal=PROPOSED.proposal, actor="bert", at=START)
STEP = step("Invoice:1", "posted")


def record(topic: str, offset: int = 0, **told: Any) -> LogRecord:
    given: dict[str, Any] = {"key": b"k", "value": b"\xff\x00", "headers": {"ce_id": b"\xfe", "note": b""}}
    return LogRecord(topic, 0, offset, timestamp=START, **given | told)


def proposed(**change: Any) -> LogRecord:
    change_told = {"event_type": "AccountMappingSet", "event": {"accountId": "8ad0"}, "replaces": None} | change
    event = ChangeProposed.model_validate(
        {"proposal": "p", "part": 1, "parts": 1, "changes": [change_told], "actor": "anna", "at": START}
    )
    return log_record(event, 0, topic=PROPOSAL)


@dataclass
class Log:
    """The topic of dead letters: what is sent to it is read at once unless `is_behind`, and refused by `failures`."""

    projector: Projector
    failures: list[Exception] = field(default_factory=list)
    letters: list[Message] = field(default_factory=list)
    is_behind: bool = False

    async def send_all(self, _: KafkaSettings, messages: list[Message], *, client_id: str) -> None:
        assert client_id == "app-console"
        if self.failures:
            raise self.failures.pop(0)
        self.letters += messages
        if not self.is_behind:
            self.read()

    async def log_bounds(self, _: KafkaSettings, topics: list[str]) -> Bounds:
        assert topics == [DEAD_LETTER]
        return Bounds(
            "cluster", {(DEAD_LETTER, 0): 0, (DEAD_LETTER, 1): 9}, {(DEAD_LETTER, 0): self.end, (DEAD_LETTER, 1): 9}
        )

    @property
    def end(self) -> int:
        return len(self.letters)

    def read(self) -> None:
        self.projector.apply(
            [
                LogRecord(DEAD_LETTER, 0, offset, one.key, one.value, dict(one.headers), START)
                for offset, one in enumerate(self.letters)
            ]
        )


@pytest.fixture
def projector(tmp_path: Path) -> Iterator[Projector]:
    with Store(tmp_path / "model.sqlite") as store:
        made = Projector(store, NAMES, keeps_unparked=True)
        made.partitions = {AUDIT: 3, MAPPING: 3, DEAD_LETTER: 3, PROPOSAL: 1}
        yield made


@pytest.fixture
def log(projector: Projector, monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log(projector)
    monkeypatch.setattr(parking, "send_all", made.send_all)
    monkeypatch.setattr(parking, "log_bounds", made.log_bounds)
    return made


def model_of(projector: Projector) -> ReadModel:
    return ReadModel(projector.store.path)


async def holds(condition: Callable[[], bool]) -> None:
    async def probe() -> bool:
        return condition()

    await eventually(probe)


def parked(projector: Projector) -> list[str]:
    return sorted(letter.id for letter in model_of(projector).dead_letters(limit=1_000))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (record(AUDIT), "unknown event type '' in header ce_type"),
        (record(AUDIT, key=None, value=None, headers={}), "unknown event type ''"),
        (record(AUDIT, headers={"ce_type": b"RecordStatusChanged"}, value=b"{}"), "not a RecordStatusChanged: "),
        (log_record(APPROVED, 0, topic=AUDIT), "ProposalApproved does not belong here"),
        (record(PROPOSAL), "unknown event type ''"),
        (record(PROPOSAL, headers={"ce_type": b"ChangeProposed"}, value=b"[" * 300), "not a ChangeProposed: "),
        (log_record(STEP, 0, topic=PROPOSAL), "RecordStatusChanged is neither a proposal nor a decision"),
        (proposed(), "not a AccountMappingSet: "),
        (proposed(event_type="RecordStatusChanged"), "a proposed RecordStatusChanged is no change of a mapping"),
        (record(DEAD_LETTER, headers={"dlq.topic": b"t", "dlq.offset": b"x"}), "its dlq.* headers do not say where"),
        (log_record(STEP, 0), None),
        (log_record(PROPOSED, 0, topic=PROPOSAL), None),
        (log_record(APPROVED, 0, topic=PROPOSAL), None),
        (record(MAPPING), None),
        (record(PERSONAL_KEY), None),
    ],
)
async def test_what_cannot_be_read_is_parked_whole_with_its_reason_and_nothing_else_is(
    projector: Projector, log: Log, found: LogRecord, reason: str | None
) -> None:
    projector.apply([found])
    if found.topic == DEAD_LETTER:
        log.letters.append(Message(DEAD_LETTER, found.key, found.value, tuple(found.headers.items())))
    before = log.end
    kept = model_of(projector).unparked()
    assert [one for one, _ in kept] == ([found] if reason else [])
    assert all(why.startswith(str(reason)) for _, why in kept)

    async with background.running(parking.park_unreadable(model_of(projector), KAFKA, NAMES, retry_seconds=0)):
        await holds(lambda: not model_of(projector).unparked())
    letters = log.letters[before:]
    assert len(letters) == (1 if reason else 0)
    for letter in letters:
        headers = dict(letter.headers)
        place = (headers["dlq.topic"].decode(), headers["dlq.partition"], headers["dlq.offset"])
        assert place == (found.topic, b"0", b"0")
        assert (letter.key, letter.value) == (found.key, found.value if found.key or found.value else b"")
        assert headers["dlq.reason"].decode().startswith(str(reason))
        assert found.headers.items() - headers.items() <= {
            (name, value) for name, value in found.headers.items() if name.startswith("dlq.")
        }
    assert len(parked(projector)) == len(letters)


async def test_what_is_parked_already_is_not_parked_again_when_all_is_read_anew(projector: Projector, log: Log) -> None:
    first, second, other = record(AUDIT), record(AUDIT, 1), record(PROPOSAL)
    log.letters = [dead_letter(DEAD_LETTER, first, "not JSON")]
    log.read()
    projector.apply([first, second])  # its letter came before it
    log.letters.append(dead_letter(DEAD_LETTER, other, "not JSON"))
    projector.apply([other])
    log.read()  # and after it

    async with background.running(parking.park_unreadable(model_of(projector), KAFKA, NAMES, retry_seconds=0)):
        await holds(lambda: not model_of(projector).unparked())
    assert len(log.letters) == 3
    assert dict(log.letters[2].headers)["dlq.offset"] == b"1"


async def test_nothing_is_parked_before_all_letters_are_read(
    projector: Projector, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.console.feed.CATCH_UP_SECONDS", 0.0)
    monkeypatch.setattr("agents.console.feed.LOOK_AGAIN_SECONDS", 0.0)
    log.is_behind = True
    projector.apply([record(AUDIT)])
    looks = 0

    async def log_bounds(*asked: Any) -> Bounds:
        nonlocal looks
        looks += 1
        return await log.log_bounds(*asked)

    monkeypatch.setattr(parking, "log_bounds", log_bounds)
    async with background.running(parking.park_unreadable(model_of(projector), KAFKA, NAMES, retry_seconds=0)):
        await holds(lambda: looks > 20)
        assert len(log.letters) == 1  # its own, which the read model has not met yet
        log.read()
        await holds(lambda: not model_of(projector).unparked())
    assert len(log.letters) == 1
    assert parked(projector) == [f"{AUDIT}/0/0"]


async def test_a_letter_that_kafka_does_not_take_is_told_once_and_sent_again(projector: Projector, log: Log) -> None:
    log.failures = [LogUnavailableError("no broker")] * 3 + [ValueError("odd")]
    projector.apply([record(AUDIT)])
    with structlog.testing.capture_logs() as said:
        async with background.running(parking.park_unreadable(model_of(projector), KAFKA, NAMES, retry_seconds=0)):
            await holds(lambda: len(log.letters) == 1)
            projector.apply([log_record(STEP, 1)])  # what follows is read meanwhile, as ever
            await holds(lambda: not model_of(projector).unparked())
    told = "what the console cannot read is not parked yet; it is tried again"
    assert [(one["event"], one.get("why")) for one in said] == [
        (told, "no broker"),
        (told, None),
        ("parked as a dead letter", "unknown event type '' in header ce_type"),
    ]
    assert model_of(projector).record("Invoice:1") is not None


async def test_many_are_parked_in_parts_that_memory_holds(
    projector: Projector, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unparked, "MOST_UNPARKED_BYTES", 250)
    projector.apply([record(AUDIT, offset, value=b"x" * size) for offset, size in enumerate([100, 100, 300, 10])])
    assert [one.offset for one, _ in model_of(projector).unparked()] == [0, 1]

    async with background.running(parking.park_unreadable(model_of(projector), KAFKA, NAMES, retry_seconds=0)):
        await holds(lambda: len(parked(projector)) == 4)
    assert len(log.letters) == 4


async def test_what_is_larger_than_any_topic_must_take_is_parked_without_its_bytes(
    projector: Projector, log: Log
) -> None:
    projector.apply([record(AUDIT, value=b"x" * LEAST_MESSAGE_BYTES), record(AUDIT, 1, value=b"x" * 900_000)])
    async with background.running(parking.park_unreadable(model_of(projector), KAFKA, NAMES, retry_seconds=0)):
        await holds(lambda: len(parked(projector)) == 2)
    assert [len(one.value or b"") for one in log.letters] == [0, 900_000]
    left_out = model_of(projector).dead_letter(f"{AUDIT}/0/0")
    assert left_out is not None
    assert left_out.is_left_out


def test_a_read_model_of_a_command_keeps_nothing_to_park(tmp_path: Path) -> None:
    with Store(tmp_path / "cli.sqlite") as store:
        Projector(store, NAMES).apply([record(AUDIT)])
        assert ReadModel(store.path).unparked() == []


def test_a_batch_that_is_written_again_after_a_failure_keeps_each_once(
    projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: list[LogRecord]) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as failing:
        failing.setattr(projector.store, "advance", full)
        with pytest.raises(OSError, match="disk full"):
            projector.apply([record(AUDIT)])
    assert model_of(projector).unparked() == []
    projector.apply([record(AUDIT), replace(record(AUDIT), offset=1)])
    assert [one.offset for one, _ in model_of(projector).unparked()] == [0, 1]

"""What aiokafka keeps to itself, or takes for something else, while brokers come and go."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from agents.runtime.failure import ExitCode
from agents.runtime.hardened_thread import HardenedThread
from tests.support.runtime_app import IN_0, ProcessEndedError, record_ends


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return record_ends(monkeypatch)


@pytest.mark.parametrize(
    ("code", "found_anew"),
    [
        pytest.param(14, False, id="the coordinator is loading"),
        pytest.param(15, True, id="the coordinator is not available"),
        pytest.param(16, True, id="the coordinator has moved"),
    ],
)
async def test_an_error_in_answer_to_what_was_committed_is_not_taken_for_nothing(
    code: int, *, found_anew: bool
) -> None:
    """Such an answer names no partition, and aiokafka looks at the errors of partitions alone."""
    answers = [OffsetFetchResponse_v3(0, [], code), OffsetFetchResponse_v3(0, [("in", [(0, 7, "", 0)])], 0)]
    lost: list[str] = []

    async def answer(_request: object) -> object:
        return answers.pop(0)

    async def known() -> None: ...

    coordinator = object.__new__(GroupCoordinator)
    coordinator.group_id, coordinator._retry_backoff_ms = "app", 0
    coordinator._send_req = answer
    coordinator.ensure_coordinator_known = known
    coordinator.coordinator_dead = lambda: lost.append("coordinator")
    thread = object.__new__(HardenedThread)
    thread._never_take_an_error_for_nothing_committed(coordinator)

    committed = await coordinator.fetch_committed_offsets([IN_0])

    assert {place.partition: found.offset for place, found in committed.items()} == {0: 7}
    assert lost == ["coordinator"] * found_anew


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("part", [0, 1, 2], ids=["its place in the group", "fetching", "metadata"])
async def test_the_process_ends_with_a_part_of_its_client_unless_it_was_closed(
    ended: list[int], part: int, *, closed: bool
) -> None:
    """Nobody is told by aiokafka: heartbeats would go on, and the worker handle nothing for ever."""
    told: list[Any] = []
    parts = [
        SimpleNamespace(add_done_callback=told.append, cancelled=lambda: False, exception=lambda: KeyError("node"))
        for _ in range(3)
    ]
    consumer = SimpleNamespace(
        _closed=False,
        _coordinator=SimpleNamespace(_coordination_task=parts[0]),
        _fetcher=SimpleNamespace(_fetch_task=parts[1]),
        _client=SimpleNamespace(_sync_task=parts[2]),
    )
    thread = SimpleNamespace(should_stop=False, app=SimpleNamespace(conf=SimpleNamespace(id="app")))
    HardenedThread._end_with_what_works_beside(thread, consumer)
    consumer._closed = closed

    with nullcontext() if closed else pytest.raises(ProcessEndedError):
        told[part](parts[part])

    assert ended == ([] if closed else [ExitCode.FRAMEWORK])


@pytest.mark.parametrize("error", [KafkaConnectionError("Unable to bootstrap"), ConnectionRefusedError(111, "refused")])
async def test_kafka_that_goes_while_a_thread_starts_ends_the_process_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, ended: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    async def start(_: object) -> None:
        raise error

    monkeypatch.setattr(AIOKafkaConsumerThread, "on_start", start)
    thread = object.__new__(HardenedThread)
    thread.app = SimpleNamespace(conf=SimpleNamespace(id="app-poster"))

    with pytest.raises(ProcessEndedError):
        await thread.on_start()

    assert ended == [ExitCode.LOG]
    told = capsys.readouterr().err
    assert told.startswith("zuora-ifs: app-poster cannot reach Kafka to join its group")
    assert told.count("\n") == 1

"""How far a group is behind, when Kafka does not say what it has committed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3

from schemas.errors import LogUnavailableError
from streams.log import backlog
from streams.log.reader import Bounds
from streams.settings import KafkaSettings

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:9")


OFFSETS = OffsetFetchResponse_v3(0, [("commands", [(0, 993, "", 0)])], 0)
LOADING = OffsetFetchResponse_v3(0, [], 14)
HERE = SimpleNamespace(error_code=0, coordinator_id=1)
NOBODY = SimpleNamespace(error_code=15, coordinator_id=-1)
MOVED = OffsetFetchResponse_v3(0, [], 16)


def kafka_answers(
    monkeypatch: pytest.MonkeyPatch, coordinators: Sequence[object], offsets: Sequence[object], patience: float = 30
) -> None:
    """Answer each question in turn; the last answer of its kind is given again and again."""
    left = {True: list(offsets), False: list(coordinators)}

    async def bounds(*_: object) -> Bounds:
        return Bounds("cluster", {("commands", 0): 0}, {("commands", 0): 1000})

    async def answer(request: object, *_: object) -> object:
        answers = left[isinstance(request, OffsetFetchRequest)]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    @asynccontextmanager
    async def admin_client(_: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = object.__new__(AIOKafkaAdminClient)
        admin._send_request = answer
        yield admin

    monkeypatch.setattr(backlog, "log_bounds", bounds)
    monkeypatch.setattr(backlog, "admin_client", admin_client)
    monkeypatch.setattr(backlog, "PATIENCE_SECONDS", patience)
    monkeypatch.setattr(backlog, "POLL_SECONDS", 0.001)


async def test_what_is_behind_the_committed_offset_is_the_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_answers(monkeypatch, [HERE], [OFFSETS])

    assert await backlog.backlog(KAFKA, group="app-poster", topic="commands") == 7


async def test_a_group_that_has_committed_nothing_has_all_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_answers(monkeypatch, [HERE], [OffsetFetchResponse_v3(0, [], 0)])

    assert await backlog.backlog(KAFKA, group="app-poster", topic="commands") == 1000


@pytest.mark.parametrize(
    ("coordinators", "offsets"),
    [([NOBODY, NOBODY, HERE], [OFFSETS]), ([HERE], [LOADING, OFFSETS]), ([HERE], [MOVED, OFFSETS])],
    ids=["the first group ever, or no leader for a moment", "loading", "moved"],
)
async def test_a_coordinator_that_is_there_a_moment_later_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, coordinators: list[object], offsets: list[object]
) -> None:
    kafka_answers(monkeypatch, coordinators, offsets)

    assert await backlog.backlog(KAFKA, group="app-poster", topic="commands") == 7


@pytest.mark.parametrize(
    ("coordinator", "offsets"), [(NOBODY, OFFSETS), (HERE, LOADING), (HERE, MOVED)], ids=["nobody", "loading", "moved"]
)
async def test_where_nobody_knows_what_was_committed_it_says_so_instead_of_counting_all_that_was_ever_posted(
    monkeypatch: pytest.MonkeyPatch, coordinator: object, offsets: object
) -> None:
    kafka_answers(monkeypatch, [coordinator], [offsets], patience=0.01)

    with pytest.raises(LogUnavailableError, match="how far app-poster is cannot be told just now"):
        await backlog.backlog(KAFKA, group="app-poster", topic="commands")

"""The console as a process parks what only it reads: once, whole, and not again after a restart or from the start."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from streams.log.messages import Message
from streams.log.reader import LogRecord, read_to_end
from streams.projection.feed import catch_up
from streams.projection.projector import PROJECTED, Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from tests.support.console_process import ConsoleProcess, ask
from tests.support.projecting import Cluster, step
from tests.support.waiting import eventually_now

ONLY_READ_HERE = (topics.AUDIT, topics.PROPOSAL, topics.DEAD_LETTER)
GARBAGE = (
    Message("", b"8ad0", b"\xff\x00", (("ce_type", b"\xff"), ("traceparent", b"\xfe"), ("note", b""))),
    Message("", None, b"", ()),
    Message("", b"\xff\xfe", b'{"recordId": {}}', (("ce_id", b"\xc3"), ("ce_type", b"RecordStatusChanged"))),
    Message("", b"p", b"[" * 300, (("ce_type", b"ChangeProposed"), ("dlq.topic", b"made up"))),
)
KEY_GARBAGE = Message("", b"8ad0/k", b'{"wrappedKey": "hush"}', (("ce_type", b"PersonalKeySealed"),))


def garbage(cluster: Cluster) -> list[Message]:
    return [
        *(replace(one, topic=cluster.names.public(topic)) for topic in ONLY_READ_HERE for one in GARBAGE),
        replace(KEY_GARBAGE, topic=cluster.names.public(topics.PERSONAL_KEY)),
    ]


def of_topic(cluster: Cluster, topic: str) -> list[LogRecord]:
    async def read() -> list[LogRecord]:
        batches = read_to_end(cluster.kafka, [cluster.names.public(topic)], {})
        return [one async for batch in batches for one in batch.records]

    return asyncio.run(read())


def letters(url: str) -> list[dict[str, Any]]:
    status, body = ask(f"{url}/api/dead-letters?limit=100", Authorization="Bearer go")
    assert status == 200, body
    found: list[dict[str, Any]] = json.loads(body)["items"]
    return found


def parked(cluster: Cluster) -> list[LogRecord]:
    return [one for one in of_topic(cluster, topics.DEAD_LETTER) if "dlq.reason" in one.headers]


def places(cluster: Cluster) -> dict[str, LogRecord]:
    """Return the garbage of the test by where it lies."""
    found = [one for topic in ONLY_READ_HERE for one in of_topic(cluster, topic)]
    bad = [one for one in found if "dlq.reason" not in one.headers and one.headers.get("ce_source") is None]
    return {f"{one.topic}/{one.partition}/{one.offset}": one for one in bad}


@pytest.mark.timeout(180)
def test_what_only_the_console_reads_is_parked_once_and_the_rest_goes_on(
    cluster: Cluster, consoles: list[ConsoleProcess], tmp_path: Path
) -> None:
    asyncio.run(cluster.send(garbage(cluster)))
    asyncio.run(cluster.send_steps(step("Invoice:1", "received")))
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()

    consoles.append(ConsoleProcess(cluster, tmp_path / "one", "maria:operator:go"))
    url = consoles[0].until_ready()
    assert ask(f"{url}/api/records/Invoice:1", Authorization="Bearer go")[0] == 200
    eventually_now(lambda: len(letters(url)) == 3 * len(GARBAGE))
    expected = places(cluster)
    assert {one["id"] for one in letters(url)} == set(expected)
    for letter in parked(cluster):
        told = {name: value.decode() for name, value in letter.headers.items() if name.startswith("dlq.")}
        origin = expected[f"{told['dlq.topic']}/{told['dlq.partition']}/{told['dlq.offset']}"]
        assert (letter.key, letter.value or b"") == (origin.key, origin.value or b"")
        own = [{name: value for name, value in one.headers.items() if name[:4] != "dlq."} for one in (letter, origin)]
        assert own[0] == own[1]
        assert told["dlq.reason"]
    said = consoles[0].said  # the next one in its folder writes this file anew
    assert f"{cluster.names.public(topics.PERSONAL_KEY)}/0/0" in said
    assert consoles[0].stop() == 0

    # Where it was, and from the beginning in another folder, at the same time; then one more of each.
    consoles += [ConsoleProcess(cluster, tmp_path / folder, "maria:operator:go") for folder in ("one", "other")]
    urls = [console.until_ready() for console in consoles[1:]]
    assert [len(letters(one)) for one in urls] == [len(expected)] * 2
    assert len(parked(cluster)) == len(expected)
    asyncio.run(cluster.send(garbage(cluster)))
    for one in urls:
        eventually_now(lambda one=one: len(letters(one)) == 2 * len(expected))  # type: ignore[misc]
        assert {letter["id"] for letter in letters(one)} == set(places(cluster))
    assert [console.stop() for console in consoles[1:]] == [0, 0]
    assert len(parked(cluster)) <= 3 * len(expected)  # both may have parked the last ones, which is shown once
    assert b"hush" not in b"".join(one.value or b"" for one in of_topic(cluster, topics.DEAD_LETTER))
    assert "hush" not in said + "".join(console.said for console in consoles)
    assert _kept_by_a_new_read_model(cluster, tmp_path / "new.sqlite") == []


def _kept_by_a_new_read_model(cluster: Cluster, path: Path) -> list[tuple[LogRecord, str]]:
    """Return what a console would park that reads everything from the beginning."""
    with Store(path) as store:
        projector = Projector(store, cluster.names, keeps_unparked=True)
        asyncio.run(catch_up(projector, cluster.kafka, cluster.names, PROJECTED, lambda _done, _behind: None))
    return ReadModel(path).unparked()

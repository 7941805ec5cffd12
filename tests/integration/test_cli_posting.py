"""`zuora-ifs posting` against a real broker."""

import asyncio
import json

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.poster.pauses import Pauses
from agents.poster.state import written
from schemas.base import utc_now
from schemas.requests import PostingPaused
from schemas.topics import CONTROL, POSTING_PACE, VOUCHER_COMMAND
from streams.log.messages import Message
from streams.log.reader import LogRecord
from streams.log.sending import send_all
from streams.log.topics import admin_client
from streams.posting_control import control_message
from streams.posting_status import Pace, WaitingBook
from tests.support.projecting import Cluster, ZuoraIfs
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("cluster")


def test_what_is_paused_is_shown_with_who_and_why_until_it_is_resumed(zuora_ifs: ZuoraIfs) -> None:
    zuora_ifs("posting", "pause", "--company", "10", "--reason", "audit", "--actor", "ann")
    zuora_ifs("posting", "pause", "--reason", "month end", "--actor", "bob")
    told = json.loads(zuora_ifs("posting", "status", "--json"))
    assert [(one["company"], one["actor"], one["reason"]) for one in told["paused"]] == [
        ("*", "bob", "month end"),
        ("10", "ann", "audit"),
    ]

    said = zuora_ifs("posting", "resume", "--reason", "over", "--actor", "bob")
    assert said == "posting goes on for every company; still paused: company 10\n"
    assert "company 20; nothing was changed" in zuora_ifs("posting", "resume", "--company", "20", "--reason", "x")
    assert "audit" in zuora_ifs("posting", "status")
    zuora_ifs("posting", "resume", "--company", "10", "--reason", "over")
    assert zuora_ifs("posting", "status").splitlines() == [
        "nothing is paused",
        "backlog: 0 voucher commands, 0 of them in the waiting room",
        "rate limit: 950 requests a minute",
    ]


def test_the_backlog_is_what_the_poster_has_not_acknowledged(zuora_ifs: ZuoraIfs, cluster: Cluster) -> None:
    topic = cluster.names.public(VOUCHER_COMMAND)
    commands = [Message(topic, b"10", b"{}") for _ in range(94)]
    changelog = cluster.names.changelog("poster", "waiting")
    room = [
        Message(changelog, key, value)
        for key, value in (
            (b"command/a", b"x"),
            (b"waiting/a", b'{"company": "10"}'),
            (b"waiting/b", b'{"company": "10"}'),
            (b"waiting/a", None),
        )
    ]
    asyncio.run(send_all(cluster.kafka, commands + room, client_id="test"))

    told = json.loads(zuora_ifs("posting", "status", "--json"))
    assert (told["backlog"], told["waiting"], told["requestsPerMinute"]) == (95, 1, 950)
    assert told["secondsUntilClear"] == 12.0
    pace = Pace(requests_per_minute=950, requests_per_voucher=2.0, seconds_per_request=1.5, at=utc_now())
    slow = Message(changelog, POSTING_PACE.encode(), written(pace))
    asyncio.run(send_all(cluster.kafka, [slow], client_id="test"))
    assert json.loads(zuora_ifs("posting", "status", "--json"))["ifsIsSlow"]
    assert "950 requests a minute; IFS answers so slowly that 40 are reached" in zuora_ifs("posting", "status")
    zuora_ifs("posting", "pause", "--company", "10", "--reason", "x")
    assert "; 1 of paused companies not counted" in zuora_ifs("posting", "status")
    assert zuora_ifs("posting", "pause", "--reason", "x")
    assert "clear: not before posting is resumed" in zuora_ifs("posting", "status")


@pytest.mark.parametrize("words", [["--reason", " "], ["--reason", "x", "--company", " "]])
def test_an_order_without_reason_or_company_is_refused(zuora_ifs: ZuoraIfs, words: list[str]) -> None:
    assert zuora_ifs("posting", "pause", *words, code=2).count("\n") == 1


async def test_a_poster_knows_the_orders_given_before_it_and_follows_those_that_come(cluster: Cluster) -> None:
    topic = cluster.names.public(CONTROL)

    async def pause(company: str) -> None:
        event = PostingPaused(company=company, actor="ann", at=utc_now(), reason="audit")
        await send_all(cluster.kafka, [control_message(cluster.names, event, "cli")], client_id="test")

    await pause("10")
    pauses = Pauses()
    await pauses.read(cluster.kafka, topic)
    assert (pauses.holds("10"), pauses.holds("20")) == (True, False)

    async def holds_20() -> bool:
        return pauses.holds("20")

    async with pauses.following(cluster.kafka, topic):
        await pause("20")
        await eventually(holds_20)


async def test_what_was_read_of_the_waiting_room_is_not_read_again_unless_its_topic_was_made_anew(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    changelog, read = cluster.names.changelog("poster", "waiting"), list[bytes | None]()
    take = WaitingBook._take

    def noting(book: WaitingBook, records: list[LogRecord]) -> None:
        read.extend(record.key for record in records)
        take(book, records)

    async def wait(*names: str) -> None:
        room = [Message(changelog, f"waiting/{name}".encode(), b'{"company": "10"}') for name in names]
        await send_all(cluster.kafka, room, client_id="test")

    monkeypatch.setattr(WaitingBook, "_take", noting)
    book = WaitingBook()
    await wait("a", "b")
    await book.read(cluster.kafka, cluster.names)
    await wait("c")
    await book.read(cluster.kafka, cluster.names)
    await book.read(cluster.kafka, cluster.names)
    assert (book.by_company, read) == ({"10": 3}, [b"waiting/a", b"waiting/b", b"waiting/c"])

    async with admin_client(cluster.kafka) as admin:
        await admin.delete_topics([changelog])
        await eventually(lambda: topics_of(admin), lambda there: changelog not in there)
        await admin.create_topics([NewTopic(changelog, 1, 1)])
        await eventually(lambda: topics_of(admin), lambda there: changelog in there)
    await wait("d")
    await book.read(cluster.kafka, cluster.names)
    assert (book.by_company, read[3:]) == ({"10": 1}, [b"waiting/d"])


async def topics_of(admin: AIOKafkaAdminClient) -> list[str]:
    return list(await admin.list_topics())

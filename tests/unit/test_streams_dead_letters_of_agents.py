"""Any bytes on any topic that an agent reads: handled, or parked whole with the reason; what follows goes on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agents.runtime import Event
from schemas import topics
from schemas.base import Model, Status
from schemas.envelope import decode, decode_any, encode
from schemas.errors import ConnectorError, UnreadableError
from schemas.notifications import DocumentCaptured
from schemas.releases import HandedOver, ReleaseNext
from schemas.requests import ReplayRequested
from schemas.topics import LARGEST_MESSAGE_BYTES
from schemas.vouchers import PostingProgressed, VoucherRejected
from streams.log.messages import dead_letter
from streams.log.partitions import partition_of
from streams.log.producer import record_bytes
from tests.support.bookkeeping import DEAD_LETTERS, PARTITIONS, World, account, capture, invoice, product
from tests.support.collecting import NAMES as COLLECTING
from tests.support.collecting import RECORD, Scene, notified
from tests.support.fakes import FakeEvent, FakeWork
from tests.support.garbage import ANYTHING, KEYS, SUBJECT, WISH
from tests.support.ledger import NAMES, NOW
from tests.support.posting import DeskWork, command, open_desk

BOOKKEEPING = [
    *(NAMES.public(name) for name in (topics.DOCUMENT, topics.MAPPING, topics.VOUCHER, topics.REQUEST)),
    *(NAMES.working(name) for name in (topics.POSTING_PROGRESS, topics.HANDED_OVER, topics.CHART_COPY, topics.RELEASE)),
]
BY_TOPIC: dict[str, type[Model]] = {
    NAMES.public(topics.DOCUMENT): DocumentCaptured,
    NAMES.working(topics.HANDED_OVER): HandedOver,
    NAMES.working(topics.RELEASE): ReleaseNext,
    NAMES.working(topics.POSTING_PROGRESS): PostingProgressed,
}
"""Topics that carry one kind of event."""
COLLECTED = (topics.NOTIFICATION, topics.FETCH_LATER)
ANY_TIMES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def parked_whole(letter: Event, record: Event) -> bool:
    """Whether a dead letter is a record, all of it, and says where it was."""
    place = (letter.headers["dlq.topic"].decode(), letter.headers["dlq.partition"], letter.headers["dlq.offset"])
    kept = {name: value for name, value in letter.headers.items() if not name.startswith("dlq.")}
    came_with = {name: value for name, value in record.headers.items() if not name.startswith("dlq.")}
    bytes_of = [(one.key, one.value or b"") for one in (letter, record)]
    is_same = kept == came_with and bytes_of[0] == bytes_of[1]
    return is_same and place == (record.topic, b"%d" % record.partition, b"%d" % record.offset)


@ANY_TIMES
@given(topic=st.sampled_from(BOOKKEEPING), key=KEYS, told=ANYTHING, place=st.none() | st.integers(0, PARTITIONS - 1))
async def test_the_bookkeeper_parks_what_it_cannot_read_and_goes_on(
    topic: str, key: bytes | None, told: tuple[dict[str, bytes], bytes | None], place: int | None
) -> None:
    world = World()
    capture(world, invoice(7, "A", sku="UNMAPPED"))
    await world.settle()
    record = world.log.append(topic, key=key, value=told[1], headers=told[0], partition=place)
    await world.settle()
    letters = [one for one in world.log.all(DEAD_LETTERS) if one.headers["dlq.topic"] == record.topic.encode()]
    assert all(parked_whole(letter, record) for letter in letters)
    assert letters or _could_be_read(record)

    for event, under in ((account("C"), "C"), (product("ANL"), "10")):
        world.map(under, event)
    capture(world, invoice(8, "C"))
    await world.settle()
    assert world.status("Invoice:inv-8") is Status.POSTED


def _could_be_read(record: Event) -> bool:
    try:
        decode(BY_TOPIC[record.topic], record.value) if record.topic in BY_TOPIC else decode_any(
            record.headers, record.value
        )
    except UnreadableError:
        return False
    return True


@ANY_TIMES
@given(topic=st.sampled_from(COLLECTED), key=KEYS, told=ANYTHING)
async def test_the_collector_parks_what_it_cannot_read_and_goes_on(
    topic: str, key: bytes | None, told: tuple[dict[str, bytes], bytes | None]
) -> None:
    scene = Scene()
    name = COLLECTING.public(topic) if topic == topics.NOTIFICATION else COLLECTING.working(topic)
    event = FakeEvent(name, key, told[1], told[0])
    handlers: dict[str, Callable[..., Any]] = {
        topics.NOTIFICATION: scene.collector.on_notification,
        topics.FETCH_LATER: scene.collector.on_fetch_later,
    }
    work = FakeWork(scene.table)
    await handlers[topic](event, work)
    letters = work.to(COLLECTING.public(topics.DEAD_LETTER))
    assert letters or told[0]["ce_type"] in {b"NotificationReceived", b"FetchLater"}
    assert [dict(letter.headers)["dlq.topic"] for letter in letters] in ([], [name.encode()])
    assert all((letter.key, letter.value or b"") == (key, told[1] or b"") for letter in letters)

    await scene.notify(notified(event_id="next"))
    assert scene.state.has_seen("next")
    assert scene.table[RECORD]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(topic=st.sampled_from([topics.VOUCHER_COMMAND, topics.POSTING_RETRY]), key=KEYS, told=ANYTHING)
@example(topic=topics.POSTING_RETRY, key=None, told=({}, None))
async def test_the_poster_parks_what_it_cannot_read_and_goes_on(
    topic: str, key: bytes | None, told: tuple[dict[str, bytes], bytes | None]
) -> None:
    name = COLLECTING.public(topic) if topic == topics.VOUCHER_COMMAND else COLLECTING.working(topic)
    event: Any = FakeEvent(name, key, told[1], told[0])
    async with open_desk() as desk, desk.poster() as poster:
        work: Any = DeskWork(desk.table, desk.waiting, crash_at=0)
        try:
            await poster.on_events([(event, work)])
        except ConnectorError:  # a command for a company that IFS does not show: the poster stops with one line
            assert told[0]["ce_type"] in {b"PostVoucher", b"ReverseVoucher"}
            return
        letters = work.to(COLLECTING.public(topics.DEAD_LETTER))
        assert letters or told[0]["ce_type"] in {b"PostVoucher", b"ReverseVoucher"}
        await desk.hand(poster, command("NEXT-AAAABBBBCCCCDDDDEEEE", account_id="Z"))
        assert len(desk.vouchers("NEXT-AAAABBBBCCCCDDDDEEEE")) == 1


def test_what_has_neither_key_nor_value_can_be_parked() -> None:
    origin = Event("t", 0, 3, None, None, {}, 0.0)
    letter = dead_letter("dead", origin, "empty")
    assert (letter.key, letter.value) == (None, b"")  # Kafka's client refuses to send one with neither


def test_what_is_as_large_as_a_topic_takes_is_parked_without_its_bytes_and_says_so() -> None:
    origin = Event("t", 0, 3, b"A", b"x" * (LARGEST_MESSAGE_BYTES - 1100), {"ce_id": b"e"}, 0.0)
    letter = dead_letter("dead", origin, "not JSON")
    assert (letter.key, letter.value, dict(letter.headers)["dlq.left-out"]) == (b"A", b"", b"true")
    assert record_bytes(letter.key, letter.value, letter.headers) < LARGEST_MESSAGE_BYTES


async def test_the_collector_parks_what_lies_where_nobody_looks_for_it() -> None:
    scene = Scene()
    elsewhere = replace(notified(), partition=1)
    another_key = replace(notified(), key=b"A")
    for event in (elsewhere, another_key):
        work = await scene.notify(event)
        assert [message.topic for message in work.sent] == [COLLECTING.public(topics.DEAD_LETTER)]
    assert scene.zuora.asked == []


async def test_an_outcome_or_a_request_under_another_accounts_key_is_parked() -> None:
    world = World()
    world.map("A", account("A"))
    world.map("10", product("ANL"))
    capture(world, invoice(1, "A"))
    await world.settle()
    before = world.history("Invoice:inv-1")
    wish = ReplayRequested(**WISH)
    refusal = VoucherRejected(**SUBJECT, reason="r", message="m", advice="a", rejected_at=NOW)
    world.say(NAMES.public(topics.REQUEST), "B", wish)
    world.say(NAMES.public(topics.VOUCHER), "B", refusal)
    await world.settle()
    reasons = [one.headers["dlq.reason"].decode() for one in world.log.all(DEAD_LETTERS)]
    assert reasons == ["not under the key of its account, which is A"] * 2
    assert world.history("Invoice:inv-1") == before


async def test_new_state_passes_over_what_is_parked() -> None:
    world = World()
    other = next(number for number in range(PARTITIONS) if number != partition_of(b"A", PARTITIONS))
    event = account("A")
    headers = [("ce_type", type(event).__name__.encode()), ("ce_id", b"m")]
    world.log.append(NAMES.public(topics.MAPPING), key=b"A", value=encode(event), headers=headers, partition=other)
    world.map("10", product("ANL"))
    capture(world, invoice(1, "A"))
    await world.start_anew()
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.MAPPING_MISSING
    assert len(world.log.all(DEAD_LETTERS)) == 1

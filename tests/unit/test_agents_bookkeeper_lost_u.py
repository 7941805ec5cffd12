"""A payment whose voucher stands, whose change of U waits, and whose document the log loses before it is its turn."""

from collections.abc import Awaitable, Callable, Collection

import pytest

from agents.bookkeeper import bookkeeper
from agents.runtime import Event
from schemas import topics
from schemas.audit import Record
from schemas.base import Status, utc_now
from schemas.errors import TopicsError
from schemas.requests import ReplayRequested, SettlementRecorded
from streams.requests import Word, replay_messages
from streams.views.replay import Replay, plan
from tests.support.bookkeeping import (
    DEAD_LETTERS,
    DOCUMENTS,
    MAPPINGS,
    World,
    account,
    after,
    ask,
    capture,
    card_payment,
    cash,
    invoice,
    product,
    unapplied,
)
from tests.support.ledger import COMMANDS, NAMES

CHART_COPIES, RELEASES = NAMES.working(topics.CHART_COPY), NAMES.working(topics.RELEASE)
NOTIFICATIONS = NAMES.public(topics.NOTIFICATION)
PAYMENT = "Payment:pay-1"
Lost = Callable[[pytest.MonkeyPatch], Awaitable[World]]
BOOKED = {"1930": 500, "1510": -400, "2420": -100}


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held documents are read again from the log, one record a piece."""
    monkeypatch.setattr("agents.bookkeeper.rows.HELD_BYTES_MAX", 10)
    monkeypatch.setattr(bookkeeper, "RELEASED_AT_ONCE", 1)


def lose(world: World, monkeypatch: pytest.MonkeyPatch, event: Event) -> None:
    """Let the log have lost an event, for who reads it there, reads its topic whole, or meets its events in turn."""
    lost, read = (event.topic, event.partition, event.offset), world.log.read

    async def read_or_refuse(places: Collection[tuple[str, int, int]]) -> list[bytes | None]:
        if lost in places:
            raise TopicsError(f"the log has no record {lost} any more")
        return await read(places)

    everything, handle = world.log.all, world.handle

    async def handle_or_pass(one: Event) -> None:
        if (one.topic, one.partition, one.offset) == lost:
            world.cursors[one.topic, one.partition] += 1
        else:
            await handle(one)

    monkeypatch.setattr(world, "handle", handle_or_pass)
    monkeypatch.setattr(world.log, "read", read_or_refuse)
    monkeypatch.setattr(
        world.log,
        "all",
        lambda topic: [one for one in everything(topic) if (one.topic, one.partition, one.offset) != lost],
    )


async def without_its_mapping(monkeypatch: pytest.MonkeyPatch) -> World:
    """The account of unapplied cash is mapped once the log has lost who waits for it."""
    world = World()
    for key, mapping in (("A", account("A")), ("10", cash("EUR")), ("10", product("ANL"))):
        world.map(key, mapping)
    await after(world, card_payment("0.00"), card_payment("100.00"))
    assert world.status(PAYMENT) is Status.MAPPING_MISSING
    lose(world, monkeypatch, world.log.all(DOCUMENTS)[-1])
    world.map("10", unapplied())
    await world.settle()
    assert world.status(PAYMENT) is Status.MAPPING_MISSING
    return world


async def in_its_turn(monkeypatch: pytest.MonkeyPatch) -> World:
    """The change comes between two pieces of a release, so that it waits its turn in it, and its record is `posted`."""
    world = World()
    for key, mapping in (("A", account("A")), ("10", cash("EUR")), ("10", unapplied())):
        world.map(key, mapping)
    await after(world, card_payment("0.00"), invoice(1, "A"), invoice(2, "A"))
    world.map("10", product("ANL"))
    for among in (MAPPINGS, CHART_COPIES):
        await world.handle_all([among])
    capture(world, card_payment("100.00"), "u")
    await world.handle_all([DOCUMENTS])
    lose(world, monkeypatch, world.log.all(DOCUMENTS)[-1])
    await world.settle()
    assert world.status(PAYMENT) is Status.POSTED
    return world


BEFORE = pytest.mark.parametrize("lost", [without_its_mapping, in_its_turn])


def as_listed(world: World) -> Record:
    """Return a record as the lists of command line and console have it."""
    told = world.history(PAYMENT)[-1]
    return Record.model_validate({name: getattr(told, name) for name in Record.model_fields})


def replay_by_command_line(world: World) -> None:
    """Ask for a fresh fetch as `zuora-ifs replay --record … --refetch` does."""
    replay = Replay(refetch=True)
    word = Word(actor="eva", at=utc_now(), reason="lost by the log", process="cli")
    for message in replay_messages(NAMES, plan(as_listed(world), replay), replay, word):
        world.log.append(message.topic, key=message.key, value=message.value, headers=message.headers)


async def fetched(world: World, u: str = "100.00") -> None:
    """Let the collector answer the one fetch that was asked for."""
    assert len(world.log.all(NOTIFICATIONS)) == 1
    capture(world, card_payment(u), "fetched anew")
    await world.settle()


async def says_nothing_more(world: World) -> None:
    """See that no reset, no mapping that comes again, and no new app id books anything more."""
    sent, status = len(world.log.all(COMMANDS)), world.status(PAYMENT)
    world.map("10", unapplied())
    await world.settle()
    world.cursors.clear()
    await world.settle()
    assert (len(world.log.all(COMMANDS)), world.status(PAYMENT)) == (sent, status)
    await world.start_anew()
    await world.settle()
    assert (len(world.log.all(COMMANDS)), world.status(PAYMENT)) == (sent, status)


@BEFORE
async def test_it_says_so_and_a_fresh_fetch_books_the_change_once(lost: Lost, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await lost(monkeypatch)
    told = world.history(PAYMENT)[-1].note or ""
    assert told.endswith("any more; `zuora-ifs replay --refetch` fetches it again")
    replay_by_command_line(world)
    await world.settle()
    await fetched(world)
    assert world.nets()[PAYMENT] == BOOKED
    assert world.status(PAYMENT) is Status.POSTED
    assert [command.record_id for command in world.commands()].count(PAYMENT) == 2
    await says_nothing_more(world)
    assert world.nets()[PAYMENT] == BOOKED


@BEFORE
async def test_a_change_that_zuora_has_taken_back_by_then_is_not_booked(
    lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await lost(monkeypatch)
    replay_by_command_line(world)
    await world.settle()
    await fetched(world, "0.00")
    assert world.status(PAYMENT) is Status.POSTED
    assert [command.record_id for command in world.commands()].count(PAYMENT) == 1
    await says_nothing_more(world)


@BEFORE
async def test_who_asks_about_it_without_a_fresh_fetch_is_told_and_nothing_is_settled_or_sent(
    lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await lost(monkeypatch)
    before = world.status(PAYMENT)
    for wish, more in ((ReplayRequested, {}), (SettlementRecorded, {"voucher": "x"})):
        ask(world, PAYMENT, wish, **more)
        await world.settle()
        last = world.history(PAYMENT)[-1]
        assert (last.status, last.actor) == (before, "eva")
        assert last.note
    assert world.log.all(DEAD_LETTERS) == []
    replay_by_command_line(world)
    await world.settle()
    await fetched(world)
    assert world.nets()[PAYMENT] == BOOKED


@BEFORE
async def test_the_newer_change_that_zuora_tells_of_by_itself_is_booked_from_what_stands(
    lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await lost(monkeypatch)
    await after(world, card_payment("350.00"))
    assert world.nets()[PAYMENT] == {"1930": 500, "1510": -150, "2420": -350}
    await says_nothing_more(world)


@BEFORE
async def test_a_new_app_id_before_the_fresh_fetch_books_nothing_and_the_fetch_books_it_once(
    lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New state knows of no change; the list still says `mapping-missing`, and that is what a person asks about."""
    world = await lost(monkeypatch)
    sent = len(world.log.all(COMMANDS))
    await world.start_anew()
    await world.settle()
    assert len(world.log.all(COMMANDS)) == sent
    replay_by_command_line(world)
    await world.settle()
    await fetched(world)
    assert world.nets()[PAYMENT] == BOOKED
    await says_nothing_more(world)


async def test_a_change_of_u_that_waits_for_an_outcome_and_is_lost_is_told_and_booked_by_a_fresh_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    for key, mapping in (("A", account("A")), ("10", cash("EUR")), ("10", unapplied())):
        world.map(key, mapping)
    await world.settle()
    world.hold_answers()
    await after(world, card_payment("0.00"), card_payment("100.00"))
    lose(world, monkeypatch, world.log.all(DOCUMENTS)[-1])
    world.answer()
    await world.settle()

    told = world.history(PAYMENT)[-1]
    assert told.status is Status.POSTED
    assert (told.note or "").startswith("its newest document cannot be read")
    sent = len(world.commands())
    await after(world, card_payment("100.00"))  # as a fresh fetch gives it
    assert (world.status(PAYMENT), len(world.commands())) == (Status.POSTED, sent + 1)

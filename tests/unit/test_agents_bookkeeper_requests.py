"""What people ask for: replays, settlements, a fetch anew."""

from datetime import date
from typing import Any

import pytest

from schemas import topics
from schemas.base import DocumentType, Status
from schemas.envelope import decode, decode_any
from schemas.mappings import PostingRuleSet
from schemas.notifications import NotificationReceived
from schemas.requests import CorrectionRequested, ReplayRequested, SettlementRecorded
from streams.accounting.decisions import SEEN_AGAIN
from tests.support.bookkeeping import (
    PARTITIONS,
    REQUESTS,
    World,
    account,
    after,
    ask,
    capture,
    card_payment,
    invoice,
    mapped_world,
    product,
    unreadable,
)
from tests.support.ledger import NAMES, NOW

CHART_COPIES = NAMES.working(topics.CHART_COPY)
A_DAY_LATER = NOW.replace(day=NOW.day + 2)


async def test_a_refused_voucher_is_posted_when_a_person_replays_it() -> None:
    world = await mapped_world()
    world.refuse.add("10")
    capture(world, invoice(1, "A"))
    await world.settle()
    world.refuse.clear()
    ask(world, "Invoice:inv-1", ReplayRequested)
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED
    assert world.commands()[0].reference == world.commands()[1].reference


async def test_a_refused_voucher_that_is_fetched_anew_is_sent_as_the_fetched_document_has_it() -> None:
    world = await mapped_world()
    world.refuse.add("10")
    capture(world, invoice(1, "A"))
    await world.settle()
    world.refuse.clear()
    ask(world, "Invoice:inv-1", ReplayRequested, refetch=True, date=date(2026, 4, 1))
    await world.settle()
    assert len(world.commands()) == 1
    (asked,) = world.log.all(NAMES.public(topics.NOTIFICATION))
    assert decode(NotificationReceived, asked.value).object_id == "inv-1"
    capture(world, invoice(1, "A"))  # the same content, so the same event id
    await world.settle()
    first, second = world.commands()
    assert (first.reference, second.voucher_date) == (second.reference, date(2026, 4, 1))
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_a_draft_that_is_posted_in_zuora_by_then_is_posted_when_fetched_again() -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A", status="Draft"))
    await world.settle()
    capture(world, invoice(1, "A", status="Draft"))
    await world.settle()
    assert world.history("Invoice:inv-1")[-1].note == SEEN_AGAIN
    capture(world, invoice(1, "A"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_a_request_that_is_met_again_is_not_acted_on_again() -> None:
    world = await mapped_world()
    world.refuse.add("10")
    capture(world, invoice(1, "A"))
    await world.settle()
    ask(world, "Invoice:inv-1", ReplayRequested)
    await world.settle()
    before = len(world.commands())
    world.cursors.clear()
    await world.settle()
    assert len(world.commands()) == before == 2


async def test_what_was_booked_by_hand_is_ended_and_undone_by_replay() -> None:
    world = World()
    capture(world, invoice(1, "A"))
    await world.settle()
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    last = world.history("Invoice:inv-1")[-1]
    assert (last.status, last.actor) == (Status.SETTLED_BY_HAND, "eva")
    assert "10/M/2026/4711" in (last.reason or "")
    world.map("A", account("A"))
    world.map("10", product("ANL"))
    await world.settle()
    assert world.commands() == []
    ask(world, "Invoice:inv-1", ReplayRequested)
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED


@pytest.mark.parametrize("wish", [ReplayRequested, SettlementRecorded])
async def test_a_wish_about_what_is_posted_changes_nothing(wish: type[Any]) -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A"))
    await world.settle()
    ask(world, "Invoice:inv-1", wish, **({"voucher": "x"} if wish is SettlementRecorded else {}))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED
    assert len(world.commands()) == 1
    assert world.history("Invoice:inv-1")[-1].note


async def test_what_was_captured_more_than_a_day_ago_is_fetched_anew_before_it_is_released() -> None:
    world = await mapped_world()
    off = PostingRuleSet(company="*", document_type=DocumentType.INVOICE, post=False, actor="eva", at=NOW)
    world.map("*", off)
    await world.settle()
    capture(world, invoice(1, "A"))
    await world.settle()
    world.now = A_DAY_LATER
    world.map("*", off.model_copy(update={"post": True}))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CAPTURED
    (asked,) = world.log.all(NAMES.public(topics.NOTIFICATION))
    wanted = decode(NotificationReceived, asked.value)
    assert (wanted.object_id, wanted.origin) == ("inv-1", "release")
    capture(world, invoice(1, "A"), "fetched anew")
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_what_was_captured_long_ago_is_fetched_anew_also_when_it_has_to_wait_its_turn() -> None:
    world = await mapped_world()
    off = PostingRuleSet(company="*", document_type=DocumentType.PAYMENT, post=False, actor="eva", at=NOW)
    world.map("*", off)
    await world.settle()
    capture(world, invoice(1, "A", sku="LATE"))
    await world.settle()
    capture(world, card_payment("500.00"))
    await world.settle()
    world.now = A_DAY_LATER
    for key, mapping in (("*", off.model_copy(update={"post": True})), ("10", product("LATE"))):
        await world.handle(world.map(key, mapping))
        for number in range(PARTITIONS):
            await world.handle(world.log.topics[CHART_COPIES][number][-1])
    await world.settle()  # the rule releases the payment first, but the invoice is on its way out and before it
    assert world.status("Invoice:inv-1") is Status.POSTED
    assert world.status("Payment:pay-1") is Status.CAPTURED
    assert [command.record_id for command in world.commands()] == ["Invoice:inv-1"]
    (asked,) = world.log.all(NAMES.public(topics.NOTIFICATION))
    assert decode(NotificationReceived, asked.value).object_id == "pay-1"


async def test_a_request_for_a_record_that_nobody_knows_goes_to_the_dead_letters() -> None:
    world = World()
    await world.settle()
    wish = ReplayRequested(record_id="Invoice:none", account_id="A", actor="eva", at=NOW, reason="x")
    world.say(REQUESTS, "A", wish, "wish")
    await world.settle()
    (dead,) = world.log.all(NAMES.public(topics.DEAD_LETTER))
    assert isinstance(decode_any(dead.headers, dead.value), ReplayRequested)


@pytest.mark.parametrize(
    ("kind", "said"),
    [(ReplayRequested, "replay"), (CorrectionRequested, "correction"), (SettlementRecorded, "settlement")],
)
async def test_whoever_asks_for_what_cannot_be_read_is_told_so_in_the_record(kind: type[Any], said: str) -> None:
    world = await after(await mapped_world(), invoice(1, "A"), unreadable(invoice(1, "A")))
    before, commands = world.history("Invoice:inv-1")[-1], len(world.commands())

    more = {
        CorrectionRequested: {"posted_fingerprint": before.posted_fingerprint or "", "document_fingerprint": ""},
        SettlementRecorded: {"voucher": "10/M/2026/4712"},
    }
    ask(world, "Invoice:inv-1", kind, **more.get(kind, {}))
    await world.settle()

    told = world.history("Invoice:inv-1")[-1]
    assert (told.status, told.reason, told.actor) == (before.status, before.reason, "eva")
    assert told.note == (
        f"{said} refused: its newest document cannot be read (amount: not a decimal number); "
        "mend it in Zuora, then replay it with a fresh fetch"
    )
    assert (len(world.commands()), world.log.all(NAMES.public(topics.DEAD_LETTER))) == (commands, [])


@pytest.mark.parametrize("anew", [False, True])
async def test_a_replay_undoes_a_settlement_though_the_newest_document_cannot_be_read(*, anew: bool) -> None:
    world = await mapped_world()
    world.refuse.add("10")
    await after(world, invoice(1, "A"), unreadable(invoice(1, "A")))
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    world.refuse.clear()
    ask(world, "Invoice:inv-1", ReplayRequested)
    await world.settle()
    if anew:
        await world.start_anew()
        await world.settle()
    told = world.history("Invoice:inv-1")[-1]
    assert (told.status, told.reason) == (Status.FAILED, "amount: not a decimal number")
    capture(world, invoice(1, "A"), "mended")
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_the_same_content_again_after_posting_is_seen_again() -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    await world.settle()
    capture(world, card_payment("500.00"), "again")
    await world.settle()
    assert world.history("Payment:pay-1")[-1].note == SEEN_AGAIN


async def test_what_is_booked_by_hand_before_a_fetch_that_was_asked_for_comes_is_not_posted_by_that() -> None:
    world = await mapped_world()
    world.refuse.add("10")
    capture(world, invoice(1, "A"))
    await world.settle()
    world.refuse.clear()
    ask(world, "Invoice:inv-1", ReplayRequested, refetch=True)
    await world.settle()
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    capture(world, invoice(1, "A"), "fetched again")
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.SETTLED_BY_HAND
    assert len(world.commands()) == 1


async def test_a_refused_correction_leaves_what_is_held_waiting() -> None:
    world = World()
    capture(world, invoice(1, "A"))
    await world.settle()
    ask(world, "Invoice:inv-1", CorrectionRequested, posted_fingerprint="seen", document_fingerprint="before")
    await world.settle()
    assert "correction refused" in (world.history("Invoice:inv-1")[-1].note or "")
    for key, mapping in (("A", account("A")), ("10", product("ANL"))):
        world.map(key, mapping)
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_new_state_knows_what_was_booked_by_hand() -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A", sku="LATE"))
    await world.settle()
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    world.map("10", product("LATE"))
    await world.settle()
    before = world.history("Invoice:inv-1")[-1]
    await world.start_anew()
    await world.settle()
    capture(world, invoice(1, "A", sku="LATE"), "fetched again")
    await world.settle()
    assert (world.status("Invoice:inv-1"), world.commands()) == (Status.SETTLED_BY_HAND, [])
    assert world.history("Invoice:inv-1")[-1].reason == before.reason


async def test_new_state_sends_nothing_again_for_a_request_that_was_answered() -> None:
    world = await mapped_world()
    world.refuse.add("10")
    capture(world, invoice(1, "A"))
    await world.settle()
    ask(world, "Invoice:inv-1", ReplayRequested)
    await world.settle()
    world.refuse.clear()
    sent = len(world.log.all(NAMES.public(topics.VOUCHER_COMMAND)))
    await world.start_anew()
    await world.settle()
    assert len(world.log.all(NAMES.public(topics.VOUCHER_COMMAND))) == sent == 2
    assert world.status("Invoice:inv-1") is Status.REJECTED
    ask(world, "Invoice:inv-1", ReplayRequested, date=date(2026, 4, 1))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_new_state_undoes_a_settlement_that_a_replay_undid() -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A", sku="LATE"))
    await world.settle()
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    ask(world, "Invoice:inv-1", ReplayRequested)
    await world.settle()
    await world.start_anew()
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.MAPPING_MISSING
    world.map("10", product("LATE"))
    await world.settle()
    assert (world.status("Invoice:inv-1"), len(world.commands())) == (Status.POSTED, 1)


async def test_what_was_booked_by_hand_after_a_change_stays_so_when_it_is_fetched_again() -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A"))
    await world.settle()
    capture(world, invoice(1, "A", amount="80.00"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CHANGED_AFTER_POSTING
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    capture(world, invoice(1, "A", amount="80.00"), "fetched again")
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.SETTLED_BY_HAND
    capture(world, invoice(1, "A", amount="70.00"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CHANGED_AFTER_POSTING


@pytest.mark.parametrize("refetch", [False, True])
async def test_a_replay_of_what_was_booked_by_hand_after_a_change_shows_the_change_again(*, refetch: bool) -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A"))
    await world.settle()
    capture(world, invoice(1, "A", amount="80.00"))
    await world.settle()
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    ask(world, "Invoice:inv-1", ReplayRequested, refetch=refetch)
    await world.settle()
    if refetch:
        capture(world, invoice(1, "A", amount="80.00"), "fetched again")
        await world.settle()
    assert world.status("Invoice:inv-1") is Status.CHANGED_AFTER_POSTING
    assert len(world.commands()) == 1


async def test_a_document_that_nobody_can_read_is_ended_when_a_person_booked_it_by_hand() -> None:
    world = await mapped_world()
    whole = invoice(1, "A")
    capture(world, unreadable(whole))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.FAILED
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.SETTLED_BY_HAND
    capture(world, whole)
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.SETTLED_BY_HAND
    assert world.commands() == []

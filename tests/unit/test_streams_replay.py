"""What a dry run tells of a replay is what then happens, for records of every status."""

import pytest

from schemas import topics
from schemas.audit import Record
from schemas.base import DocumentType, Model, Status
from schemas.envelope import decode, decode_any, event_id
from schemas.mappings import PostingRuleSet
from schemas.notifications import DocumentCaptured, NotificationReceived
from schemas.requests import CorrectionRequested, SettlementRecorded
from schemas.vouchers import PostingProgressed, VoucherSubject
from streams.requests import Word, replay_messages
from streams.views.records import record_after
from streams.views.replay import Action, Replay, plan
from tests.support.bookkeeping import World, account, ask, capture, invoice, mapped_world, product, unreadable
from tests.support.ledger import NAMES, NOW
from tests.support.projecting import step

NUMBERS = {status: number for number, status in enumerate(Status, 1)}
LATER = NOW.replace(hour=15)
WORD = Word("eva", LATER, "as told", "test")
UNTOUCHED = {
    *(Status.RECEIVED, Status.FETCHED, Status.READY, Status.POSTING, Status.UNCERTAIN),
    *(Status.POSTED, Status.CORRECTED, Status.CHANGED_AFTER_POSTING),
}
"""A replay without a fetch sends nothing for these."""


def name_of(status: Status) -> str:
    return f"Invoice:inv-{NUMBERS[status]}"


def document_of(status: Status) -> DocumentCaptured:
    """The newest document of the record of a status."""
    number = NUMBERS[status]
    match status:
        case Status.MAPPING_MISSING | Status.SETTLED_BY_HAND:
            return invoice(number, "A", sku="LATE")
        case Status.REJECTED:
            return invoice(number, "REFUSED", sku="ANL")
        case Status.CAPTURED:
            return invoice(number, "CAPTURED")
        case Status.NOT_POSTED:
            return invoice(number, "A", status="Draft")
        case Status.FAILED:
            return unreadable(invoice(number, "A"))
        case Status.CHANGED_AFTER_POSTING | Status.CORRECTED:
            return invoice(number, "A", amount="80.00")
    return invoice(number, "A")


async def a_record_of_each_status() -> World:
    """A world in which each status of the bookkeeper's has one record; what is on its way stays there."""
    world = await mapped_world()
    for name, company in (("REFUSED", "20"), ("CAPTURED", "30")):
        world.map(name, account(name, company))
    world.map("20", product("ANL", "20"))
    world.map("30", PostingRuleSet(company="30", document_type=DocumentType.INVOICE, post=False, actor="eva", at=NOW))
    world.refuse.add("20")
    for status in (Status.CHANGED_AFTER_POSTING, Status.CORRECTED):
        capture(world, invoice(NUMBERS[status], "A"))
    await world.settle()
    on_its_way = (Status.READY, Status.POSTING, Status.UNCERTAIN)
    for status in Status:
        if status not in {Status.RECEIVED, Status.FETCHED, *on_its_way}:
            capture(world, document_of(status))
    await world.settle()
    last = world.history(name_of(Status.CORRECTED))[-1]
    prints = {"posted_fingerprint": last.posted_fingerprint, "document_fingerprint": last.document_fingerprint}
    ask(world, name_of(Status.CORRECTED), CorrectionRequested, **prints)
    ask(world, name_of(Status.SETTLED_BY_HAND), SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    world.hold_answers()
    for status in on_its_way:
        capture(world, document_of(status))
    await world.settle()
    for command in world.commands():
        if command.record_id in {name_of(Status.UNCERTAIN), name_of(Status.READY)}:
            subject = {name: getattr(command, name) for name in VoucherSubject.model_fields}
            progress = "uncertain" if command.record_id == name_of(Status.UNCERTAIN) else "posting"
            event = PostingProgressed(**subject, progress=progress, reason="no answer", at=NOW)
            if progress == "uncertain":
                world.say(NAMES.working(topics.POSTING_PROGRESS), command.account_id, event)
    await world.settle()
    return world


def record_of(world: World, status: Status) -> Record:
    if status in {Status.RECEIVED, Status.FETCHED}:
        return record_after(step(name_of(status), status.value))
    if status is Status.READY:  # for an instant only: a command on its way is `posting`
        return record_after(world.history(name_of(status))[-1].model_copy(update={"status": Status.READY}))
    return record_after(world.history(name_of(status))[-1])


def fetches(world: World) -> list[str]:
    notified = world.log.all(NAMES.public(topics.NOTIFICATION))
    return [decode(NotificationReceived, event.value).object_id for event in notified]


async def replayed(world: World, status: Status, replay: Replay) -> Action:
    """Replay a record as its dry run says, let the collector fetch what is to be fetched; return what was told."""
    planned = plan(record_of(world, status), replay)
    before = len(fetches(world))
    for message in replay_messages(NAMES, planned, replay, WORD):
        event: Model = decode_any(dict(message.headers), message.value)
        world.say(message.topic, (message.key or b"").decode(), event, dict(message.headers)["ce_id"].decode())
    await world.settle()
    for object_id in fetches(world)[before:]:
        assert object_id == record_of(world, status).document_id
        capture(world, document_of(status), event_id("again", object_id))
    await world.settle()
    return planned.action


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("refetch", [False, True])
async def test_what_a_dry_run_tells_is_what_happens(status: Status, *, refetch: bool) -> None:
    world = await a_record_of_each_status()
    assert record_of(world, status).status is status
    seen, sent, fetched = world.history(name_of(status)), len(world.commands()), len(fetches(world))

    action = await replayed(world, status, Replay(refetch=refetch))

    steps = world.history(name_of(status))[len(seen) :]
    was_fetched = len(fetches(world)) > fetched
    assert was_fetched is (action is Action.FETCH)
    commands = world.commands()[sent:]
    # Nothing that is in IFS, or may be, is posted again; what was refused is, and what was not evaluated before.
    never_sent = {Status.REJECTED, *({Status.RECEIVED, Status.FETCHED} if refetch else ())}
    assert [command.record_id for command in commands] == ([name_of(status)] if status in never_sent else [])
    match action:
        case Action.NOTHING | Action.LOOK_UP:
            assert status in UNTOUCHED
            assert steps == []
        case Action.EVALUATE:
            assert status not in UNTOUCHED
            assert steps[0].actor == "eva"
            assert steps[-1].status is {Status.REJECTED: Status.POSTING}.get(status, Status.MAPPING_MISSING)
        case Action.FETCH if status in UNTOUCHED:
            assert refetch
            assert {one.status for one in steps} <= {status, Status.READY, Status.POSTING}
        case Action.FETCH:
            assert steps


async def test_what_is_told_of_a_date_holds() -> None:
    world = await a_record_of_each_status()
    replay = Replay(date=LATER.date())
    for status in (Status.FAILED, Status.CAPTURED, Status.NOT_POSTED):
        assert plan(record_of(world, status), replay).reason.endswith("since no voucher waits for one")
    assert await replayed(world, Status.REJECTED, replay) is Action.EVALUATE
    assert world.commands()[-1].voucher_date == LATER.date()

"""Offsets reset to anywhere, and new state made from the log, after any story: nothing is sent, nothing is undone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.base import DocumentType, Status
from schemas.envelope import event_id
from schemas.mappings import PostingRuleSet
from schemas.notifications import DocumentCaptured
from schemas.requests import CorrectionRequested, ReplayRequested, SettlementRecorded
from schemas.topics import NOTHING_TO_POST, NOTIFICATION
from schemas.vouchers import NothingToPost
from streams.accounting.life_cycle import TRANSITIONS
from streams.accounting.wishes import REMEMBERED_REQUESTS
from tests.support.bookkeeping import (
    DEAD_LETTERS,
    DOCUMENTS,
    REQUESTS,
    World,
    account,
    ask,
    capture,
    card_payment,
    cash,
    invoice,
    mapped_world,
    product,
    unapplied,
)
from tests.support.ledger import COMMANDS, NAMES, NOW
from tests.support.memos_and_refunds import memo, memo_refund, posting, refund

MAPPINGS = {
    "account A": ("A", account("A")),
    "account B": ("B", account("B")),
    "a product that comes to nothing": ("10", product("ANL", gl_account="1510")),
    "product": ("10", product("ANL")),
    "late product": ("10", product("LATE")),
    "cash": ("10", cash("EUR")),
    "an unapplied that comes to nothing": ("10", unapplied(gl_account="1510")),
    "unapplied": ("10", unapplied()),
    "unapplied on cash": ("10", unapplied(gl_account="1930")),
    "invoices off": (
        "*",
        PostingRuleSet(company="*", document_type=DocumentType.INVOICE, post=False, actor="eva", at=NOW),
    ),
    "invoices on": (
        "*",
        PostingRuleSet(company="*", document_type=DocumentType.INVOICE, post=True, actor="eva", at=NOW),
    ),
}
MAPPINGS |= {f"{kind} posted": ("*", posting(kind)) for kind in DocumentType if kind is not DocumentType.INVOICE}
NOTIFICATIONS, NOTHING = NAMES.public(NOTIFICATION), NAMES.public(NOTHING_TO_POST)
NOTHING_OF_A = b"""{"recordId": "Invoice:inv-1", "documentType": "Invoice", "accountId": "A", "company": "10",
 "fingerprint": "f", "documentOffset": 0, "at": "2026-03-01T12:00:00Z"}"""
Step = tuple[str, Any]

INVOICES = st.tuples(
    st.sampled_from(["100.00", "80.00"]),
    st.sampled_from(["ANL", "LATE"]),
    st.sampled_from(["Posted", "Posted", "Draft"]),
)
PAYMENTS = st.tuples(st.sampled_from(["500.00", "100.00", "0"]), st.sampled_from(["A", "A", "B"]))
OTHERS = st.sampled_from(
    [
        *(refund(amount, status=status) for amount in ("500.00", "200.00") for status in ("Processed", "Canceled")),
        *(memo(DocumentType.CREDIT_MEMO, "50.00", status=status) for status in ("Posted", "Draft")),
        memo(DocumentType.CREDIT_MEMO, "60.00"),
        memo_refund("50.00"),
    ]
)
STEP = st.one_of(
    st.tuples(st.just("invoice"), INVOICES),
    st.tuples(st.just("payment"), PAYMENTS),
    st.tuples(st.just("other"), OTHERS),
    st.tuples(st.just("mode"), st.sampled_from(["shadow", "live"])),
    st.tuples(st.just("gone"), st.sampled_from(["Invoice:inv-1", "Payment:pay-1", "Refund:ref-1"])),
    st.tuples(st.just("map"), st.sampled_from(sorted(MAPPINGS))),
    st.tuples(st.just("ask"), st.sampled_from(["correct", "replay", "settle"])),
    st.tuples(st.sampled_from(["refuse", "allow", "hold answers", "answer", "reset"]), st.none()),
)
STEPS = st.lists(st.tuples(STEP, st.booleans()), min_size=3, max_size=16)
"""What happens, and whether all is handled before the next thing does."""


@dataclass
class Story:
    """What Zuora, people and IFS do, told to a world; the collector's part is done here."""

    world: World
    accounts: dict[str, list[str]] = field(default_factory=dict)
    last: dict[str, DocumentCaptured] = field(default_factory=dict)
    told: int = 0

    async def tell(self, kind: str, what: Any) -> None:
        """Let one thing happen."""
        self.told += 1
        if document := self.document(kind, what):
            self.capture(document)
        match kind:
            case "map":
                self.world.map(*MAPPINGS[what])
            case "mode":
                await self.world.switch(what)
            case "ask":
                if what == "settle":  # refused where it is not allowed, and new state cannot know that
                    await self.world.settle()
                self.ask(what)
                if what == "settle":
                    await self.world.settle()
            case _ if kind in (at_once := self.at_once()):
                at_once[kind]()

    def document(self, kind: str, what: Any) -> DocumentCaptured | None:
        """Return the document that a step tells of, if it is one."""
        match kind:
            case "invoice":
                amount, sku, status = what
                return invoice(1, "A", amount=amount, sku=sku, status=status)
            case "payment":
                u, account_id = what
                return card_payment(u, account_id=account_id)
            case "other":
                accounts = self.accounts.get("Payment:pay-1", ["A"]) if what.record_id == "Refund:ref-1" else ["A"]
                return what.model_copy(update={"account_id": accounts[-1]})
            case "gone" if what in self.last:
                return self.last[what].model_copy(update={"gone": True, "document": {}})
        return None

    def at_once(self) -> dict[str, Callable[[], None]]:
        """Return what a step does that takes no time."""
        world = self.world
        return {
            "refuse": lambda: world.refuse.add("10"),
            "allow": world.refuse.clear,
            "hold answers": world.hold_answers,
            "answer": world.answer,
            "reset": lambda: reset(world),
        }

    def capture(self, document: DocumentCaptured) -> None:
        """Append a document for all accounts that know it, as the collector does."""
        known = self.accounts.setdefault(document.record_id, [])
        both = dict.fromkeys([*known, document.account_id])
        if document.gone:
            document = document.model_copy(update={"account_id": known[-1]})
            both.pop(document.account_id, None)
            both[document.account_id] = None
        else:
            known.append(document.account_id)
            former = tuple(name for name in both if name != document.account_id)
            document = document.model_copy(update={"former_account_ids": former})
        document = document.model_copy(update={"fetched_at": NOW + timedelta(seconds=self.told)})
        self.last[document.record_id] = document
        for key in [name for name in both if name != document.account_id] + [document.account_id]:
            self.world.say(DOCUMENTS, key, document, f"document-{self.told}")

    def ask(self, what: str) -> None:
        """Let a person ask for one thing for every record; a settlement only where it would not be refused."""
        at = NOW + timedelta(seconds=self.told)
        for record in self.last:
            history = self.world.history(record)
            if not history or (what == "settle" and Status.SETTLED_BY_HAND not in TRANSITIONS[history[-1].status]):
                continue
            seen = history[-1]
            shared = {"record_id": record, "account_id": seen.account_id, "actor": "eva", "at": at, "reason": "as told"}
            wish: Any = ReplayRequested(**shared)
            if what == "correct":
                gone = "" if self.last[record].gone else seen.document_fingerprint or ""
                wish = CorrectionRequested(
                    **shared, posted_fingerprint=seen.posted_fingerprint or "", document_fingerprint=gone
                )
            elif what == "settle":
                wish = SettlementRecorded(**shared, voucher="10/M/2026/4711")
            self.world.say(REQUESTS, seen.account_id or "", wish, event_id(record, what, str(self.told)))


def reset(world: World) -> None:
    """Rewind every topic's partitions by chance, some to the start."""
    for place in world.cursors:
        world.cursors[place] = world.random.choice([0, world.random.randint(0, world.cursors[place])])


def ledger(story: Story) -> dict[str, Any]:
    world = story.world
    seen = {record: world.history(record) for record in story.last}
    return {
        "commands": len(world.log.all(COMMANDS)),
        "statuses": {record: str(steps[-1].status) for record, steps in seen.items() if steps},
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, seed=st.integers(0, 2**16))
async def test_after_any_story_resets_and_new_state_send_nothing_and_undo_nothing(
    steps: list[tuple[Step, bool]], seed: int
) -> None:
    story = Story(World(seed))
    for (kind, what), is_handled in steps:
        await story.tell(kind, what)
        if is_handled:
            await story.world.settle()
    story.world.answer()
    for name in sorted(MAPPINGS):
        story.world.map(*MAPPINGS[name])
    await story.world.settle()
    story.world.refuse.clear()
    before = ledger(story)
    story.world.cursors.clear()
    await story.world.settle()
    assert ledger(story) == before
    reset(story.world)
    await story.world.settle()
    assert ledger(story) == before

    if any(kind == "mode" for (kind, _), _ in steps):
        return  # what was rehearsed does not count: new state may send it when it meets it again
    await story.world.start_anew()
    await story.world.settle()
    assert ledger(story) == before


# --- new state, case by case --------------------------------------------------------------------------------------


def move_to_b(world: World) -> None:
    """Tell both accounts that the payment belongs to B now."""
    for key in ("A", "B"):
        world.say(DOCUMENTS, key, card_payment("500.00", account_id="B", former=("A",)), "to B")


async def sent_by_new_state(world: World) -> int:
    """Begin under a new app id, when IFS would take everything; return how many commands that sends."""
    world.refuse.clear()
    sent = len(world.log.all(COMMANDS))
    await world.start_anew()
    await world.settle()
    return len(world.log.all(COMMANDS)) - sent


async def test_new_state_posts_no_document_that_zuora_took_back_before_it_was_mapped() -> None:
    world = World()
    capture(world, invoice(1, "A"))
    await world.settle()
    capture(world, invoice(1, "A", status="Draft"))
    await world.settle()
    for key, mapping in (("A", account("A")), ("10", product("ANL"))):
        world.map(key, mapping)
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.NOT_POSTED
    assert await sent_by_new_state(world) == 0
    assert world.status("Invoice:inv-1") is Status.NOT_POSTED


async def test_new_state_posts_nothing_under_an_account_that_a_held_document_left() -> None:
    world = World()
    capture(world, card_payment("500.00"))
    await world.settle()
    move_to_b(world)
    for key in ("A", "B"):
        world.map(key, account(key))
    for rule in (cash("EUR"), unapplied()):
        world.map("10", rule)
    await world.settle()
    assert [command.account_id for command in world.commands()] == ["B"]
    assert await sent_by_new_state(world) == 0


async def test_new_state_follows_a_payments_u_from_where_its_last_voucher_left_it() -> None:
    world = await mapped_world()
    for u in ("500.00", "100.00", "350.00"):
        capture(world, card_payment(u))
        await world.settle()
    assert await sent_by_new_state(world) == 0
    capture(world, card_payment("0"))
    await world.settle()
    assert world.net() == {"1930": Decimal(500), "1510": Decimal(-500)}


async def test_new_state_sends_no_refused_voucher_again_whichever_state_of_the_document_was_refused_last() -> None:
    world = await mapped_world()
    world.refuse.add("10")
    for amount in ("100.00", "80.00", "70.00"):
        capture(world, invoice(1, "A", amount=amount))
        await world.settle()
    assert await sent_by_new_state(world) == 0
    assert world.status("Invoice:inv-1") is Status.REJECTED


async def test_new_state_does_not_post_what_was_booked_by_hand_under_the_account_that_it_moved_to() -> None:
    world = World()
    for name in ("A", "B"):
        world.map(name, account(name))
    capture(world, card_payment("500.00"))
    await world.settle()
    move_to_b(world)
    await world.settle()
    ask(world, "Payment:pay-1", SettlementRecorded, voucher="10/M/2026/4711")
    for rule in (cash("EUR"), unapplied()):
        world.map("10", rule)
    await world.settle()
    assert await sent_by_new_state(world) == 0
    assert world.status("Payment:pay-1") is Status.SETTLED_BY_HAND


async def test_new_state_fetches_anew_what_was_captured_long_ago_before_it_is_released() -> None:
    world = await mapped_world()
    world.map(*MAPPINGS["invoices off"])
    await world.settle()
    capture(world, invoice(1, "A"))
    await world.settle()
    world.now = NOW + timedelta(days=2)
    assert await sent_by_new_state(world) == 0
    world.map(*MAPPINGS["invoices on"])
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CAPTURED
    assert len(world.log.all(NOTIFICATIONS)) == 1


async def test_a_wish_of_long_ago_that_is_met_again_undoes_nothing_of_later_ones() -> None:
    world = await mapped_world()
    world.refuse.add("10")
    capture(world, invoice(1, "A"))
    await world.settle()
    for day in range(1, REMEMBERED_REQUESTS + 2):
        ask(world, "Invoice:inv-1", ReplayRequested, date=date(2026, 4, day))
        await world.settle()
    ask(world, "Invoice:inv-1", SettlementRecorded, voucher="10/M/2026/4711")
    await world.settle()
    sent = len(world.log.all(COMMANDS))
    world.cursors.clear()
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.SETTLED_BY_HAND
    assert len(world.log.all(COMMANDS)) == sent


# --- what came to nothing -----------------------------------------------------------------------------------------


async def test_new_state_posts_nothing_that_came_to_nothing_under_the_mapping_of_its_day() -> None:
    world = await mapped_world()
    world.map("10", product("ANL", gl_account="1510"))
    await world.settle()
    for amount in ("100.00", "80.00"):
        capture(world, invoice(1, "A", amount=amount))
    await world.settle()
    world.map("10", product("ANL"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.NOT_POSTED
    assert await sent_by_new_state(world) == 0
    assert world.status("Invoice:inv-1") is Status.NOT_POSTED
    capture(world, invoice(1, "A", amount="70.00"))
    await world.settle()
    assert world.net() == {"1510": Decimal(70), "3010": Decimal(-70)}


async def test_new_state_books_no_change_of_u_that_came_to_nothing_under_the_mapping_of_its_day() -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    world.map("10", unapplied(gl_account="1510"))
    await world.settle()
    capture(world, card_payment("100.00"))
    await world.settle()
    world.map("10", unapplied())
    await world.settle()
    assert await sent_by_new_state(world) == 0
    capture(world, card_payment("0"))
    await world.settle()
    assert [command.unapplied for command in world.commands()] == [Decimal("500.00"), Decimal(0)]
    assert world.posted[world.commands()[-1].command_id].amount == 100


async def test_new_state_leaves_alone_what_came_to_nothing_in_the_account_that_it_moved_to() -> None:
    world = World()
    capture(world, card_payment("500.00"))
    await world.settle()
    move_to_b(world)
    for key in ("A", "B"):
        world.map(key, account(key))
    for rule in (cash("EUR"), unapplied(gl_account="1930")):
        world.map("10", rule)
    await world.settle()
    assert world.status("Payment:pay-1") is Status.NOT_POSTED
    world.map("10", unapplied())
    await world.settle()
    assert await sent_by_new_state(world) == 0


async def test_what_a_replay_found_to_be_nothing_stays_so_in_new_state() -> None:
    world = await mapped_world()
    world.refuse.add("10")
    capture(world, invoice(1, "A"))
    await world.settle()
    world.map("10", product("ANL", gl_account="1510"))
    await world.settle()
    ask(world, "Invoice:inv-1", ReplayRequested)
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.NOT_POSTED
    world.map("10", product("ANL"))
    await world.settle()
    assert await sent_by_new_state(world) == 0
    assert world.status("Invoice:inv-1") is Status.NOT_POSTED


async def test_new_state_knows_a_payment_as_corrected_whose_change_of_u_had_come_to_nothing_before() -> None:
    world = await mapped_world()
    world.map("10", unapplied(gl_account="1510"))
    for u in ("500.00", "100.00"):
        capture(world, card_payment(u))
        await world.settle()
    capture(world, card_payment("100.00").model_copy(update={"gone": True, "document": {}}))
    await world.settle()
    seen = world.history("Payment:pay-1")[-1]
    fingerprints = {"posted_fingerprint": seen.posted_fingerprint or "", "document_fingerprint": ""}
    ask(world, "Payment:pay-1", CorrectionRequested, **fingerprints)
    await world.settle()
    assert world.status("Payment:pay-1") is Status.CORRECTED
    assert await sent_by_new_state(world) == 0
    assert world.status("Payment:pay-1") is Status.CORRECTED


async def test_what_cannot_be_read_of_what_came_to_nothing_is_parked() -> None:
    world = await mapped_world()
    world.say(NOTHING, "B", NothingToPost.model_validate_json(NOTHING_OF_A), "under another key")
    await world.settle()
    assert len(world.log.all(DEAD_LETTERS)) == 1
    assert await sent_by_new_state(world) == 0

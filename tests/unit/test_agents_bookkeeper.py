"""The bookkeeper as a whole, on a log in memory: holds, releases in order, survives crashes between any two effects."""

import random
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.bookkeeper.bookkeeper import RELEASED_AT_ONCE, Bookkeeper
from agents.bookkeeper.rows import BUILT, Tables
from agents.runtime import Event
from schemas import topics
from schemas.audit import RecordStatusChanged
from schemas.base import DocumentType, Model, Status
from schemas.envelope import Envelope, decode, encode, event_id
from schemas.mappings import AccountMappingRemoved, AccountMappingSet, ChartRuleSet, PostingRuleSet
from schemas.notifications import DocumentCaptured
from schemas.topics import TopicNames
from schemas.vouchers import PostVoucher, VoucherPosted, VoucherRejected, VoucherSubject
from streams.accounting.bookkeeping import SEEN_AGAIN
from streams.settings import IfsSettings
from tests.support.memory_log import MemoryLog, MemoryTable, MemoryWork

NAMES = TopicNames(prefix="", app_id="test")
PARTITIONS = 3
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DOCUMENTS, COMMANDS = NAMES.public(topics.DOCUMENT), NAMES.public(topics.VOUCHER_COMMAND)
AUDIT, MAPPINGS, VOUCHERS = NAMES.public(topics.AUDIT), NAMES.public(topics.MAPPING), NAMES.public(topics.VOUCHER)


class World:
    """A bookkeeper over all partitions, a log, and an IFS that posts what it is asked to."""

    def __init__(self, seed: int = 0, crash_every: int = 0) -> None:
        self.log = MemoryLog(PARTITIONS, single=[COMMANDS])
        self.tables = [MemoryTable() for _ in range(4)]
        self.random = random.Random(seed)  # noqa: S311 - a plan that can be run again
        self.crash_every = crash_every
        self.cursors: Counter[tuple[str, int]] = Counter()
        self.posted: dict[str, VoucherPosted] = {}
        self.refuse: set[str] = set()
        self._answered = 0
        self.bookkeeper = self._new()

    def _new(self) -> Bookkeeper:
        tables: Any = Tables(*self.tables)  # type: ignore[arg-type]
        return Bookkeeper(
            names=NAMES,
            tables=tables,
            partitions=PARTITIONS,
            ifs=IfsSettings(user_group="INT"),
            read_documents=self.log.read,
            clock=lambda: NOW,
        )

    async def start(self) -> None:
        self.bookkeeper = self._new()
        for number in range(PARTITIONS):
            self._enter(number)
            await self.bookkeeper.assigned(number)

    def _enter(self, number: int) -> None:
        for table in self.tables:
            table.here = number
            table.pending.clear()

    def say(self, topic: str, key: str, event: Model, name: str | None = None) -> Event:
        """Append an event as its writer would."""
        envelope = Envelope(name or event_id(repr(event)), type(event).__name__, "/test", key, NOW)
        return self.log.append(topic, key=key.encode(), value=encode(event), headers=envelope.headers())

    async def settle(self) -> None:
        """Handle everything until nothing is left to do, crashing on the way as often as asked."""
        await self.start()
        while (event := self._next()) is not None or self._ifs():
            if event is not None:
                await self._handle(event)

    def _next(self) -> Event | None:
        waiting = [
            (topic, number)
            for topic in self.bookkeeper.topics
            for number in range(PARTITIONS)
            if self.cursors[topic, number] < len(self.log.topics[topic][number])
        ]
        if not waiting:
            return None
        topic, number = self.random.choice(waiting)
        return self.log.topics[topic][number][self.cursors[topic, number]]

    async def _handle(self, event: Event) -> None:
        self._enter(event.partition)
        await self.bookkeeper.on_event(event, MemoryWork(self.log, event.partition))  # type: ignore[arg-type]
        fate = self.random.randrange(3 * self.crash_every) if self.crash_every else -1
        if fate == 0:  # sent, but what was written is lost
            await self.start()
            return
        for table in self.tables:
            table.keep()
        self.cursors[event.topic, event.partition] += 1
        if fate == 1:  # written, but the commit was far behind
            for place in self.cursors:
                self.cursors[place] -= self.random.randrange(min(self.cursors[place], 5) + 1)
            await self.start()

    def _ifs(self) -> bool:
        """Answer the next command as the poster does: once per command id, whatever it meets twice."""
        commands = self.log.topics[COMMANDS][0]
        if self._answered == len(commands):
            return False
        command = decode(PostVoucher, commands[self._answered].value)
        self._answered += 1
        subject = {name: getattr(command, name) for name in VoucherSubject.model_fields}
        if command.company in self.refuse:
            no: Model = VoucherRejected(
                **subject, reason="period-closed", message="closed", advice="reopen", rejected_at=NOW
            )
            self.say(VOUCHERS, command.account_id, no, event_id("no", command.command_id))
        elif command.command_id not in self.posted:
            self.posted[command.command_id] = posted = VoucherPosted(
                **subject,
                voucher_type="M",
                accounting_year=2026,
                voucher_no=len(self.posted) + 1,
                voucher_date=command.voucher_date,
                currency=command.currency,
                company_currency=command.currency,
                rate=Decimal(1),
                conversion_factor=Decimal(1),
                amount=sum((row.debit or Decimal(0) for row in command.rows), Decimal(0)),
                rows=command.rows,
                posted_at=NOW,
            )
            self.say(VOUCHERS, command.account_id, posted, event_id("yes", command.command_id))
        return True

    def history(self, record_id: str) -> list[RecordStatusChanged]:
        """Return a record's steps, repeats dropped as subscribers do."""
        steps = {event.headers["ce_id"]: event for event in self.log.all(AUDIT) if event.key == record_id.encode()}
        return [decode(RecordStatusChanged, event.value) for event in steps.values()]

    def status(self, record_id: str) -> Status:
        return self.history(record_id)[-1].status


def invoice(
    number: int, account: str, *, sku: str = "ANL", amount: str = "100.00", status: str = "Posted"
) -> DocumentCaptured:
    item = {"id": f"item-{number}", "chargeAmount": amount, "sku": sku, "processingType": "Charge", "taxAmount": "0"}
    return DocumentCaptured(
        record_id=f"Invoice:inv-{number}",
        document_type=DocumentType.INVOICE,
        document_id=f"inv-{number}",
        document_number=f"INV{number:05}",
        account_id=account,
        account_number="A1",
        account_name="Nordic Example AB",
        currency="EUR",
        amount=Decimal(amount),
        received_at=NOW,
        fetched_at=NOW,
        document={
            "id": f"inv-{number}",
            "invoiceNumber": f"INV{number:05}",
            "accountId": account,
            "status": status,
            "invoiceDate": "2026-03-01",
            "currency": "EUR",
            "amount": amount,
            "taxAmount": "0",
            "items": [item],
        },
    )


def account(account_id: str, company: str = "10") -> AccountMappingSet:
    return AccountMappingSet(account_id=account_id, company=company, gl_account="1510", actor="eva", at=NOW)


def product(sku: str, company: str = "10") -> ChartRuleSet:
    return ChartRuleSet(
        company=company, kind="product", match_on="sku", match_value=sku, gl_account="3010", actor="eva", at=NOW
    )


def capture(world: World, document: DocumentCaptured, name: str | None = None) -> None:
    world.say(DOCUMENTS, document.account_id, document, name or event_id(repr(document)))


async def test_a_mapped_document_goes_from_fetched_to_posted_step_by_step() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    capture(world, invoice(1, "A"))
    await world.settle()

    steps = world.history("Invoice:inv-1")
    assert [(step.previous, step.status) for step in steps] == [
        (Status.FETCHED, Status.READY),
        (Status.READY, Status.POSTING),
        (Status.POSTING, Status.POSTED),
    ]
    assert steps[-1].voucher is not None
    assert steps[-1].company == "10"


async def test_a_held_document_names_every_gap_and_is_released_by_the_last_mapping() -> None:
    world = World()
    capture(world, invoice(1, "A"))
    await world.settle()
    assert [gap.kind for gap in world.history("Invoice:inv-1")[-1].missing] == ["account"]
    world.say(MAPPINGS, "A", account("A"))
    await world.settle()
    (gap,) = world.history("Invoice:inv-1")[-1].missing
    assert (gap.kind, gap.company, gap.match_on, gap.key) == ("product", "10", "sku", "ANL")
    assert not world.posted
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_one_mapping_releases_thousands_in_the_order_of_their_documents() -> None:
    world = World()
    count = 2 * RELEASED_AT_ONCE + 7
    world.say(MAPPINGS, "10", product("ANL"))
    for number in range(count):
        capture(world, invoice(number, "A"))
    await world.settle()
    world.say(MAPPINGS, "A", account("A"))
    await world.settle()
    assert [posted.record_id for posted in world.posted.values()] == [f"Invoice:inv-{n}" for n in range(count)]


async def test_a_new_document_joins_the_end_of_its_accounts_running_release() -> None:
    world = World()
    world.say(MAPPINGS, "10", product("ANL"))
    for number in range(RELEASED_AT_ONCE + 1):
        capture(world, invoice(number, "A"))
    await world.settle()
    mapping = world.say(MAPPINGS, "A", account("A"))
    await world._handle(mapping)  # the release is queued, nothing of it is done
    late = invoice(9999, "A")
    capture(world, late)
    (document,) = [event for event in world.log.all(DOCUMENTS) if b"inv-9999" in (event.value or b"")]
    await world._handle(document)
    assert world.history("Invoice:inv-9999") == []
    world.cursors[DOCUMENTS, document.partition] = document.offset + 1
    await world.settle()
    assert list(world.posted.values())[-1].record_id == "Invoice:inv-9999"


async def test_the_same_document_again_adds_a_line_and_no_voucher() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    capture(world, invoice(1, "A"), "first")
    await world.settle()
    capture(world, invoice(1, "A"), "second")
    await world.settle()
    last = world.history("Invoice:inv-1")[-1]
    assert (last.status, last.note) == (Status.POSTED, SEEN_AGAIN)
    assert len(world.posted) == 1


async def test_a_document_changed_after_posting_posts_nothing_by_itself() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    capture(world, invoice(1, "A"))
    await world.settle()
    capture(world, invoice(1, "A", amount="80.00"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CHANGED_AFTER_POSTING
    assert len(world.posted) == 1


async def test_a_change_while_the_voucher_is_on_its_way_waits_for_the_outcome() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    world._answered = 10_000  # IFS does not answer yet
    capture(world, invoice(1, "A"))
    while (event := world._next()) is not None:
        await world._handle(event)
    capture(world, invoice(1, "A", amount="80.00"))
    while (event := world._next()) is not None:
        await world._handle(event)
    assert world.status("Invoice:inv-1") is Status.POSTING
    world._answered = 0
    world.refuse.add("10")
    await world.settle()
    # Refused, so the newer state takes its place, and is refused in its turn.
    assert [decode(PostVoucher, event.value).rows[0].debit for event in world.log.all(COMMANDS)] == [
        Decimal("100.00"),
        Decimal("80.00"),
    ]
    assert world.status("Invoice:inv-1") is Status.REJECTED


async def test_a_refused_voucher_holds_nobody_up() -> None:
    world = World()
    world.refuse.add("20")
    for name, company in (("A", "20"), ("B", "10")):
        world.say(MAPPINGS, name, account(name, company))
        world.say(MAPPINGS, company, product("ANL", company))
    await world.settle()
    capture(world, invoice(1, "A"))
    capture(world, invoice(2, "B"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.REJECTED
    assert world.history("Invoice:inv-1")[-1].reason == "period-closed: closed"
    assert world.status("Invoice:inv-2") is Status.POSTED


async def test_a_removed_mapping_holds_what_comes_after_it() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    world.say(MAPPINGS, "A", AccountMappingRemoved(account_id="A", actor="eva", at=NOW))
    await world.settle()
    capture(world, invoice(1, "A"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.MAPPING_MISSING


async def test_a_rule_that_is_switched_on_releases_what_it_kept_back() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    off = PostingRuleSet(company="*", document_type=DocumentType.INVOICE, post=False, actor="eva", at=NOW)
    world.say(MAPPINGS, "*", off)
    await world.settle()
    capture(world, invoice(1, "A"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CAPTURED
    world.say(MAPPINGS, "*", off.model_copy(update={"post": True}))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_a_draft_ends_as_not_posted_with_the_reason() -> None:
    world = World()
    capture(world, invoice(1, "A", status="Draft"))
    await world.settle()
    last = world.history("Invoice:inv-1")[-1]
    assert (last.status, last.reason) == (Status.NOT_POSTED, "Draft in Zuora")


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"not json", "not a DocumentCaptured"), (b"{}", "not a DocumentCaptured"), (None, "not a DocumentCaptured")],
)
async def test_what_cannot_be_read_goes_to_the_dead_letters_whole(value: bytes | None, reason: str) -> None:
    world = World()
    world.log.append(DOCUMENTS, key=b"A", value=value, headers=[("ce_type", b"DocumentCaptured")])
    await world.settle()
    (dead,) = world.log.all(NAMES.public(topics.DEAD_LETTER))
    assert (dead.key, dead.value) == (b"A", value)
    assert dead.headers["dlq.reason"].decode().startswith(reason)


async def test_a_record_in_another_partition_than_its_keys_goes_to_the_dead_letters() -> None:
    world = World()
    document = invoice(1, "A")
    right = world.say(DOCUMENTS, "A", document).partition
    world.log.append(DOCUMENTS, key=b"A", value=encode(document), partition=(right + 1) % PARTITIONS)
    await world.settle()
    (dead,) = world.log.all(NAMES.public(topics.DEAD_LETTER))
    assert "not in the partition of its key" in dead.headers["dlq.reason"].decode()


async def test_a_reset_of_offsets_changes_nothing() -> None:
    world = World()
    capture(world, invoice(1, "A"))
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    capture(world, invoice(2, "A", sku="OTHER"))
    await world.settle()
    before = {name: [step.status for step in world.history(name)] for name in ("Invoice:inv-1", "Invoice:inv-2")}
    commands = len(world.log.all(COMMANDS))
    world.cursors.clear()
    await world.settle()
    after = {name: [step.status for step in world.history(name)] for name in ("Invoice:inv-1", "Invoice:inv-2")}
    assert before == after
    assert len(world.log.all(COMMANDS)) == commands


ACCOUNTS, SKUS = ("A", "B", "C", "D"), ("ANL", "SVC")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("document"), st.sampled_from(ACCOUNTS), st.sampled_from(SKUS)),
        st.tuples(st.just("account"), st.sampled_from(ACCOUNTS), st.just("")),
        st.tuples(st.just("product"), st.just(""), st.sampled_from(SKUS)),
        st.tuples(st.just("settle"), st.just(""), st.just("")),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 2**16))
async def test_whatever_crashes_every_document_has_exactly_one_voucher(
    steps: list[tuple[str, str, str]], seed: int
) -> None:
    world = World(seed, crash_every=8)
    documents: list[str] = []
    for kind, account_id, sku in steps:
        if kind == "document":
            documents.append(account_id)
            capture(world, invoice(len(documents), account_id, sku=sku))
        elif kind == "account":
            world.say(MAPPINGS, account_id, account(account_id))
        elif kind == "product":
            world.say(MAPPINGS, "10", product(sku))
        else:
            await world.settle()
    for account_id in ACCOUNTS:
        world.say(MAPPINGS, account_id, account(account_id))
    for sku in SKUS:
        world.say(MAPPINGS, "10", product(sku))
    await world.settle()
    records = [f"Invoice:inv-{number}" for number in range(1, len(documents) + 1)]
    assert Counter(posted.record_id for posted in world.posted.values()) == Counter(records)
    assert [world.status(record) for record in records] == [Status.POSTED] * len(records)
    assert all(BUILT not in table.states[0] for table in world.tables)  # nothing here built new state

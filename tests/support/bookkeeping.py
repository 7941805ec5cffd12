"""A bookkeeper over all its partitions, on a log in memory, with an IFS that posts what it is asked to."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from agents.bookkeeper.beginning import Beginning
from agents.bookkeeper.bookkeeper import Bookkeeper
from agents.bookkeeper.rows import Tables
from agents.bookkeeper.said import Said
from agents.runtime import Event
from schemas import topics
from schemas.audit import RecordStatusChanged
from schemas.base import DocumentType, Model, Status
from schemas.envelope import decode, decode_any, event_id
from schemas.mappings import AccountMappingSet, ChartRuleSet
from schemas.notifications import DocumentCaptured
from schemas.requests import CorrectionRequested
from schemas.vouchers import (
    PostVoucher,
    ReverseVoucher,
    VoucherRow,
)
from streams.log.reader import LogRecord, Position
from streams.settings import IfsSettings
from tests.support.ledger import COMMANDS, NAMES, NOW, Ledger
from tests.support.memory_log import MemoryLog, MemoryTable, MemoryWork

PARTITIONS = 3
DOCUMENTS = NAMES.public(topics.DOCUMENT)
AUDIT, MAPPINGS = NAMES.public(topics.AUDIT), NAMES.public(topics.MAPPING)
REQUESTS = NAMES.public(topics.REQUEST)
DEAD_LETTERS = NAMES.public(topics.DEAD_LETTER)


class World(Ledger):
    """Kafka, the bookkeeper and IFS in one, with crashes on order.

    `crash_every` n lets one in n events end in a crash: after what was sent, before what was written; or with commits
    left far behind; or, with `freezes`, after what was sent, of which the commands arrive whenever `deliver_late` says.
    The plan follows from `seed`.
    """

    def __init__(self, seed: int = 0, crash_every: int = 0, *, freezes: bool = False) -> None:
        super().__init__(MemoryLog(PARTITIONS, single=[COMMANDS]))
        self.tables = [MemoryTable() for _ in range(4)]
        self.random = random.Random(seed)  # noqa: S311 - a plan that can be run again
        self.crash_every = crash_every
        self.freezes = freezes
        self.late: list[Event] = []
        """Commands that a frozen worker has sent, and that have not arrived."""
        self.cursors: Counter[tuple[str, int]] = Counter()
        self.bookkeeper = self._new()

    def _new(self) -> Bookkeeper:
        self.said = Said(NAMES, partitions=PARTITIONS, read=self._read_from, ends=self._ends, read_values=self.log.read)
        tables: Any = Tables(*self.tables)  # type: ignore[arg-type]
        return Bookkeeper(
            names=NAMES,
            tables=tables,
            partitions=PARTITIONS,
            ifs=IfsSettings(user_group="INT", mode=self.mode),
            read_values=self.log.read,
            said=self.said,
            clock=lambda: self.now,
        )

    async def start(self) -> None:
        """Begin as a worker does that gets all partitions."""
        self.bookkeeper = self._new()
        beginning = Beginning(self.bookkeeper, NAMES, self._read, self.said)
        await beginning(frozenset(range(PARTITIONS)), self._open)

    async def start_anew(self) -> None:
        """Begin under a new app id: nothing is in the tables, nothing is committed."""
        self.tables = [MemoryTable() for _ in range(4)]
        self.cursors.clear()
        self.refused.clear()
        self.records.clear()
        for own in (NAMES.working(name) for name in (topics.HANDED_OVER, topics.CHART_COPY, topics.RELEASE)):
            self.log.topics.pop(own, None)  # they begin with the app id
        await self.start()

    async def switch(self, mode: Literal["live", "shadow"]) -> None:
        """Stop everything and start it again in another mode."""
        self.mode = mode
        await self.start()

    @asynccontextmanager
    async def _open(self, number: int) -> AsyncIterator[Any]:
        self._enter(number)
        yield MemoryWork(self.log, number)
        self._keep()

    async def _read(self, topic: str, partitions: Collection[int] | None) -> AsyncIterator[list[LogRecord]]:
        yield [
            LogRecord(
                topic,
                one.partition,
                one.offset,
                one.key,
                one.value,
                one.headers,
                NOW + timedelta(seconds=one.timestamp),
            )
            for one in self.log.all(topic)
            if partitions is None or one.partition in partitions
        ]

    async def _read_from(self, topic: str, offsets: Mapping[Position, int]) -> AsyncIterator[list[LogRecord]]:
        async for records in self._read(topic, None):
            yield [one for one in records if one.offset >= offsets.get((topic, one.partition), 0)]

    async def _ends(self, names: Collection[str]) -> Mapping[Position, int]:
        return {(name, number): len(self.log.topics[name][number]) for name in names for number in range(PARTITIONS)}

    def _enter(self, number: int) -> None:
        for table in self.tables:
            table.here = number
            table.pending.clear()

    def _keep(self) -> None:
        for table in self.tables:
            table.keep()

    def map(self, key: str, event: Model) -> Event:
        """Append a mapping or rule; each is an event of its own, whatever was said before."""
        return self.say(MAPPINGS, key, event, event_id(repr(event), str(len(self.log.all(MAPPINGS)))))

    async def settle(self) -> None:
        """Handle everything until nothing is left to do, crashing on the way as often as asked."""
        await self.start()
        patience = 20_000
        while (event := self.next_event()) is not None or self._ifs():
            if event is not None:
                await self.handle(event)
            patience -= 1
            assert patience, "it never comes to rest"

    async def handle_all(self, among: Sequence[str]) -> None:
        """Handle everything in these topics and nothing else; IFS answers nothing meanwhile."""
        while (event := self.next_event(among)) is not None:
            await self.handle(event)

    def next_event(self, among: Sequence[str] | None = None) -> Event | None:
        """Return an event that is next in some partition of these topics, or of all; which one is chance."""
        waiting = [
            (topic, number)
            for topic in (self.bookkeeper.topics if among is None else among)
            for number in range(PARTITIONS)
            if self.cursors[topic, number] < len(self.log.topics[topic][number])
        ]
        if not waiting:
            return None
        topic, number = self.random.choice(waiting)
        return self.log.topics[topic][number][self.cursors[topic, number]]

    async def handle(self, event: Event) -> None:
        """Handle an event, and crash if it is time to."""
        sent_before = len(self.log.topics[COMMANDS][0])
        self._enter(event.partition)
        await self.bookkeeper.on_event(event, MemoryWork(self.log, event.partition))  # type: ignore[arg-type]
        fate = self.random.randrange(3 * self.crash_every) if self.crash_every else -1
        if fate == 2 and self.freezes:
            await self.freeze(sent_before)
            return
        if fate == 0:  # sent, but what was written is lost
            await self.start()
            return
        self._keep()
        self.cursors[event.topic, event.partition] += 1
        if fate == 1:  # written, but the commit was far behind
            for place in self.cursors:
                self.cursors[place] -= self.random.randrange(min(self.cursors[place], 5) + 1)
            await self.start()

    async def freeze(self, sent_before: int) -> None:
        """Let the worker be taken for dead with the commands from this place on not on their way yet."""
        self.late += self.log.topics[COMMANDS][0][sent_before:]
        del self.log.topics[COMMANDS][0][sent_before:]
        await self.start()

    def deliver_late(self) -> None:
        """Let a command arrive that a frozen worker had sent, if there is one."""
        if self.late:
            command = self.late.pop(self.random.randrange(len(self.late)))
            self.log.append(COMMANDS, key=command.key, value=command.value, headers=command.headers)

    def rewind(self, topic: str) -> None:
        """Reset the offsets of a topic to the earliest."""
        for number in range(PARTITIONS):
            self.cursors[topic, number] = 0

    def commands(self) -> list[PostVoucher | ReverseVoucher]:
        """Return the commands, each once, in their order."""
        read = [decode_any(event.headers, event.value) for event in self.log.topics[COMMANDS][0]]
        once = {command.command_id: command for command in read if isinstance(command, PostVoucher | ReverseVoucher)}
        return list(once.values())

    def history(self, record_id: str) -> list[RecordStatusChanged]:
        """Return a record's steps, repeats dropped as subscribers do."""
        steps = {event.headers["ce_id"]: event for event in self.log.all(AUDIT) if event.key == record_id.encode()}
        return [decode(RecordStatusChanged, event.value) for event in steps.values()]

    def status(self, record_id: str) -> Status:
        """Return a record's present status."""
        return self.history(record_id)[-1].status


def invoice(
    number: int, account: str, *, sku: str = "ANL", amount: str = "100.00", status: str = "Posted"
) -> DocumentCaptured:
    """An invoice of one item, without tax."""
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
    """Map an account to 1510."""
    return AccountMappingSet(account_id=account_id, company=company, gl_account="1510", actor="eva", at=NOW)


def product(sku: str, company: str = "10", *, gl_account: str = "3010") -> ChartRuleSet:
    """Map an article to 3010."""
    return ChartRuleSet(
        company=company, kind="product", match_on="sku", match_value=sku, gl_account=gl_account, actor="eva", at=NOW
    )


def cash(currency: str, company: str = "10") -> ChartRuleSet:
    """Map the cash of a currency to 1930."""
    return ChartRuleSet(company=company, kind="cash", currency=currency, gl_account="1930", actor="eva", at=NOW)


def unapplied(company: str = "10", *, gl_account: str = "2420") -> ChartRuleSet:
    """Map unapplied payments to 2420."""
    return ChartRuleSet(company=company, kind="unapplied", gl_account=gl_account, actor="eva", at=NOW)


def capture(world: World, document: DocumentCaptured, name: str | None = None) -> None:
    """Append a document as the collector does."""
    world.say(DOCUMENTS, document.account_id, document, name or event_id(repr(document)))


async def after(world: World, *documents: DocumentCaptured) -> World:
    """Capture documents one after the other, each carried to its end; the same one may come again."""
    for document in documents:
        capture(world, document, f"{document.record_id} {len(world.log.all(DOCUMENTS))}")
        await world.settle()
    return world


def unreadable(document: DocumentCaptured) -> DocumentCaptured:
    """Return a document as one that accounting cannot read."""
    return document.model_copy(update={"document": document.document | {"amount": "no number"}})


def card_payment(
    u: str, *, name: str = "pay-1", account_id: str = "A", former: tuple[str, ...] = ()
) -> DocumentCaptured:
    """A card payment of 500.00 with this much of it unapplied."""
    return DocumentCaptured(
        record_id=f"Payment:{name}",
        document_type=DocumentType.PAYMENT,
        document_id=name,
        document_number=name.upper(),
        account_id=account_id,
        currency="EUR",
        amount=Decimal("500.00"),
        former_account_ids=former,
        received_at=NOW,
        fetched_at=NOW,
        document={
            "id": name,
            "number": name.upper(),
            "accountId": account_id,
            "type": "Electronic",
            "status": "Processed",
            "amount": "500.00",
            "unappliedAmount": u,
            "creditBalanceAmount": "0",
            "currency": "EUR",
            "gatewayId": "GW1",
            "effectiveDate": "2026-03-06",
            "updatedDate": "2026-03-11 10:00:00",
            "parts": [],
        },
    )


async def mapped_world() -> World:
    """Accounts A and B, an article, cash and unapplied payments are mapped."""
    world = World()
    for name in ("A", "B"):
        world.map(name, account(name))
    for rule in (product("ANL"), cash("EUR"), unapplied()):
        world.map("10", rule)
    await world.settle()
    return world


def ask(world: World, record: str, kind: type[Any], **more: Any) -> None:
    account_id = world.history(record)[-1].account_id or ""
    wish = kind(record_id=record, account_id=account_id, actor="eva", at=NOW, reason="as told", **more)
    world.say(REQUESTS, account_id, wish, event_id(repr(wish)))


def rows(world: World) -> list[list[str]]:
    """Every voucher's rows, in the order of their commands: account, side, amount."""
    return [[_row(row) for row in command.rows] for command in world.commands()]


def _row(row: VoucherRow) -> str:
    return f"{row.account} Dr {row.debit}" if row.debit is not None else f"{row.account} Cr {row.credit}"


def correct(world: World, record: str, **more: Any) -> None:
    seen = world.history(record)[-1]
    ask(
        world,
        record,
        CorrectionRequested,
        posted_fingerprint=seen.posted_fingerprint or "",
        document_fingerprint=seen.document_fingerprint or "",
        **more,
    )


async def refused_change_of_u(world: World | None = None) -> World:
    """A payment is posted with U 500.00; that 100.00 are left of it IFS has refused."""
    world = await after(world or await mapped_world(), card_payment("500.00"))
    world.refuse.add("10")
    await after(world, card_payment("100.00"))
    assert world.status("Payment:pay-1") is Status.REJECTED
    world.refuse.clear()
    return world

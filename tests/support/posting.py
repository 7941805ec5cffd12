"""A poster at work on an IFS sandbox: a desk that survives posters, commands, and what came of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from pydantic import SecretStr

from agents.poster.pauses import Pauses
from agents.poster.poster import Poster
from deploy.sandbox.ifs.app import create_app
from deploy.sandbox.ifs.settings import IfsSettings as SandboxSettings
from deploy.sandbox.ifs.state import IfsSandbox
from deploy.sandbox.serving import listening
from schemas import topics
from schemas.base import DocumentType, Model, utc_now
from schemas.envelope import event_id
from schemas.topics import WAITING_ENTRY, TopicNames
from schemas.vouchers import (
    KnownRate,
    PostingProgressed,
    PostVoucher,
    ReverseVoucher,
    VoucherNumber,
    VoucherPosted,
    VoucherRejected,
    VoucherRow,
)
from streams.clocks import steady_seconds
from streams.log.messages import Message
from streams.settings import IfsSettings
from streams.systems.budget import RateBudget
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.service import budget_of, connected, token_source
from streams.systems.retry import BackOff
from tests.support.fakes import CrashError, FakeEvent, FakeTable, FakeWork, decoded, fake_event, header

NAMES = TopicNames("", "zuora-ifs")
COMMANDS = NAMES.public(topics.VOUCHER_COMMAND)
OUTCOMES = NAMES.public(topics.VOUCHER)
RETRIES = NAMES.working(topics.POSTING_RETRY)
PROGRESS = NAMES.working(topics.POSTING_PROGRESS)
SET = r"VoucherHandling\.svc/VoucherSet"
LOOKS = {"voucher-set": SET, "entry-assistant": r"VouchersAnalysis\.svc/VoucherSet"}
"""Where the hold table is looked at, by the way of posting."""
BOOKS = {"voucher-set": r"VoucherHandling\.svc/(VoucherSet|\$batch)", "entry-assistant": r"VoucherEntry_CreateVoucher"}
"""The one request that books: a voucher or a batch of them."""
LEDGER = "GenLedVoucherRowSet"
PATIENCE_SECONDS = 45.0
"""How long a waiting room may take to empty, on a busy machine."""

ROWS = (
    VoucherRow(account="1510", code_parts={"B": "100"}, debit=Decimal("100.00"), text="INV1 receivable A1"),
    VoucherRow(account="2610", credit=Decimal("20.00"), text="INV1 tax"),
    VoucherRow(account="3010", code_parts={"B": "100"}, credit=Decimal("33.33"), text="INV1 revenue"),
    VoucherRow(account="3020", code_parts={"B": "200"}, credit=Decimal("46.67"), text="INV1 revenue"),
)


def command(reference: str = "INV1-AAAABBBBCCCCDDDDEEEE", **changes: Any) -> PostVoucher:
    facts: dict[str, Any] = {
        "command_id": event_id("command", reference), "app_id": "zuora-ifs", "record_id": f"Invoice:{reference}",
        "document_type": DocumentType.INVOICE, "account_id": "A1", "reference": reference, "fingerprint": "f",
        "document_offset": 1, "company": "10", "voucher_type": "M", "voucher_date": date(2026, 7, 3),
        "rate_date": date(2026, 7, 3), "user_group": "INT", "text": "INV1", "currency": "EUR", "currency_type": "1",
        "rows": ROWS, "rest_row": 3,
    }  # fmt: skip
    return PostVoucher(**(facts | changes))


def reversal_of(posted: VoucherPosted, **changes: Any) -> ReverseVoucher:
    """The command to reverse a voucher: its amounts with the sides swapped, at its rate."""
    number = VoucherNumber(
        company=posted.company,
        voucher_type=posted.voucher_type,
        accounting_year=posted.accounting_year or 0,
        voucher_no=posted.voucher_no or 0,
    )
    swapped = tuple(
        VoucherRow(
            account=row.account, code_parts=row.code_parts, debit=row.credit, credit=row.debit,
            company_debit=row.company_credit, company_credit=row.company_debit, text=f"reversal {row.text}",
        )
        for row in posted.rows
    )  # fmt: skip
    facts: dict[str, Any] = {
        "command_id": event_id("reversal", posted.reference), "app_id": posted.app_id, "record_id": posted.record_id,
        "document_type": posted.document_type, "account_id": posted.account_id, "reference": f"{posted.reference}-R",
        "fingerprint": posted.fingerprint, "document_offset": posted.document_offset, "company": posted.company,
        "reverses": number, "reverses_reference": posted.reference, "voucher_type": posted.voucher_type,
        "voucher_date": posted.voucher_date, "user_group": "INT", "text": "INV1", "currency": posted.currency,
        "currency_type": "1", "rows": swapped,
        "known_rate": KnownRate(
            company_currency=posted.company_currency, rate=posted.rate,
            conversion_factor=posted.conversion_factor, inverted=posted.inverted,
        ),
    }  # fmt: skip
    return ReverseVoucher(**(facts | changes))


class Fuse:
    """Lets the process die in the so-manieth confirmation, counted from 1 over all works that share it; 0: never."""

    def __init__(self, crash_at: int) -> None:
        self._left = crash_at

    def burn(self) -> None:
        """Count one confirmation."""
        self._left -= 1
        if self._left == 0:
            raise CrashError


class DeskWork(FakeWork):
    """The work of an event that writes two tables."""

    def __init__(
        self,
        table: FakeTable,
        waiting: FakeTable,
        *,
        crash_at: int = 0,
        fuse: Fuse | None = None,
        sent: list[Message] | None = None,
    ) -> None:
        super().__init__(table)
        self._waiting = waiting
        self._fuse = fuse or Fuse(crash_at)
        self._all_sent = [] if sent is None else sent

    def send(self, topic: str, **record: Any) -> None:
        super().send(topic, **record)
        self._all_sent.append(self.sent[-1])

    async def confirmed(self) -> None:
        self._fuse.burn()
        await super().confirmed()
        self._waiting.confirm()


class Desk:
    """A sandbox, a table that outlives posters, and what they sent."""

    def __init__(self, sandbox: IfsSandbox, url: str, posting: str = "voucher-set") -> None:
        self.sandbox = sandbox
        self.posting = posting
        self.table = FakeTable()
        self.waiting = FakeTable()
        self.offset = 0
        self.sent: list[Model] = []
        self.ids: list[str] = []
        self.budget = RateBudget(1)
        self.heard: list[bool] = []
        self.pauses = Pauses()
        self.clock_is_wrong_by = timedelta()
        self.passed_unseen = 0.0
        """Seconds that the clock which nobody sets has run on without anybody waiting for them."""
        self.settings: dict[str, Any] = {
            "base_url": url, "realm": sandbox.settings.realm, "client_id": sandbox.settings.client_id,
            "client_secret": SecretStr(sandbox.settings.client_secret), "settle_seconds": 1, "posting": posting,
        }  # fmt: skip

    def clock(self) -> datetime:
        """What the machine's clock says."""
        return utc_now() + self.clock_is_wrong_by

    def steady(self) -> float:
        """What the clock says that nobody sets."""
        return steady_seconds() + self.passed_unseen

    def is_heard(self) -> bool:
        """Whether Kafka hears the poster: as `heard` says, from its beginning, and then always."""
        return self.heard.pop(0) if self.heard else True

    @asynccontextmanager
    async def poster(
        self, table: FakeTable | None = None, *, most_waiting: int = 5_000, **settings: Any
    ) -> AsyncIterator[Poster]:
        """A poster as a new process would start it: on what the tables have durably."""
        if table is None:
            table = self.table = FakeTable(self.table.durable)
        self.waiting = FakeTable(self.waiting.durable)
        ifs_settings = IfsSettings(**(self.settings | settings))
        async with connected(ifs_settings, token_source(ifs_settings), budget_of(ifs_settings)) as service:
            self.budget = service.budget
            ifs = IfsClient(service, ifs_settings)
            ifs.change_sets.shortest_wait_seconds = 0  # else each voucher of a lost batch would settle a second longer
            yield Poster(
                ifs,
                names=NAMES,
                commands=cast("Any", table),
                waiting=cast("Any", self.waiting),
                most_waiting=most_waiting,
                app_id="zuora-ifs",
                settings=ifs_settings,
                clock=self.clock,
                steady=self.steady,
                back_off=BackOff(first=0.01, longest=0.05),
                is_heard=self.is_heard,
                pauses=self.pauses,
            )

    async def post(self, *commands: PostVoucher | ReverseVoucher, crash_at: int = 0, **settings: Any) -> list[Model]:
        """Let a new poster work through commands and through its waiting room; returns the outcomes that it sent.

        `crash_at` is the confirmation of a command, or of the ticks after the last, in which the process dies.
        """
        async with self.poster(**settings) as poster:
            for each in commands:
                await self.hand(poster, each, crash_at=crash_at)
            await self.until_nobody_waits(poster, crash_at=crash_at)
        return self.outcomes

    async def hand(
        self, poster: Poster, *commands: PostVoucher | ReverseVoucher, crash_at: int = 0, offset: int | None = None
    ) -> None:
        """Hand a poster commands, as the next events of its topic that are there together.

        `offset` is that of the first where they come again.
        """
        first = self.offset + 1 if offset is None else offset
        self.offset = max(self.offset, first + len(commands) - 1)
        events = [
            fake_event(COMMANDS, each.company, each, offset=number) for number, each in enumerate(commands, first)
        ]
        await self._handle(poster, events, crash_at)

    async def tick(self, poster: Poster, *, crash_at: int = 0) -> None:
        """Hand a poster one tick, as the ticker would have sent it."""
        await self._handle(poster, [FakeEvent(RETRIES, b"tick", b"{}")], crash_at)

    async def until_nobody_waits(self, poster: Poster, *, crash_at: int = 0) -> None:
        """Tick whenever somebody is due, until the waiting room is empty."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.in_room:
                left = poster.seconds_until_due  # None while all is paused, and before a new poster has read its room
                await asyncio.sleep(0.02 if left is None else left)
                await self.tick(poster, crash_at=crash_at)

    async def _handle(self, poster: Poster, events: Sequence[FakeEvent], crash_at: int) -> None:
        fuse = Fuse(crash_at)
        sent: list[Message] = []
        works = [DeskWork(self.table, self.waiting, fuse=fuse, sent=sent) for _ in events]
        taken = list(zip(events, works, strict=True))
        try:
            while taken or not all(work.is_handled for work in works):
                await poster.on_events(cast("Any", taken))
                taken = []
            self.table.confirm()
            self.waiting.confirm()
        finally:
            self.sent += [decoded(message) for message in sent]
            self.ids += [header(message, "ce_id") for message in sent]

    def fault(self, kind: str, **wanted: Any) -> None:
        """Order that the POST that books goes wrong, or the look at the hold table (`method="GET"`)."""
        paths = LOOKS if wanted.get("method") == "GET" else BOOKS
        self.sandbox.faults.order({"kind": kind, "path": paths[self.posting], "method": "POST"} | wanted)

    @property
    def in_room(self) -> int:
        """How many commands wait."""
        return sum(key.startswith(WAITING_ENTRY) for key in self.waiting)

    @property
    def in_room_durably(self) -> int:
        """How many commands the next poster would find waiting."""
        return sum(key.startswith(WAITING_ENTRY) for key in self.waiting.durable)

    @property
    def looks(self) -> int:
        """How often the hold table was looked at."""
        return self.sandbox.traffic.by_endpoint["GET " + LOOKS[self.posting].replace("\\", "")]

    @property
    def outcomes(self) -> list[Model]:
        return [event for event in self.sent if not isinstance(event, PostingProgressed)]

    @property
    def progress(self) -> list[str]:
        return [event.progress for event in self.sent if isinstance(event, PostingProgressed)]

    @property
    def posts(self) -> int:
        return self.sandbox.counts["posts"]

    def vouchers(self, reference: str = "INV1-AAAABBBBCCCCDDDDEEEE") -> list[Any]:
        return [voucher for voucher in self.sandbox.ledger.vouchers.values() if reference in voucher.references]


@asynccontextmanager
async def open_desk(*, posting: str = "voucher-set", **settings: Any) -> AsyncIterator[Desk]:
    sandbox = IfsSandbox(SandboxSettings(**settings))
    async with listening(create_app(sandbox)) as url:
        yield Desk(sandbox, url, posting)


def the_posted(outcomes: Sequence[Model]) -> VoucherPosted:
    assert len(outcomes) == 1
    assert isinstance(outcomes[0], VoucherPosted)
    return outcomes[0]


def the_rejected(outcomes: Sequence[Model]) -> VoucherRejected:
    assert len(outcomes) == 1
    assert isinstance(outcomes[0], VoucherRejected)
    return outcomes[0]

"""An account that is mapped to another company in the midst of things: bookkeeper, poster and an IFS sandbox together.

What is posted stays, and is taken back, where it stands; what is not goes to the new company; nothing moves by itself.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from schemas.base import DocumentType, Status
from schemas.envelope import decode_any, event_id
from schemas.notifications import DocumentCaptured
from schemas.requests import ReplayRequested
from schemas.vouchers import PostVoucher, ReverseVoucher, VoucherPosted, VoucherRejected
from tests.support.bookkeeping import (
    DOCUMENTS,
    World,
    account,
    ask,
    capture,
    card_payment,
    cash,
    correct,
    invoice,
    product,
    unapplied,
)
from tests.support.fakes import FakeTable
from tests.support.ledger import COMMANDS, VOUCHERS
from tests.support.memory_log import MemoryWork
from tests.support.memos_and_refunds import posting
from tests.support.posting import Desk, open_desk

INVOICE, PAYMENT, REFUND = "Invoice:inv-1", "Payment:pay-1", "Refund:ref-1"
INVOICED = {"1510": Decimal(100), "3010": Decimal(-100)}
MARCH = (2026, 3)
Ledger = Mapping[str, Mapping[str, Decimal]]


class Books:
    """A bookkeeper whose commands a poster carries to an IFS sandbox, with companies 10 (EUR) and 20 (SEK)."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.world = World()
        self.world.hold_answers()  # the sandbox is the one that answers
        self._taken = 0
        for company in ("10", "20"):
            for rule in (product("ANL", company), cash("EUR", company), unapplied(company)):
                self.world.map(company, rule)
        self.world.map("*", posting(DocumentType.REFUND))
        self.switch("10")

    def switch(self, company: str) -> None:
        """Map the account to a company."""
        self.world.map("A", account("A", company))

    async def settle(self) -> None:
        """Carry everything to its end: decisions, vouchers, and what the outcomes lead to."""
        await self.world.settle()
        while commands := self.new_commands():
            told = len(self.desk.outcomes)
            await self.desk.post(*commands)
            for outcome in self.desk.outcomes[told:]:
                assert isinstance(outcome, VoucherPosted | VoucherRejected)
                self.world.say(VOUCHERS, outcome.account_id, outcome, event_id("outcome", outcome.command_id))
            await self.world.settle()

    def new_commands(self) -> list[PostVoucher | ReverseVoucher]:
        """Take what was sent to the poster since."""
        sent = self.world.log.topics[COMMANDS][0][self._taken :]
        self._taken += len(sent)
        read = [decode_any(one.headers, one.value) for one in sent]
        return [
            one.model_copy(update={"app_id": "zuora-ifs"})
            for one in read
            if isinstance(one, PostVoucher | ReverseVoucher)
        ]

    async def capture(self, *documents: DocumentCaptured) -> None:
        """Capture documents, each carried to its end; the same one may come again."""
        for document in documents:
            capture(self.world, document, f"{document.record_id} {len(self.world.log.all(DOCUMENTS))}")
            await self.settle()

    async def switched(self, company: str) -> None:
        """Map the account to a company, and carry on."""
        self.switch(company)
        await self.settle()

    async def asked(self, record: str, **more: Any) -> None:
        """Replay a record, and carry on."""
        ask(self.world, record, ReplayRequested, **more)
        await self.settle()

    async def corrected(self, record: str, **more: Any) -> None:
        """Correct a record, and carry on."""
        correct(self.world, record, **more)
        await self.settle()

    async def start_anew(self) -> None:
        """Begin under a new app id: bookkeeper and poster know nothing, the log and IFS stay."""
        self.desk.table, self.desk.waiting = FakeTable(), FakeTable()
        await self.world.start_anew()
        await self.settle()

    def ledger(self) -> Ledger:
        """The net per company and account in EUR, the vouchers' own currency; without what is zero."""
        net: dict[str, dict[str, Decimal]] = {}
        for one in self.desk.sandbox.ledger.trial_balance():
            assert one["currency"] == "EUR"
            if one["currencyAmount"]:
                net.setdefault(one["company"], {})[one["account"]] = one["currencyAmount"]
        own = self.desk.sandbox.ledger.trial_balance()
        for company in ("10", "20"):  # to the last öre
            assert sum(one["amount"] for one in own if one["company"] == company) == 0
        return net

    def vouchers(self) -> list[tuple[str, str]]:
        """Company and date of all vouchers in IFS, as they were booked."""
        assert not self.desk.sandbox.ledger.duplicates()
        return [(one.key[0], str(one.header["VoucherDate"])) for one in self.desk.sandbox.ledger.vouchers.values()]

    async def stays_as_it_is(self) -> None:
        """Neither a replay of all that the log has nor new state books anything, or calls anything otherwise."""
        records = [one for one in (INVOICE, PAYMENT, REFUND) if self.world.history(one)]
        before, statuses = self.vouchers(), [self.world.status(one) for one in records]
        self.world.rewind(DOCUMENTS)
        await self.settle()
        assert (self.vouchers(), [self.world.status(one) for one in records]) == (before, statuses)
        await self.start_anew()
        assert self.vouchers() == before


@pytest.fixture
async def books() -> AsyncIterator[Books]:
    async with open_desk() as desk:
        yield Books(desk)


async def test_what_is_posted_stays_where_it_is_and_moves_by_no_replay(books: Books) -> None:
    await books.capture(invoice(1, "A"), card_payment("500.00"))
    await books.switched("20")
    for record in (INVOICE, PAYMENT):
        await books.asked(record)
    await books.capture(invoice(1, "A"), card_payment("500.00"))
    assert [company for company, _ in books.vouchers()] == ["10", "10"]
    await books.stays_as_it_is()
    assert books.vouchers() == [("10", "2026-03-01"), ("10", "2026-03-06")]


async def test_a_correction_reverses_where_the_voucher_stands_and_posts_anew_where_the_account_is_now(
    books: Books,
) -> None:
    await books.capture(invoice(1, "A"))
    await books.switched("20")
    await books.capture(invoice(1, "A", amount="80.00"))
    assert (books.world.status(INVOICE), len(books.vouchers())) == (Status.CHANGED_AFTER_POSTING, 1)
    await books.corrected(INVOICE)
    assert books.world.status(INVOICE) is Status.CORRECTED
    assert [company for company, _ in books.vouchers()] == ["10", "10", "20"]
    assert books.ledger() == {"20": {"1510": Decimal(80), "3010": Decimal(-80)}}
    await books.stays_as_it_is()

    await books.switched("10")  # and back again: what stands in 20 is taken back there
    await books.capture(invoice(1, "A", status="Draft"))
    await books.corrected(INVOICE)
    assert [company for company, _ in books.vouchers()] == ["10", "10", "20", "20"]
    assert books.ledger() == {}
    await books.capture(invoice(1, "A", amount="80.00"))
    assert books.ledger() == {"10": {"1510": Decimal(80), "3010": Decimal(-80)}}
    await books.stays_as_it_is()


async def test_a_reversal_that_a_closed_period_refused_goes_to_the_same_company_with_its_new_date(books: Books) -> None:
    await books.capture(invoice(1, "A"))
    await books.switched("20")
    for company in ("10", "20"):
        books.desk.sandbox.companies[company].closed_periods.add(MARCH)
    await books.capture(invoice(1, "A", amount="80.00"))
    await books.corrected(INVOICE)
    seen = books.world.history(INVOICE)[-1]
    assert (seen.status, len(books.vouchers())) == (Status.CHANGED_AFTER_POSTING, 1)
    assert "period 2026-03 is not open for user group INT in company 10" in (seen.reason or "")

    await books.corrected(INVOICE, date=date(2026, 5, 4))
    assert (books.world.status(INVOICE), books.ledger()) == (Status.REJECTED, {})  # the new one keeps its own date
    await books.asked(INVOICE, date=date(2026, 5, 5))
    assert books.vouchers() == [("10", "2026-03-01"), ("10", "2026-05-04"), ("20", "2026-05-05")]
    assert books.ledger() == {"20": {"1510": Decimal(80), "3010": Decimal(-80)}}
    await books.stays_as_it_is()


async def test_what_was_held_is_posted_in_the_new_company_alone(books: Books) -> None:
    await books.capture(invoice(1, "A", sku="LATE"))
    assert books.world.status(INVOICE) is Status.MAPPING_MISSING
    books.world.map("20", product("LATE", "20"))
    await books.settle()
    assert books.vouchers() == []
    await books.switched("20")
    assert books.ledger() == {"20": INVOICED}
    books.world.map("10", product("LATE", "10"))
    await books.switched("10")
    assert len(books.vouchers()) == 1
    await books.stays_as_it_is()


@pytest.mark.parametrize("anew", [False, True])
async def test_what_was_rejected_waits_for_a_person_and_is_posted_in_the_new_company(
    books: Books, *, anew: bool
) -> None:
    books.desk.sandbox.companies["10"].closed_periods.add(MARCH)
    await books.capture(invoice(1, "A"))
    assert books.world.status(INVOICE) is Status.REJECTED
    await books.switched("20")
    if anew:
        await books.start_anew()
    books.desk.sandbox.companies["10"].closed_periods.clear()
    await books.capture(invoice(1, "A"))
    assert (books.world.status(INVOICE), books.vouchers()) == (Status.REJECTED, [])
    await books.asked(INVOICE)
    assert books.ledger() == {"20": INVOICED}
    await books.stays_as_it_is()


@pytest.mark.parametrize("kind", ["commit-then-drop", "drop"])
async def test_what_is_in_doubt_stays_where_it_was_sent(books: Books, kind: str) -> None:
    capture(books.world, invoice(1, "A"))
    await books.world.settle()
    books.switch("20")
    ask(books.world, INVOICE, ReplayRequested)
    await books.world.settle()  # while the command is on its way
    books.desk.fault(kind)
    await books.settle()
    assert (books.world.status(INVOICE), books.ledger()) == (Status.POSTED, {"10": INVOICED})
    await books.stays_as_it_is()


async def test_a_payment_is_not_applied_across_companies_until_a_person_corrects_it(books: Books) -> None:
    await books.capture(card_payment("500.00"))
    await books.switched("20")
    await books.capture(card_payment("100.00"))
    seen = books.world.history(PAYMENT)[-1]
    assert (seen.status, seen.reason) == (
        Status.CHANGED_AFTER_POSTING,
        "account moved from company 10 to 20",
    )
    steps = len(books.world.history(PAYMENT))
    await books.capture(card_payment("100.00"))
    again = books.world.history(PAYMENT)[steps:]
    assert [(one.status, one.note) for one in again] == [(Status.CHANGED_AFTER_POSTING, "seen-again")]
    assert len(books.vouchers()) == 1
    await books.stays_as_it_is()
    await books.corrected(PAYMENT)
    assert books.world.status(PAYMENT) is Status.CORRECTED
    assert [company for company, _ in books.vouchers()] == ["10", "10", "20"]
    assert books.ledger() == {"20": {"1930": Decimal(500), "2420": Decimal(-100), "1510": Decimal(-400)}}
    await books.stays_as_it_is()


async def test_a_payment_whose_account_comes_back_is_applied_where_it_stands(books: Books) -> None:
    await books.capture(card_payment("500.00"))
    await books.switched("20")
    await books.capture(card_payment("100.00"))
    await books.switched("10")
    await books.capture(card_payment("100.00"))
    assert books.world.status(PAYMENT) is Status.POSTED
    assert books.ledger() == {"10": {"1930": Decimal(500), "2420": Decimal(-100), "1510": Decimal(-400)}}
    await books.stays_as_it_is()


async def test_a_command_that_was_sent_for_two_companies_counts_for_the_one_that_it_was_posted_in(books: Books) -> None:
    world = books.world
    await books.settle()
    capture(world, card_payment("500.00"))
    lost = world.next_event([DOCUMENTS])
    assert lost is not None
    world._enter(lost.partition)
    await world.bookkeeper.on_event(lost, MemoryWork(world.log, lost.partition))  # type: ignore[arg-type]
    await world.start()  # sent, but what was written is lost, and the mapping is met before the document this time
    books.switch("20")
    await world.handle_all([topic for topic in world.bookkeeper.topics if topic != DOCUMENTS])
    await books.settle()
    assert books.vouchers() == [("10", "2026-03-06")]
    assert world.history(PAYMENT)[-1].company == "10"

    for anew in (False, True):
        if anew:
            await books.start_anew()
        await books.capture(card_payment("100.00"))
        assert world.status(PAYMENT) is Status.CHANGED_AFTER_POSTING
        assert len(books.vouchers()) == 1
    await books.corrected(PAYMENT)
    assert [company for company, _ in books.vouchers()] == ["10", "10", "20"]
    assert books.ledger() == {"20": {"1930": Decimal(500), "2420": Decimal(-100), "1510": Decimal(-400)}}

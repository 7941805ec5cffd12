"""What changes in Zuora after it was posted, and what people ask for, through everything.

Each document's vouchers together are its last state, in both currencies.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.expected_ledger import Books, booked
from tests.support.whole_system import Rows, System, by_document, whole_system

CLOSED = {"year": 2025, "period": 3}
IN_CLOSED, REOPENED, DAY, LATER = "2025-03-14", "2025-04-02", "2026-02-10", "2026-08-03"
POSTED, HELD, REJECTED, BY_HAND = {"posted"}, {"mapping-missing"}, {"rejected"}, {"settled-by-hand"}
IN_LEDGER, CHANGED = {"posted", "corrected"}, {"changed-after-posting"}
HOMES = (("10", "EUR", "USD"), ("20", "SEK", "SEK"), ("40", "GBP", "EUR"))
"""Company, what its accounts are billed in, and the currency of the documents."""
LATE_SKU = "SKU-LATE"


@dataclass
class Home:
    """The documents of one company's account, by what happens to them; amounts are in one currency."""

    system: System
    company: str
    currency: str
    account: str
    partner: str
    """Another account of the company."""
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def numbers(self, *names: str) -> list[str]:
        """Return the numbers of documents."""
        return [self.documents[name]["number"] for name in names]

    async def invoice(self, name: str, amount: str, day: str = DAY, sku: str = "SKU-ANL-002") -> None:
        """Make an invoice."""
        order = {"accountId": self.account, "currency": self.currency, "date": day, "items": items(amount, sku)}
        self.documents[name] = await self.system.zuora("invoices", order)

    async def payment(self, name: str, amount: str, pays: str = "") -> None:
        """Make a card payment, for all of an invoice where it pays one."""
        order: dict[str, Any] = {"accountId": self.account, "currency": self.currency, "date": DAY, "amount": amount}
        if pays:
            order["applications"] = [{"invoiceId": self.documents[pays]["id"], "amount": amount}]
        self.documents[name] = await self.system.zuora("payments", order)

    async def do(self, name: str, *actions: str, made: str = "", **order: Any) -> None:
        """Do something to a document, or several things one after the other; keep what comes of it as `made`."""
        place = {"Invoice": "invoices", "Payment": "payments", "CreditMemo": "credit-memos"}
        document = self.documents[name]
        for action in actions:
            done = await self.system.zuora(f"{place[document['kind']]}/{document['id']}/{action}", order)
            if made:
                self.documents[made] = done

    async def edit(self, name: str, amount: str, **more: Any) -> None:
        """Take an invoice back, change it, post it again."""
        await self.do(name, "unpost")
        await self.do(name, "edit", items=items(amount, "SKU-SVC-010"), **more)
        await self.do(name, "post")


def items(amount: str, sku: str) -> list[dict[str, Any]]:
    tax = Decimal(amount) / 4
    return [{"sku": sku, "chargeAmount": amount, "taxes": [{"taxCode": "VAT25", "taxAmount": tax}]}]


async def _made(home: Home) -> dict[str, set[str]]:
    """Make what is to change, and return what becomes of it at first."""
    for name in ("edited", "edited twice", "as it was", "cancelled", "reversed and back", "paid", "moved", "credited"):
        await home.invoice(name, "1033.37")
    await home.invoice("in a closed period", "750.00", IN_CLOSED)
    for name in ("settled", "settled and undone"):
        await home.invoice(name, "88.88", sku=LATE_SKU)
    for name in ("transferred", "there and back", "cancelled payment", "applied and transferred"):
        await home.payment(name, "400.01")
    await home.payment("payment", "900.00", pays="paid")
    await home.do("credited", "credit-memo", made="memo", share="0.5", date=DAY)
    await home.do("memo", "refund", made="memo refund", amount="100.00", date=DAY)
    held = home.numbers("settled", "settled and undone")
    return {number: HELD if number in held else POSTED for number in (one["number"] for one in home.documents.values())}


async def _changed(home: Home) -> dict[str, set[str]]:
    """Change things in Zuora, and return what the records are then."""
    await home.edit("edited", "512.25")
    await home.edit("edited twice", "300.00")
    await home.edit("in a closed period", "640.00")
    await home.edit("moved", "1033.37", accountId=home.partner)
    for name in ("as it was", "reversed and back"):
        await home.do(name, "unpost")
    await home.do("cancelled", "unpost", "cancel")
    for name in ("transferred", "there and back"):
        await home.do(name, "transfer", accountId=home.partner)
    await home.do("cancelled payment", "cancel")
    application = {"invoiceId": home.documents["paid"]["id"], "amount": "150.00"}
    await home.do("applied and transferred", "apply", applications=[application])
    await home.do("payment", "refund", made="refund", amount="250.00", date=LATER)
    changed = ("edited", "edited twice", "in a closed period", "moved", "as it was", "reversed and back", "cancelled")
    payments = ("transferred", "there and back", "cancelled payment")
    posted = home.numbers("applied and transferred", "payment", "refund")
    return dict.fromkeys(home.numbers(*changed, *payments), CHANGED) | dict.fromkeys(posted, POSTED)


async def _corrected(home: Home) -> dict[str, set[str]]:
    """Say what is to be done, and return what the records are then."""
    changed = ("edited", "edited twice", "moved", "reversed and back", "cancelled")
    await _correct(home, *changed, "transferred", "there and back", "cancelled payment")
    await _correct(home, "in a closed period", dated=REOPENED)
    for number in home.numbers("settled", "settled and undone"):
        words = ("--voucher", f"{home.company}/M/2026/4711", "--reason", "booked by hand")
        await home.system.zuora_ifs("records", "settle", number, *words)
    application = {"invoiceId": home.documents["paid"]["id"], "amount": "150.00"}
    await home.do("applied and transferred", "unapply", applications=[application])
    rejected, settled = home.numbers("in a closed period"), home.numbers("settled", "settled and undone")
    done = home.numbers(*changed, "transferred", "there and back", "cancelled payment")
    expected = dict.fromkeys(done, IN_LEDGER) | dict.fromkeys(settled, BY_HAND)
    return expected | dict.fromkeys(rejected, REJECTED)


async def _changed_again(home: Home) -> dict[str, set[str]]:
    """Change some a second time, and post again what was taken back."""
    await home.do("as it was", "post")
    await home.do("reversed and back", "post")
    await home.edit("edited twice", "1033.37")
    await home.do("there and back", "transfer", accountId=home.account)
    await home.do("applied and transferred", "transfer", accountId=home.partner)
    await home.do("transferred", "refund", made="refund of the transferred", amount="100.01", date=LATER)
    again = home.numbers("edited twice", "there and back", "applied and transferred")
    posted = home.numbers("as it was", "reversed and back", "transferred", "refund of the transferred")
    return dict.fromkeys(again, CHANGED) | dict.fromkeys(posted, IN_LEDGER)


async def _corrected_again(home: Home) -> dict[str, set[str]]:
    names = ("edited twice", "there and back", "applied and transferred")
    await _correct(home, *names)
    undone = home.numbers("settled and undone")
    await home.system.zuora_ifs("replay", "--record", *undone, "--reason", "not booked after all")
    return dict.fromkeys(home.numbers(*names), IN_LEDGER) | dict.fromkeys(undone, POSTED)


async def _correct(home: Home, *names: str, dated: str = "") -> None:
    """Correct documents: the first of the first company by command line, others by the same requests, 1.5 s faster."""
    numbers = home.numbers(*names)
    if home.company == HOMES[0][0]:
        more = ("--date", dated) if dated else ()
        await home.system.zuora_ifs("records", "correct", numbers.pop(0), "--reason", "as Zuora has it", *more)
    if numbers:
        await home.system.correct(numbers, dated)


@pytest.mark.timeout(600)
async def test_whatever_changes_and_is_corrected_the_ledger_has_each_documents_last_state(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    began = time.monotonic()
    async with whole_system(kafka_bootstrap, tmp_path) as system:
        homes = [await _home(system, *home) for home in HOMES]
        for document_type in ("Refund", "CreditMemo"):
            words = ("--company", "*", "--document-type", document_type, "--post", "yes", "--external", "yes")
            await system.zuora_ifs("rules", "set", *words)
        mappings = await system.default_mappings()
        await system.import_mappings(mappings)

        await _told(system, homes, _made)
        await _periods(system, is_open=False)
        await _told(system, homes, _changed)
        await _refuse_without_date(system, homes)
        await _told(system, homes, _corrected)
        mappings += await _late_mappings(system)
        await _told(system, homes, _changed_again)
        await _periods(system, is_open=True)
        await system.zuora_ifs("replay", "--status", "rejected", "--reason", "the period is open again")
        await _told(system, homes, _corrected_again)
        await system.statuses_are(
            {number: IN_LEDGER for home in homes for number in home.numbers("in a closed period")}
        )

        books = Books(mappings, await system.documents())
        by_hand = {number for home in homes for number in home.numbers("settled")}
        nets = {one["number"]: {} if one["number"] in by_hand else books.net(one) for one in books.documents}
        vouchers = await system.vouchers_of(nets)
        duplicates = await system.ifs("duplicates")
    print(f"{len(books.documents)} documents, {len(vouchers)} vouchers, {time.monotonic() - began:.0f} s")  # noqa: T201

    assert duplicates == []
    own = by_document(vouchers)
    assert {number: booked(own[number]) for number in nets} == nets
    assert left_over(own) == []
    assert_vouchers_in_the_closed_period_moved(homes, own)


async def _home(system: System, company: str, billed_in: str, currency: str) -> Home:
    accounts = await system.zuora("accounts", {"currency": billed_in, "count": 2})
    return Home(system, company, currency, *(one["id"] for one in accounts))


async def _told(system: System, homes: list[Home], act: Any) -> None:
    """Do the same in all companies, and wait until it has come to what it should."""
    expected: dict[str, set[str]] = {}
    for home in homes:
        expected |= await act(home)
    await system.callouts_delivered()
    await system.statuses_are(expected, 60)


async def _periods(system: System, *, is_open: bool) -> None:
    for company, *_ in HOMES:
        await system.ifs("periods", {"company": company, **CLOSED, "open": is_open})


async def _late_mappings(system: System) -> Rows:
    """Map what was booked by hand meanwhile: a settlement stands all the same."""
    rows = [
        {"kind": "product", "company": company, "match_on": "sku", "match_value": LATE_SKU, "gl_account": "3990"}
        for company, *_ in HOMES
    ]
    await system.import_mappings(rows)
    return rows


async def _refuse_without_date(system: System, homes: list[Home]) -> None:
    """A reversal into a closed period is refused, and what stands goes on standing."""
    (number,) = homes[0].numbers("in a closed period")
    before = await system.ifs("vouchers?count=true")
    await _correct(homes[0], "in a closed period")
    await system.says(number, "changed-after-posting", "Period 3 is not open")
    assert await system.ifs("vouchers?count=true") == before


def left_over(vouchers: dict[str, list[dict[str, Any]]]) -> list[Any]:
    """Return documents that come to nothing in their own currency but not in the company's."""
    found = []
    for number, own in vouchers.items():
        sums: defaultdict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
        for row in _rows(own):
            sums[row["Account"], row["CodeB"]][0] += row["CurrencyAmount"]
            sums[row["Account"], row["CodeB"]][1] += row["Amount"]
        found += [(number, key, amounts) for key, amounts in sums.items() if not amounts[0] and amounts[1]]
    return found


def _rows(vouchers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for voucher in vouchers for row in voucher["rows"]]


def assert_vouchers_in_the_closed_period_moved(homes: list[Home], own: dict[str, list[dict[str, Any]]]) -> None:
    """The reversal has the date that a person gave; the new voucher has its own, once the period is open."""
    for home in homes:
        (number,) = home.numbers("in a closed period")
        dates = [voucher["header"]["VoucherDate"] for voucher in own[number]]
        assert dates == [IN_CLOSED, REOPENED, IN_CLOSED]

"""Random documents of all types through everything: the ledger is what Zuora's documents and balances come to.

ZIFS_TEST_DOCUMENTS makes it more than CI has time for; the plan is seeded, ZIFS_TEST_SEED runs one again.
"""

import asyncio
import os
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from deploy.sandbox.ifs.company import Company
from deploy.sandbox.ifs.defaults import companies
from tests.support.billing import EXTRA_MAPPINGS, Billing
from tests.support.expected_ledger import Books, Net, added, at_places, booked, open_in_zuora
from tests.support.whole_system import Rows, System, by_document, whole_system

DOCUMENTS = int(os.environ.get("ZIFS_TEST_DOCUMENTS", "300"))
SEED = int(os.environ.get("ZIFS_TEST_SEED", "0")) or int(time.time())
VOUCHERS_PER_SECOND = 3
"""What even a busy machine does."""
CONTRA_ACCOUNT = "3990"
"""Of adjustments in company 20."""
RECEIVABLES, UNAPPLIED = ("1510", "1511"), "2420"
NO_REST = ("15", "19", "24", "26")
"""Receivable, cash, unapplied and tax take no rest of a conversion, unless there is nothing else."""
RULES = (
    ("Payment", "*"),
    ("Refund", "*"),
    ("CreditMemo", "*"),
    ("DebitMemo", "*"),
    ("Adjustment", "*"),
    ("Adjustment", "20", "--contra-account", CONTRA_ACCOUNT),
)
DATES = ("invoiceDate", "effectiveDate", "refundDate", "creditMemoDate", "debitMemoDate", "AdjustmentDate")


@pytest.mark.timeout(600 + DOCUMENTS)
async def test_the_ledger_is_the_sum_of_all_documents_of_zuora(kafka_bootstrap: str, tmp_path: Path) -> None:
    began = time.monotonic()
    async with whole_system(kafka_bootstrap, tmp_path) as system:
        billing = Billing(system, SEED)
        await billing.open_accounts()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_switch_on(system))
            tasks.create_task(billing.make(DOCUMENTS // 2))
        await _all_wait(system)
        mappings = await _mappings(system)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(system.import_mappings(mappings))
            tasks.create_task(billing.make(DOCUMENTS // 4))
        await _all_end(system, mappings)
        # What is posted now is applied, taken back and refunded by what follows.
        await billing.make(DOCUMENTS - billing.made.total())
        await billing.move_payments(DOCUMENTS // 4)
        books = await _all_end(system, mappings)
        nets = {one["number"]: books.net(one) for one in books.documents}
        vouchers = await system.vouchers_of(nets)
        trial_balance = await system.ifs("trial-balance")
        duplicates = await system.ifs("duplicates")
    changes = sum(voucher["header"]["VoucherText2"].endswith("-A") for voucher in vouchers)
    told = f"seed {SEED}: {len(nets)} documents {dict(billing.made)}, {len(vouchers)} vouchers ({changes} changes of U)"
    print(f"{told}, {time.monotonic() - began:.0f} s")  # noqa: T201 - figures of the run

    assert len(nets) == billing.made.total() >= DOCUMENTS
    assert duplicates == [], told
    wrong = differences(books, nets, by_document(vouchers))
    assert not wrong, f"{told}: {len(wrong)} differ, the first is {wrong[0]}"
    assert ledger_of(trial_balance) == by_account(added(nets.values())), told
    assert zuora_of(ledger_of(trial_balance)) == without_zeros(*open_in_zuora(books)), told
    wrong = wrongly_converted(books, by_document(vouchers))
    assert not wrong, f"{told}: {len(wrong)} wrongly converted, the first is {wrong[0]}"


async def _switch_on(system: System) -> None:
    for document_type, company, *more in RULES:
        words = ("--company", company, "--document-type", document_type, "--post", "yes", "--external", "yes")
        await system.zuora_ifs("rules", "set", *words, *more)


async def _mappings(system: System) -> Rows:
    """Return the sandbox's own and those of unusual items; Swedish and British accounts have a second code part."""
    rows = await system.default_mappings()
    companies = sorted({row["company"] for row in rows})
    for row in rows:
        if row["kind"] == "account" and row["company"] != "10":
            row["code_c"] = "P1"
    return [*rows, *({"company": company, **row} for company in companies for row in EXTRA_MAPPINGS)]


async def _all_wait(system: System) -> None:
    """Wait until everything that was made has arrived; without mappings none of it may post."""
    await system.callouts_delivered()
    resting = {"mapping-missing", "captured", "not-posted"}
    await system.statuses_are({one["number"]: resting for one in await system.documents()}, 60 + DOCUMENTS / 5)
    assert await system.ifs("vouchers?count=true") == {"count": 0}


async def _all_end(system: System, mappings: Rows) -> Books:
    """Wait until every document is where it belongs, and return all as they are then."""
    await system.callouts_delivered()
    books = Books(mappings, await system.documents(), {"20": CONTRA_ACCOUNT})
    expected = {one["number"]: {"posted" if books.net(one) else "not-posted"} for one in books.documents}
    await system.statuses_are(expected, DOCUMENTS / VOUCHERS_PER_SECOND + 30)
    return books


def differences(books: Books, nets: dict[str, Net], vouchers: dict[str, list[dict[str, Any]]]) -> list[Any]:
    """Return the documents whose vouchers do not come to what they are; others than payments have one voucher."""
    found: list[Any] = []
    for one in books.documents:
        own = vouchers.pop(one["number"], [])
        if booked(own) != nets[one["number"]] or (one["kind"] != "Payment" and len(own) > 1):
            found.append({"document": one, "expected": nets[one["number"]], "got": booked(own), "vouchers": own})
    return found + list(vouchers)


ByAccount = dict[tuple[str, str, str], Decimal]


def by_account(net: Net) -> ByAccount:
    sums: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for place, amount in net.items():
        sums[place.company, place.account, place.currency] += amount
    return {key: amount for key, amount in sums.items() if amount}


def ledger_of(trial_balance: list[dict[str, Any]]) -> ByAccount:
    return {
        (row["company"], row["account"], row["currency"]): row["currencyAmount"]
        for row in trial_balance
        if row["currencyAmount"]
    }


Open = dict[tuple[str, str], Decimal]


def zuora_of(ledger: ByAccount) -> tuple[Open, Open]:
    """Return what is receivable, and what customers have on account, by company and currency."""
    receivable: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    unapplied: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for (company, account, currency), amount in ledger.items():
        if account in RECEIVABLES:
            receivable[company, currency] += amount
        elif account == UNAPPLIED:
            unapplied[company, currency] -= amount
    return without_zeros(receivable, unapplied)


def without_zeros(receivable: Open, unapplied: Open) -> tuple[Open, Open]:
    return {key: one for key, one in receivable.items() if one}, {key: one for key, one in unapplied.items() if one}


def wrongly_converted(books: Books, vouchers: dict[str, list[dict[str, Any]]]) -> list[Any]:
    """Return vouchers whose amounts in the company's currency do not follow from IFS's rate of the document's date.

    Each row is converted by itself; what then does not balance may stand on one row.
    """
    ledgers = companies("anyone")
    converted = [
        (_conversion(ledgers[voucher["header"]["Company"]], _day(one), voucher["rows"]), one["number"], voucher)
        for one in books.documents
        for voucher in vouchers.get(one["number"], [])
    ]
    return [wrong for wrong in converted if wrong[0]]


def _day(one: dict[str, Any]) -> str:
    return str(next(one["document"][name] for name in DATES if name in one["document"]))


def _conversion(company: Company, day: str, rows: list[dict[str, Any]]) -> str:
    currency = rows[0]["CurrencyCode"]
    if sum(row["Amount"] for row in rows):
        return "does not balance"
    rate, factor = Decimal(1), Decimal(1)
    if currency != company.currency:
        quoted = company.rate_on(currency, "1", day)
        assert quoted is not None
        rate, factor = quoted.rate, quoted.conversion_factor
    if {(row["CurrencyRate"], row["ConversionFactor"]) for row in rows} != {(rate, factor)}:
        return f"not at {rate} / {factor}"
    other = [row for row in rows if row["Amount"] != _converted(company, row, rate, factor)]
    if len(other) > 1:
        return "more than one row does not follow from the rate"
    takes_rest = [row for row in rows if not row["Account"].startswith(NO_REST)] or [rows[-1]]
    return "the rest is on the wrong row" if any(row not in takes_rest for row in other) else ""


def _converted(company: Company, row: dict[str, Any], rate: Decimal, factor: Decimal) -> Decimal:
    amount = row["CurrencyAmount"]
    inverted = company.inverted and row["CurrencyCode"] != company.currency
    return at_places(amount * factor / rate if inverted else amount * rate / factor, company.currency)

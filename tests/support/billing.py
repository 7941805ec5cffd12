"""A seeded billing department: makes documents of all types in the Zuora sandbox, and changes what can be changed."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.support.expected_ledger import at_places, unit
from tests.support.whole_system import System

Json = dict[str, Any]
ACCOUNTS = {"EUR": 5, "SEK": 3, "GBP": 3, "USD": 2, "CHF": 2, "JPY": 2, "KWD": 2}
FIRST_DAY, DAYS = date(2025, 1, 1), 730
"""IFS's periods and rates begin in 2025; they change in 2026 and in the middle of it."""
OTHER_GATEWAY = "2c92c0f85e2d19af015e3a61d8900022"
"""Takes no EUR by the mappings: such payments go to the cash account of the currency alone."""
TAXES = ("VAT25", "VAT19", "GB20")
KEYS: tuple[Json, ...] = (
    {"sku": "SKU-SVC-010", "productName": "Onboarding Services", "accountingCode": "3020 Services Revenue"},
    {"sku": "SKU-NEW-999", "productName": "Data Residency", "accountingCode": "3010 Subscription Revenue"},
    {"chargeType": "Penalty", "accountingCode": "3030 Usage Revenue"},
    {"chargeType": "", "accountingCode": "3030 Usage Revenue", "recognizedRevenueAccountingCode": "3030 Usage Revenue"},
    {"chargeType": ""},
    {"sku": "SKU-SUP-005", "deferredRevenueAccountingCode": "2970 Deferred Revenue"},
)
"""Items that a mapping finds by SKU, by name, by charge type, by accounting code, by nothing, and a deferred one."""
EXTRA_MAPPINGS = (
    {"kind": "product", "match_on": "charge_type", "match_value": "Penalty", "gl_account": "3990", "code_c": "P2"},
    {"kind": "product", "match_on": "accounting_code", "match_value": "(none)", "gl_account": "3990"},
    {"kind": "tax", "match_value": "(none)", "gl_account": "2612"},
)
"""Per company, beside those that fit the sandbox's own products."""


@dataclass
class Billing:
    """Makes documents one after the other, all chance from the seed."""

    system: System
    seed: int
    made: Counter[str] = field(default_factory=Counter)
    accounts: dict[str, list[str]] = field(default_factory=dict)
    _ids: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """By where they are made: id and currency."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a plan that can be run again
        self._actions: dict[Callable[[], Awaitable[None]], int] = {
            self._invoice: 24,
            self._special_invoice: 12,
            self._unposted_invoice: 2,
            self._payment: 26,
            self._apply: 10,
            self._unapply: 5,
            self._refund: 8,
            self._credit_memo: 9,
            self._write_off: 3,
            self._memo_refund: 4,
            self._debit_memo: 7,
            self._adjustment: 9,
        }

    async def open_accounts(self) -> None:
        """Make the customers, some for each currency."""
        for currency, count in ACCOUNTS.items():
            made = await self.system.zuora("accounts", {"currency": currency, "count": count})
            self.accounts[currency] = [one["id"] for one in made]

    async def make(self, count: int) -> None:
        """Make documents until there are so many more."""
        goal = self.made.total() + count
        actions, weights = list(self._actions), list(self._actions.values())
        while self.made.total() < goal:
            await self._random.choices(actions, weights)[0]()

    async def move_payments(self, count: int) -> None:
        """Apply payments and take them back, that often at most; it makes no documents."""
        for _ in range(count):
            await self._random.choice((self._apply, self._unapply))()

    # --- invoices -----------------------------------------------------------------------------------------------------

    async def _invoice(self) -> None:
        """Make one as the sandbox makes them up, now and then in another currency or with more items than a page."""
        many = {"items": self._random.randint(45, 70)} if self._random.random() < 0.04 else {}
        await self._create("invoices", {**self._owner(), **many, "date": self._day()})

    async def _special_invoice(self) -> None:
        owner = self._owner()
        currency = owner["currency"]
        shape = self._random.choice(
            (
                self._with_keys,
                self._zero,
                self._nothing,
                self._negative,
                self._rounding,
                self._finely_taxed,
                self._off,
                self._tax_items,
            )
        )
        await self._create("invoices", {**owner, "date": self._day(), **shape(currency)})

    async def _unposted_invoice(self) -> None:
        """Make a draft that Zuora told of all the same, or one that was cancelled."""
        made = await self._create("invoices", {**self._owner(), "date": self._day(), "post": False}, keep=False)
        if self._random.random() < 0.5:
            await self.system.zuora(f"invoices/{made['id']}/cancel", {})
        await self._tell(made, "InvoicePosted", "1110")

    def _with_keys(self, currency: str) -> Json:
        return {"items": [self._item(currency, **{"sku": "", **keys}) for keys in self._random.sample(KEYS, 4)]}

    def _zero(self, currency: str) -> Json:
        item, sku = self._item(currency), "SKU-DSC-090"
        return {"items": [item, {**item, "sku": sku, "processingType": "Discount", **_turned(item)}]}

    def _nothing(self, currency: str) -> Json:
        return {"items": [{"sku": "SKU-UNMAPPED", "chargeAmount": at_places(Decimal(0), currency)}]}

    def _negative(self, currency: str) -> Json:
        item = self._item(currency)
        return {"items": [item | _turned(item)]}

    def _rounding(self, currency: str) -> Json:
        off = self._random.choice((-4, -3, 3, 4)) * unit(currency)
        return {"items": [self._item(currency), {"chargeAmount": off, "processingType": "Rounding"}]}

    def _finely_taxed(self, currency: str) -> Json:
        """Make taxes of fractions of the smallest unit, which come whole per item but not per code."""
        fine = unit(currency) / 1000
        items = []
        for _ in range(self._random.randint(2, 5)):
            charge = self._amount(currency, 50, 900)
            parts = [(charge * Decimal("0.0405")).quantize(fine) for _ in range(2)]
            taxes = [{"taxCode": "CH81", "taxAmount": part} for part in parts]
            items.append({**self._random.choice(KEYS), "chargeAmount": charge, "taxes": taxes})
        return {"items": items}

    def _off(self, currency: str) -> Json:
        """Make a header that is off its items, by a smallest unit for each at most."""
        items = [self._item(currency) for _ in range(10)]
        whole = [*items, *(tax | {"chargeAmount": tax["taxAmount"]} for item in items for tax in item["taxes"])]
        amount = sum((one["chargeAmount"] for one in whole), self._random.choice((-1, 1)) * unit(currency))
        return {"items": items, "header": {"amount": amount, "balance": amount}}

    def _tax_items(self, currency: str) -> Json:
        """Make tax as an item of its own, with a code and without."""
        tax = self._amount(currency, 1, 20)
        items = [self._item(currency, taxes=[]), {"chargeAmount": tax, "processingType": "Tax"}]
        if self._random.random() < 0.5:
            items[1]["taxCode"] = "VAT19"
        return {"items": items}

    def _item(self, currency: str, **known: Any) -> Json:
        charge = self._amount(currency, 20, 5000)
        tax = at_places(charge / 5, currency)
        taxes = [{"taxCode": self._random.choice(TAXES), "taxAmount": tax}]
        return {"sku": "SKU-ANL-002", "chargeAmount": charge, "taxes": taxes, **known}

    # --- payments -----------------------------------------------------------------------------------------------------

    async def _payment(self) -> None:
        """Make a payment: for open documents in full or in part, for more than they are, or for nothing yet."""
        invoice = await self._any("invoices") if self._random.random() < 0.8 else None
        if invoice is None or invoice["document"]["balance"] <= 0:
            owner: Json = self._owner()
            await self._pay(owner, self._amount(owner["currency"], 10, 4000), [])
            return
        currency = invoice["document"]["currency"]
        owner = {"accountId": invoice["accountId"], "currency": currency}
        if self._random.random() < 0.06:
            owner["accountId"] = self._random.choice([one for some in self.accounts.values() for one in some])
        applied = self._share(invoice["document"]["balance"], currency)
        applications = [{"invoiceId": invoice["id"], "amount": applied}]
        memo = await self._any("debit-memos")
        amount = applied
        if memo and (memo["accountId"], memo["document"]["currency"]) == (owner["accountId"], currency):
            more = self._share(memo["document"]["balance"], currency)
            if more > 0:
                applications.append({"debitMemoId": memo["id"], "amount": more})
                amount += more
        if self._random.random() < 0.3:
            amount += self._amount(currency, 1, 300)
        await self._pay(owner, amount, applications if self._random.random() < 0.75 else [])

    async def _pay(self, owner: Json, amount: Decimal, applications: list[Json]) -> None:
        kind = self._random.choices(("Electronic", "External"), (4, 1))[0]
        gateway = {"gatewayId": OTHER_GATEWAY} if self._random.random() < 0.1 else {}
        more = {"type": kind, "date": self._day(), **gateway, "applications": applications}
        await self._create("payments", {**owner, "amount": amount, **more})

    async def _apply(self) -> None:
        payment = await self._any("payments")
        if payment is None or payment["document"]["unappliedAmount"] <= 0:
            return
        currency = payment["document"]["currency"]
        invoice = await self._any("invoices", currency)
        most = min(payment["document"]["unappliedAmount"], invoice["document"]["balance"]) if invoice else Decimal(0)
        if invoice and most > 0:
            applications = [{"invoiceId": invoice["id"], "amount": self._share(most, currency)}]
            await self.system.zuora(f"payments/{payment['id']}/apply", {"applications": applications})

    async def _unapply(self) -> None:
        payment = await self._any("payments")
        parts = [part for part in (payment or {}).get("parts", []) if part["invoiceId"] or part["debitMemoId"]]
        if payment is None or not parts:
            return
        part = self._random.choice(parts)
        target = {name: part[name] for name in ("invoiceId", "debitMemoId") if part[name]}
        application = {**target, "amount": self._share(part["amount"], payment["document"]["currency"])}
        await self.system.zuora(f"payments/{payment['id']}/unapply", {"applications": [application]})

    async def _refund(self) -> None:
        payment = await self._any("payments")
        if payment is None:
            return
        document = payment["document"]
        left = document["amount"] - document["refundAmount"]
        if left > 0:
            chargeback = {"type": "External", "refundTransactionType": "Chargeback"}
            more = chargeback if self._random.random() < 0.3 else {}
            amount = self._share(left, document["currency"])
            await self._create(f"payments/{payment['id']}/refund", {"amount": amount, "date": self._day(), **more})

    # --- memos and adjustments ----------------------------------------------------------------------------------------

    async def _credit_memo(self) -> None:
        """Make a memo of an invoice, and now and then apply it."""
        invoice = await self._open_invoice()
        if invoice is None:
            return
        memo = await self._create(f"invoices/{invoice['id']}/credit-memo", self._memo(), kept_as="credit-memos")
        most = min(memo["document"]["unappliedAmount"], invoice["document"]["balance"])
        if most > 0 and self._random.random() < 0.5:
            amount = self._share(most, invoice["document"]["currency"])
            applications = [{"invoiceId": invoice["id"], "amount": amount}]
            await self.system.zuora(f"credit-memos/{memo['id']}/apply", {"applications": applications})

    async def _write_off(self) -> None:
        if invoice := await self._open_invoice():
            await self._create(f"invoices/{invoice['id']}/write-off", {"date": self._day()}, kept_as="credit-memos")

    async def _debit_memo(self) -> None:
        if invoice := await self._open_invoice():
            await self._create(f"invoices/{invoice['id']}/debit-memo", self._memo(), kept_as="debit-memos")

    def _memo(self) -> Json:
        inclusive = {"taxMode": "TaxInclusive"} if self._random.random() < 0.4 else {}
        return {"share": self._random.choice(("1", "0.5", "0.333")), "date": self._day(), **inclusive}

    async def _memo_refund(self) -> None:
        memo = await self._any("credit-memos")
        if memo is None or memo["document"]["unappliedAmount"] <= 0:
            return
        kind = self._random.choice(("Electronic", "External"))
        amount = self._share(memo["document"]["unappliedAmount"], memo["document"]["currency"])
        path = f"credit-memos/{memo['id']}/refund"
        made = await self._create(path, {"amount": amount, "type": kind, "date": self._day()})
        if kind == "External":
            await self._tell(made, "CreditMemoRefundProcessed", "2430")

    async def _adjustment(self) -> None:
        invoice = await self._open_invoice()
        if invoice is None:
            return
        item = self._random.randrange(len(invoice["items"]))
        has_tax = bool(invoice["items"][item]["taxationItems"])
        source = "Tax" if has_tax and self._random.random() < 0.3 else "InvoiceDetail"
        amount = self._share(invoice["document"]["balance"], invoice["document"]["currency"])
        order = {"amount": amount, "type": self._random.choice(("Credit", "Charge")), "date": self._day()}
        await self._create(f"invoices/{invoice['id']}/adjust", {**order, "item": item, "sourceType": source})

    # --- chance and the sandbox ---------------------------------------------------------------------------------------

    def _owner(self) -> Json:
        """Draw an account; a seventh of the documents are in another currency than its own."""
        own = self._random.choice(list(self.accounts))
        currency = self._random.choice(list(self.accounts)) if self._random.random() < 1 / 7 else own
        return {"accountId": self._random.choice(self.accounts[own]), "currency": currency}

    def _day(self) -> str:
        return (FIRST_DAY + timedelta(days=self._random.randrange(DAYS))).isoformat()

    def _amount(self, currency: str, least: int, most: int) -> Decimal:
        return self._random.randint(int(least / unit(currency)), int(most / unit(currency))) * unit(currency)

    def _share(self, amount: Decimal, currency: str) -> Decimal:
        """Return all of an amount, or a part of it that leaves something worth a row."""
        part = at_places(amount * self._random.randint(1, 9) / 10, currency)
        is_whole = self._random.random() < 0.4 or min(part, amount - part) < unit(currency)
        return amount if is_whole else part

    async def _any(self, place: str, currency: str = "") -> Json | None:
        """Return any of the documents made so far, or of those in a currency, as it is now."""
        ids = [key for key, of in self._ids.get(place, []) if currency in ("", of)]
        return await self.system.zuora(f"documents/{self._random.choice(ids)}") if ids else None

    async def _open_invoice(self) -> Json | None:
        invoice = await self._any("invoices")
        return invoice if invoice and invoice["document"]["balance"] > 0 else None

    async def _create(self, path: str, order: Json, *, keep: bool = True, kept_as: str = "") -> Json:
        made: Json = await self.system.zuora(path, order)
        self.made[made["kind"]] += 1
        if keep and (kept_as or "/" not in path):
            self._ids.setdefault(kept_as or path, []).append((made["id"], made["document"]["currency"]))
        return made

    async def _tell(self, made: Json, event: str, category: str) -> None:
        """Have Zuora tell of what it has no event for."""
        order = {"objectId": made["id"], "event": event, "eventCategory": category}
        await self.system.zuora("callouts/send", order)


def _turned(item: Json) -> Json:
    """Return an item's amounts with the other sign."""
    taxes = [tax | {"taxAmount": -tax["taxAmount"]} for tax in item["taxes"]]
    return {"chargeAmount": -item["chargeAmount"], "taxes": taxes}

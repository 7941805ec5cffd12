"""What the ledger must hold, from Zuora's documents and the mappings' CSV, with arithmetic of its own.

Nothing here comes from streams.accounting: a mistake there must not be able to hide. Amounts are debit positive.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

Json = dict[str, Any]
DECIMALS = {"JPY": 0, "KWD": 3}
"""By ISO 4217; all other currencies of the tests have two."""
POSTED = {"Posted", "Processed"}


class Place(NamedTuple):
    """Where an amount lies."""

    company: str
    account: str
    cost_center: str
    code_c: str
    currency: str


Net = dict[Place, Decimal]
"""Amounts by place; those of zero are left out."""


def unit(currency: str) -> Decimal:
    """Return a currency's smallest amount."""
    return Decimal(1).scaleb(-DECIMALS.get(currency, 2))


def at_places(amount: Decimal, currency: str) -> Decimal:
    """Return an amount rounded half up."""
    return amount.quantize(unit(currency), ROUND_HALF_UP)


def added(nets: Iterable[Net]) -> Net:
    """Return the sum."""
    total: defaultdict[Place, Decimal] = defaultdict(Decimal)
    for net in nets:
        for place, amount in net.items():
            total[place] += amount
    return {place: amount for place, amount in total.items() if amount}


def booked(vouchers: Iterable[Json]) -> Net:
    """Return what vouchers of the IFS sandbox come to."""
    rows = [row for voucher in vouchers for row in voucher["rows"]]
    return added({_lies(row): row["CurrencyAmount"]} for row in rows)


def _lies(row: Json) -> Place:
    return Place(row["Company"], row["Account"], row["CodeB"] or "", row["CodeC"] or "", row["CurrencyCode"])


@dataclass
class Books:
    """The mappings, and the documents that others refer to."""

    mappings: list[dict[str, str]]
    documents: list[Json]
    contra_accounts: dict[str, str] = field(default_factory=dict)
    """Of adjustments, by company."""

    def __post_init__(self) -> None:
        self._by_id = {one["id"]: one for one in self.documents}
        self._charts: defaultdict[str, dict[tuple[str, ...], dict[str, str]]] = defaultdict(dict)
        self._accounts: dict[str, dict[str, str]] = {}
        for row in self.mappings:
            if row["kind"] == "account":
                self._accounts[row["zuora_account_id"]] = row
                continue
            shape = {
                "product": ("match_on", "match_value"),
                "tax": ("match_value",),
                "cash": ("currency", "gateway"),
            }.get(row["kind"], ())
            self._charts[row["company"]][row["kind"], *(row.get(name, "") for name in shape)] = row

    def net(self, one: Json) -> Net:
        """Return what a document must come to in the ledger, as it is now."""
        document = one["document"]
        if (document.get("status") or document.get("Status")) not in POSTED:
            return {}
        entries = _ENTRIES[one["kind"]](self, one)
        currency = self.currency(one)
        return added({self.place(row, currency): amount} for row, amount in entries)

    def place(self, row: dict[str, str], currency: str) -> Place:
        """Return where a row of the mappings puts an amount."""
        return Place(row["company"], row["gl_account"], row.get("cost_center", ""), row.get("code_c", ""), currency)

    def account_of(self, one: Json) -> dict[str, str]:
        """Return the mapping of a document's account."""
        document = one["document"]
        return self._accounts[document.get("accountId") or document["AccountId"]]

    def about(self, one: Json) -> Json:
        """Return the document that a refund or adjustment is of, else the document itself."""
        document = one["document"]
        names = ("paymentId", "creditMemoId", "InvoiceId")
        return next((self._by_id[document[name]] for name in names if document.get(name)), one)

    def currency(self, one: Json) -> str:
        """Return a document's currency."""
        return str(self.about(one)["document"]["currency"])

    def mapped(self, one: Json, *keys: tuple[str, ...]) -> dict[str, str]:
        """Return the first of these that is mapped in the document's company."""
        chart = self._charts[self.account_of(one)["company"]]
        found = [chart[key] for key in keys if key in chart]
        assert found, f"{one['number']}: none of {keys} is mapped"
        return found[0]

    def revenue(self, one: Json, keys: list[tuple[str, str | None]], *, deferred: bool) -> dict[str, str]:
        """Return where a product's revenue goes: code parts that it leaves empty are the account's."""
        filled = [("product", name, value) for name, value in keys if value]
        row = self.mapped(one, *(filled or [("product", "accounting_code", "(none)")]))
        account = self.account_of(one)
        parts = {name: row.get(name) or account.get(name, "") for name in ("cost_center", "code_c")}
        gl_account = row.get("deferred_account") if deferred else ""
        return {**row, **parts, "gl_account": gl_account or row["gl_account"]}


Entries = list[tuple[dict[str, str], Decimal]]


def _invoice(books: Books, one: Json) -> Entries:
    items = [
        (
            Decimal(item["chargeAmount"]),
            item,
            [
                ("sku", item["sku"]),
                ("product_name", item["productName"]),
                ("charge_type", item["chargeType"]),
                ("accounting_code", item["accountingCode"]),
            ],
            bool(item["deferredRevenueAccountingCode"]),
        )
        for item in one["items"]
    ]
    return _billed(books, one, items, 1)


def _memo(books: Books, one: Json) -> Entries:
    items = []
    for item in one["items"]:
        finance = item["financeInformation"]
        deferred = finance["deferredRevenueAccountingCode"]
        keys = [
            ("sku", item["sku"]),
            ("product_name", item["skuName"]),
            ("accounting_code", deferred or finance["recognizedRevenueAccountingCode"]),
        ]
        if one["document"].get("revenueImpacting") == "No":
            deferred, keys = None, [("accounting_code", finance["nonRevenueWriteOffAccountingCode"])]
        items.append((Decimal(item["amountWithoutTax"]), item, keys, bool(deferred)))
    return _billed(books, one, items, 1 if one["kind"] == "DebitMemo" else -1)


def _billed(books: Books, one: Json, items: list[tuple[Decimal, Json, Any, bool]], sign: int) -> Entries:
    """Return receivable against revenue, tax and rounding."""
    document, currency = one["document"], books.currency(one)
    amount = Decimal(document["amount"])
    entries: Entries = []
    rounding = Decimal(0)
    taxes: defaultdict[str, Decimal] = defaultdict(Decimal)
    for net, item, keys, deferred in items:
        if item["processingType"] == "Rounding":
            rounding -= sign * net
        elif item["processingType"] == "Tax":
            taxes[item.get("taxCode") or "(none)"] += net
        elif net:
            entries.append((books.revenue(one, keys, deferred=deferred), -sign * net))
        if item["taxationItems"]:
            for tax in item["taxationItems"]:
                taxes[tax["taxCode"] or item.get("taxCode") or "(none)"] += Decimal(tax["taxAmount"])
        else:
            taxes[item.get("taxCode") or "(none)"] += Decimal(item.get("taxAmount") or 0)
    whole = {code: at_places(tax, currency) for code, tax in taxes.items()}
    _to_header(whole, Decimal(document["taxAmount"]))
    entries += [(books.mapped(one, ("tax", code)), -sign * tax) for code, tax in whole.items() if tax]
    entries.append((books.account_of(one), sign * amount))
    # Whatever is left is what rounds: items that say so, and a header that is a cent off.
    rest = sum((entry for _, entry in entries), Decimal(0))
    assert abs(rest + rounding) <= 10 * unit(currency), f"{one['number']} is off by {rest + rounding}"
    return [*entries, (books.mapped(one, ("rounding",)), -rest)] if rest else entries


def _to_header(taxes: dict[str, Decimal], header: Decimal) -> None:
    """Give what tax lacks against the header to the largest tax."""
    rest = header - sum(taxes.values(), Decimal(0))
    if rest and any(taxes.values()):
        taxes[max(taxes, key=lambda code: abs(taxes[code]))] += rest


def elsewhere(one: Json) -> Decimal:
    """Return how much of a payment is applied to documents of another account."""
    own = (None, one["document"]["accountId"])
    return sum((part["amount"] for part in one["parts"] if part["billingDocumentOwnerId"] not in own), Decimal(0))


def _payment(books: Books, one: Json) -> Entries:
    document = one["document"]
    on_account = Decimal(document["unappliedAmount"]) + elsewhere(one)
    return [
        (_cash(books, one, document["gatewayId"]), Decimal(document["amount"])),
        (books.mapped(one, ("unapplied",)), -on_account),
        (books.account_of(one), on_account - document["amount"]),
    ]


def _refund(books: Books, one: Json) -> Entries:
    document = one["document"]
    gateway = document["gatewayId"] or books.about(one)["document"].get("gatewayId")
    amount = Decimal(document["amount"])
    return [(books.account_of(one), amount), (_cash(books, one, gateway), -amount)]


def _cash(books: Books, one: Json, gateway: str | None) -> dict[str, str]:
    currency = books.currency(one)
    return books.mapped(one, ("cash", currency, gateway or ""), ("cash", currency, ""))


def _adjustment(books: Books, one: Json) -> Entries:
    document, account = one["document"], books.account_of(one)
    signed = Decimal(document["Amount"]) * (1 if document["Type"] == "Charge" else -1)
    if document["SourceType"] == "Tax":
        taxes = [tax for item in books.about(one)["items"] for tax in item["taxationItems"]]
        code = next(tax["taxCode"] for tax in taxes if tax["id"] == document["SourceId"])
        other = books.mapped(one, ("tax", code))
    elif contra := books.contra_accounts.get(account["company"]):
        other = {**account, "gl_account": contra}
    else:
        other = books.revenue(one, [("accounting_code", document["AccountingCode"])], deferred=False)
    return [(account, signed), (other, -signed)]


_ENTRIES = {
    "Invoice": _invoice,
    "Payment": _payment,
    "Refund": _refund,
    "CreditMemo": _memo,
    "DebitMemo": _memo,
    "InvoiceItemAdjustment": _adjustment,
}


def open_in_zuora(books: Books) -> tuple[dict[tuple[str, str], Decimal], dict[tuple[str, str], Decimal]]:
    """Return what Zuora says is receivable and what is unapplied, by company and currency, from its own balances."""
    receivable: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    unapplied: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for one in books.documents:
        document = one["document"]
        if document.get("status") not in POSTED or one["kind"] == "Refund":
            continue
        place = (books.account_of(one)["company"], books.currency(one))
        match one["kind"]:
            case "Invoice" | "DebitMemo":
                receivable[place] += document["balance"]
            case "CreditMemo":
                receivable[place] -= document["unappliedAmount"]
            case "Payment":
                unapplied[place] += document["unappliedAmount"] + elsewhere(one)
                for part in one["parts"]:
                    # It stays on unapplied cash of the payer: the other's receivable is lower in Zuora alone.
                    owner = part["billingDocumentOwnerId"]
                    if owner and owner != document["accountId"]:
                        other = books.account_of({"document": {"accountId": owner}})["company"]
                        receivable[other, place[1]] += part["amount"]
    return dict(receivable), dict(unapplied)

"""Believable data, the same for the same seed: customers, what they buy, discounts, taxes, payments."""

from decimal import Decimal

from deploy.sandbox.exact import Json, minor_unit, rounded
from deploy.sandbox.zuora import documents, invoices, payments
from deploy.sandbox.zuora.catalog import (
    DISCOUNT,
    MARKETS,
    NAME_ENDS,
    NAME_STARTS,
    PEOPLE,
    PRODUCTS,
    Market,
    Product,
    gateway_for,
    market_of,
)
from deploy.sandbox.zuora.store import Record, Store, wire_time

#: One invoice in so many is long: more items than fit on one page of 40.
_LONG_INVOICE_EVERY = 50
_DISCOUNT_SHARE = 0.25
_PAYMENT_EXTERNAL_SHARE = 0.15
_PAYMENT_UNAPPLIED_SHARE = 0.2


class Generator:
    """Fills a store. All chance comes from the store's seed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._random = store.random
        self._invoices = 0

    def account(self, *, name: str = "", currency: str = "") -> Record:
        """A new customer, in a market that bills in the currency asked for, or any."""
        market = (
            market_of(currency)
            if currency
            else self._random.choices(MARKETS, weights=range(len(MARKETS) + 1, 1, -1))[0]
        )
        first, _, last = self._random.choice(PEOPLE).partition(" ")
        company = (
            f"{self._random.choice(NAME_STARTS)} {self._random.choice(NAME_ENDS)} {self._random.choice(market.forms)}"
        )
        name = name or company
        contact = documents.contact(
            key=self._store.new_key(),
            first=first,
            last=last,
            city=self._random.choice(market.cities),
            country=market.country,
            email=f"{first}.{last}@example.com".lower(),
        )
        document = documents.account(
            key=self._store.new_key(),
            number=self._store.new_number("Account"),
            name=name,
            currency=market.currency,
            contact=contact,
            now=wire_time(self._store.now()),
            gateway=gateway_for(market.currency),
        )
        return self._store.add("Account", document)

    def any_account(self) -> Record:
        """One of the customers; the first is made when there is none."""
        accounts = self._store.by_kind.get("Account")
        return self._random.choice(accounts) if accounts else self.account()

    def invoice(self, account: Record, *, items: int = 0, date: str = "", currency: str = "") -> Record:
        """A draft invoice with believable items; `items` 0 draws 1 to 6, and now and then more than 40."""
        self._invoices += 1
        if not items:
            items = (
                self._random.randint(41, 60)
                if self._invoices % _LONG_INVOICE_EVERY == 0
                else self._random.randint(1, 6)
            )
        currency = currency or account.document["billingAndPayment"]["currency"]
        market = self._market(account, currency)
        drawn = [self._charge(market, currency, self._random.choice(PRODUCTS)) for _ in range(items)]
        record = invoices.create(self._store, account, drawn, date=date, currency=currency)
        if items > 1 and self._random.random() < _DISCOUNT_SHARE:
            self._discount(record, market)
        return record

    def payment(self, account: Record, invoice: Record | None = None) -> Record:
        """A payment: mostly electronic and for one invoice in full, now and then external, short, or unapplied."""
        kind = "External" if self._random.random() < _PAYMENT_EXTERNAL_SHARE else "Electronic"
        if invoice is None or invoice.document["balance"] <= 0 or self._random.random() < _PAYMENT_UNAPPLIED_SHARE:
            currency = account.document["billingAndPayment"]["currency"]
            amount = rounded(Decimal(self._random.randint(50, 5000)), currency)
            return payments.create(self._store, account, amount, kind=kind)
        balance = invoice.document["balance"]
        applications = [{"invoiceId": invoice.key, "amount": balance}]
        currency, date = invoice.document["currency"], invoice.document["invoiceDate"]
        return payments.create(
            self._store, account, balance, kind=kind, applications=applications, currency=currency, date=date
        )

    def _market(self, account: Record, currency: str) -> Market:
        country = account.document["billToContact"]["country"]
        return next(
            (market for market in MARKETS if (market.country, market.currency) == (country, currency)),
            market_of(currency),
        )

    def _charge(self, market: Market, currency: str, product: Product) -> Json:
        quantity = (
            self._random.choice((1, 1, 2, 5, 10, 25))
            if product.charge_type != "Usage"
            else self._random.randint(100, 90_000)
        )
        price = product.price * market.price_factor
        charge = max(rounded(price * quantity, currency), minor_unit(currency))
        taxes = [
            {
                "taxCode": tax.code,
                "name": tax.name,
                "taxRate": tax.rate,
                "jurisdiction": tax.jurisdiction,
                "taxAmount": rounded(charge * tax.rate, currency),
            }
            for tax in market.taxes
        ]
        return {
            "sku": product.sku,
            "productName": product.name,
            "chargeName": f"{product.name} - {product.charge}",
            "chargeType": product.charge_type,
            "quantity": quantity,
            "unitPrice": price,
            "unitOfMeasure": product.unit,
            "chargeAmount": charge,
            "accountingCode": product.accounting_code,
            "deferredRevenueAccountingCode": product.deferred_code,
            "recognizedRevenueAccountingCode": product.accounting_code,
            "subscriptionId": self._store.new_key(),
            "subscriptionName": f"A-S{self._random.randint(1, 99999):08d}",
            "taxes": taxes,
        }

    def _discount(self, record: Record, market: Market) -> None:
        """Add a discount on the first item: its own negative item, with the tax that it lowers."""
        first, currency = record.items[0], record.document["currency"]
        off = -rounded(first["chargeAmount"] * self._random.choice((5, 10, 15)) / 100, currency)
        item = self._charge(market, currency, DISCOUNT) | {
            "processingType": "Discount",
            "chargeAmount": off,
            "quantity": 1,
            "unitPrice": off,
            "appliedToItemId": first["id"],
            "taxes": [
                {
                    "taxCode": tax.code,
                    "name": tax.name,
                    "taxRate": tax.rate,
                    "jurisdiction": tax.jurisdiction,
                    "taxAmount": rounded(off * tax.rate, currency),
                }
                for tax in market.taxes
            ],
        }
        record.items.append(invoices.new_item(self._store, record.document["invoiceDate"], currency, item))
        invoices.add_up(record.document, record.items)

"""The life of an invoice: draft, posted, back to draft, changed, cancelled."""

import datetime as dt
from decimal import Decimal
from typing import Any

from deploy.sandbox.exact import Json, rounded
from deploy.sandbox.zuora import documents
from deploy.sandbox.zuora.store import Record, SandboxError, Store

_ITEM_AMOUNTS = ("chargeAmount", "taxAmount", "unitPrice", "quantity")
_TAX_CHANGES = ("taxAmount", "taxRate", "exemptAmount")


def new_item(store: Store, date: str, currency: str, given: Json) -> Json:
    """Make an item from what a test or the generator gives.

    `taxes` is a list of {taxCode, taxAmount | taxRate, name}.
    """
    known = {
        name: Decimal(str(value)) if name in _ITEM_AMOUNTS else value
        for name, value in given.items()
        if name != "taxes"
    }
    net = known.setdefault("chargeAmount", documents.ZERO)
    taxes = [_new_tax(store, date, currency, net, tax) for tax in given.get("taxes", [])]
    if taxes:
        known.setdefault("taxAmount", rounded(sum((tax["taxAmount"] for tax in taxes), documents.ZERO), currency))
        known.setdefault("taxCode", taxes[0]["taxCode"])
    known.setdefault("balance", net)
    known.setdefault("availableToCreditAmount", net)
    now = store.now().strftime("%Y-%m-%d %H:%M:%S")
    return documents.invoice_item(key=store.new_key(), date=date, now=now, **{**known, "taxationItems": taxes})


def _new_tax(store: Store, date: str, currency: str, net: Decimal, given: Json) -> Json:
    rate = Decimal(str(given.get("taxRate", 0)))
    amount = Decimal(str(given["taxAmount"])) if "taxAmount" in given else rounded(net * rate, currency)
    code = given.get("taxCode")
    return documents.taxation_item(
        key=store.new_key(),
        code=code or "",
        name=given.get("name", "Tax"),
        rate=rate,
        amount=amount,
        place=given.get("jurisdiction", ""),
        date=date,
    )


def add_up(invoice: Json, items: list[Json]) -> None:
    """Set the header's amounts from the items, as Zuora does: net, tax, and both."""
    currency = invoice["currency"]
    net = sum((item["chargeAmount"] for item in items if item["processingType"] != "Tax"), documents.ZERO)
    own_items = sum((item["chargeAmount"] for item in items if item["processingType"] == "Tax"), documents.ZERO)
    tax = rounded(sum((item["taxAmount"] for item in items), own_items), currency)
    discount = sum((item["chargeAmount"] for item in items if item["processingType"] == "Discount"), documents.ZERO)
    amount = rounded(net, currency) + tax
    invoice |= {
        "amountWithoutTax": rounded(net, currency),
        "taxAmount": tax,
        "discount": abs(discount),
        "amount": amount,
        "balance": amount,
    }


def create(
    store: Store, account: Record, items: list[Json], *, date: str = "", currency: str = "", header: Json | None = None
) -> Record:
    """Make a draft invoice; `header` overrides single fields afterwards, also to make it wrong on purpose."""
    date = date or store.business_date.isoformat()
    currency = currency or account.document["billingAndPayment"]["currency"]
    due = (dt.date.fromisoformat(date) + dt.timedelta(days=30)).isoformat()
    now = store.now().strftime("%Y-%m-%d %H:%M:%S")
    invoice = documents.invoice(
        key=store.new_key(),
        number=store.new_number("Invoice"),
        account_id=account.key,
        currency=currency,
        date=date,
        due=due,
        now=now,
    )
    made = [new_item(store, date, currency, item) for item in items]
    add_up(invoice, made)
    _override(invoice, header or {})
    return store.add("Invoice", invoice, items=made)


def _override(document: Json, changes: Json) -> None:
    # A tenant's own fields end in __c, and any may be there.
    unknown = sorted(name for name in set(changes) - set(document) if not name.endswith("__c"))
    if unknown:
        raise SandboxError(f"an invoice has no {', '.join(unknown)}")
    for name, value in changes.items():
        document[name] = Decimal(str(value)) if isinstance(document.get(name), Decimal) else value


def post(store: Store, record: Record) -> None:
    """Post a draft; its account owes the amount."""
    _expect(record, "Draft")
    record.document |= {"status": "Posted", "postedDate": store.now().date().isoformat(), "postedBy": documents.USER_ID}
    store.balance(record, "totalInvoiceBalance", record.document["balance"])
    store.touch(record)
    store.announce(record, "InvoicePosted")


def unpost(store: Store, record: Record) -> None:
    """Make a posted invoice a draft again. Zuora has no standard event for it."""
    _expect(record, "Posted")
    store.balance(record, "totalInvoiceBalance", -record.document["balance"])
    record.document |= {"status": "Draft", "postedDate": None, "postedBy": None}
    store.touch(record)
    store.announce(record, "InvoiceUnposted")


def cancel(store: Store, record: Record) -> None:
    """Cancel a draft (Zuora writes `Canceled`)."""
    _expect(record, "Draft")
    record.document["status"] = "Canceled"
    store.touch(record)
    store.announce(record, "InvoiceCanceled")


def edit(
    store: Store,
    record: Record,
    *,
    header: Json | None = None,
    items: list[Json] | None = None,
    account: Record | None = None,
) -> None:
    """Change a draft: its items (given anew), single header fields, the account it belongs to."""
    _expect(record, "Draft")
    if items is not None:
        record.items = [
            new_item(store, record.document["invoiceDate"], record.document["currency"], item) for item in items
        ]
        add_up(record.document, record.items)
    if account is not None:
        record.document["accountId"] = account.key
    _override(record.document, header or {})
    store.touch(record)
    store.announce(record, "InvoiceUpdated")


def settle(store: Store, record: Record, field: str, amount: Decimal) -> None:
    """Lower (or with a negative amount raise) what is open, by a payment or a memo.

    Raises SandboxError when too much.
    """
    balance: Any = record.document["balance"]
    if amount > balance:
        raise SandboxError(f"{record.number} has only {balance} open, not {amount}")
    record.document["balance"] = balance - amount
    record.document[field] += amount
    store.balance(record, "totalInvoiceBalance" if record.kind == "Invoice" else "totalDebitMemoBalance", -amount)
    store.touch(record)


def _expect(record: Record, status: str) -> None:
    if record.document["status"] != status:
        raise SandboxError(f"{record.number} is {record.document['status']}, not {status}")

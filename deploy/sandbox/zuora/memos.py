"""Credit and debit memos, write-offs, refunds of memos, and adjustments of invoice items."""

import datetime as dt
from decimal import Decimal

from deploy.sandbox.exact import Json, rounded
from deploy.sandbox.zuora import documents, invoices, memo_documents
from deploy.sandbox.zuora.catalog import WRITE_OFF
from deploy.sandbox.zuora.store import Record, SandboxError, Store, wire_time


def from_invoice(
    store: Store,
    invoice: Record,
    kind: str,
    *,
    share: Decimal = Decimal(1),
    date: str = "",
    write_off: bool = False,
    tax_inclusive: bool = False,
) -> Record:
    """Make a posted memo of a share (0..1) of every item of an invoice. `kind` is CreditMemo or DebitMemo.

    With `tax_inclusive` the items' `amount` holds their tax.
    """
    date = date or store.business_date.isoformat()
    due = (dt.date.fromisoformat(date) + dt.timedelta(days=30)).isoformat()
    memo = memo_documents.memo(
        kind=kind,
        key=store.new_key(),
        number=store.new_number(kind),
        account=store.account_of(invoice).document,
        currency=invoice.document["currency"],
        date=date,
        due=due,
        now=wire_time(store.now()),
    )
    memo["referredInvoiceId"] = invoice.key
    items = [
        _item(store, kind, item, share, invoice.document["currency"], write_off=write_off) for item in invoice.items
    ]
    if tax_inclusive:
        _include_tax(items)
    tax = sum((each["taxAmount"] for item in items for each in item["taxationItems"]), documents.ZERO)
    amount = sum((item["amountWithoutTax"] for item in items), documents.ZERO) + tax
    own_items = (item["amountWithoutTax"] for item in items if item["processingType"] == "Tax")
    memo |= {
        "amount": amount,
        "taxAmount": tax + sum(own_items, documents.ZERO),
        "status": "Posted",
        "postedOn": wire_time(store.now()),
        "postedById": documents.USER_ID,
    }
    memo |= {"balance": amount} if kind == "DebitMemo" else {"unappliedAmount": amount}
    if write_off:
        memo |= {"revenueImpacting": "No", "reasonCode": "Write-off"}
    record = store.add(kind, memo, items=items)
    store.balance(record, "totalDebitMemoBalance" if kind == "DebitMemo" else "unappliedCreditMemoAmount", amount)
    store.announce(record, f"{kind}Posted")
    return record


def _item(store: Store, kind: str, item: Json, share: Decimal, currency: str, *, write_off: bool) -> Json:
    net = rounded(item["chargeAmount"] * share, currency)
    finance = memo_documents.memo_finance(
        kind,
        recognized=item["recognizedRevenueAccountingCode"],
        deferred=item["deferredRevenueAccountingCode"],
        write_off=WRITE_OFF if write_off else None,
    )
    taxes = [
        memo_documents.memo_taxation_item(
            kind, tax, key=store.new_key(), amount=rounded(tax["taxAmount"] * share, currency)
        )
        for tax in item["taxationItems"]
    ]
    credited = {"creditFromItemId": item["id"]} if kind == "CreditMemo" else {}
    return memo_documents.memo_item(
        kind=kind,
        key=store.new_key(),
        amount=net,
        net=net,
        finance=finance,
        taxes=taxes,
        now=wire_time(store.now()),
        processingType=item["processingType"],
        sku=item["sku"],
        skuName=item["productName"],
        sourceItemId=item["id"],
        serviceStartDate=item["serviceStartDate"],
        serviceEndDate=item["serviceEndDate"],
        subscriptionId=item["subscriptionId"],
        **credited,
    )


def _include_tax(items: list[Json]) -> None:
    for item in items:
        gross = item["amountWithoutTax"] + sum((tax["taxAmount"] for tax in item["taxationItems"]), documents.ZERO)
        open_amount = "balance" if "balance" in item else "unappliedAmount"
        item |= {"taxMode": "TaxInclusive", "amount": gross, open_amount: gross}


def apply(store: Store, memo: Record, applications: list[Json]) -> None:
    """Apply a credit memo to invoices; no standard event for it."""
    for application in applications:
        amount = Decimal(str(application["amount"]))
        if amount > memo.document["unappliedAmount"]:
            raise SandboxError(f"{memo.number} has only {memo.document['unappliedAmount']} unapplied, not {amount}")
        invoices.settle(store, store.get("Invoice", application["invoiceId"]), "creditMemoAmount", amount)
        memo.document["appliedAmount"] += amount
        _use(store, memo, amount)
        memo.parts.append(
            {
                "id": store.new_key(),
                "invoiceId": application["invoiceId"],
                "debitMemoId": None,
                "amount": amount,
                "createdById": documents.USER_ID,
                "createdDate": wire_time(store.now()),
                "updatedById": documents.USER_ID,
                "updatedDate": wire_time(store.now()),
                "organizationLabel": None,
            }
        )
    store.touch(memo)
    store.announce(memo, "CreditMemoApplied")


def write_off(store: Store, invoice: Record, *, date: str = "") -> Record:
    """Write an invoice off: a credit memo of it, without impact on revenue, applied to what is open."""
    memo = from_invoice(store, invoice, "CreditMemo", date=date, write_off=True)
    amount = min(invoice.document["balance"], memo.document["amount"])
    apply(store, memo, [{"invoiceId": invoice.key, "amount": amount}])
    return memo


def refund(store: Store, memo: Record, amount: Decimal, *, kind: str = "Electronic", date: str = "") -> Record:
    """Refund a credit memo's unapplied amount."""
    if amount > memo.document["unappliedAmount"]:
        raise SandboxError(f"{memo.number} has no {amount} left to refund")
    memo.document["refundAmount"] += amount
    _use(store, memo, amount)
    store.touch(memo)
    now = wire_time(store.now())
    made = documents.refund(
        key=store.new_key(),
        number=store.new_number("Refund"),
        account_id=memo.document["accountId"],
        kind=kind,
        amount=amount,
        date=date or store.business_date.isoformat(),
        now=now,
        creditMemoId=memo.key,
        gatewayId=store.account_of(memo).document["billingAndPayment"]["paymentGateway"]
        if kind == "Electronic"
        else None,
    )
    part = documents.refund_part(key=store.new_key(), payment_id=None, memo_id=memo.key, amount=amount, now=now)
    record = store.add("Refund", made, parts=[part])
    if kind == "Electronic":
        store.announce(record, "CreditMemoRefundProcessed")
    return record


def adjust(store: Store, invoice: Record, amount: Decimal, *, kind: str, item: int, source: str, date: str) -> Record:
    """Adjust an item of an invoice (`Credit` lowers, `Charge` raises), or with source `Tax` its first taxation item."""
    if kind not in {"Credit", "Charge"}:
        raise SandboxError("type is Credit or Charge")
    chosen = invoice.items[item]
    source_id = chosen["taxationItems"][0]["id"] if source == "Tax" else chosen["id"]
    made = memo_documents.adjustment(
        key=store.new_key(),
        number=store.new_number("InvoiceItemAdjustment"),
        invoice=invoice.document,
        item_id=source_id,
        code=chosen["accountingCode"],
        kind=kind,
        amount=amount,
        date=date or store.business_date.isoformat(),
        now=wire_time(store.now()),
        source=source,
    )
    signed = amount if kind == "Credit" else -amount
    invoices.settle(store, invoice, "adjustmentAmount", signed)
    record = store.add("InvoiceItemAdjustment", made)
    store.announce(record, "InvoiceItemAdjustmentCreated")
    return record


def _use(store: Store, memo: Record, amount: Decimal) -> None:
    memo.document["unappliedAmount"] -= amount
    store.balance(memo, "unappliedCreditMemoAmount", -amount)

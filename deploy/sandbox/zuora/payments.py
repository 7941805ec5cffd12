"""The life of a payment: processed, applied, unapplied, moved, refunded, cancelled."""

from decimal import Decimal

from deploy.sandbox.exact import Json
from deploy.sandbox.zuora import documents, invoices
from deploy.sandbox.zuora.catalog import gateway_for
from deploy.sandbox.zuora.store import Record, SandboxError, Store, wire_time


def create(
    store: Store,
    account: Record,
    amount: Decimal,
    *,
    kind: str = "Electronic",
    currency: str = "",
    date: str = "",
    gateway: str | None = None,
    applications: list[Json] | None = None,
) -> Record:
    """Make a processed payment.

    `applications` is a list of {invoiceId | debitMemoId, amount}; the rest stays unapplied.
    """
    if kind not in {"Electronic", "External"}:
        raise SandboxError("type is Electronic or External")
    currency = currency or account.document["billingAndPayment"]["currency"]
    chosen = (gateway or gateway_for(currency)) if kind == "Electronic" else gateway
    payment = documents.payment(
        key=store.new_key(),
        number=store.new_number("Payment"),
        account=account.document,
        kind=kind,
        amount=amount,
        currency=currency,
        date=date or store.business_date.isoformat(),
        gateway=chosen,
        now=wire_time(store.now()),
    )
    record = store.add("Payment", payment)
    store.balance(record, "unappliedPaymentAmount", amount)
    for application in applications or []:
        _apply(store, record, application)
    _rebuild_unapplied(store, record)
    store.announce(record, "PaymentProcessed" if kind == "Electronic" else "ExternalPaymentProcessed")
    return record


def apply(store: Store, record: Record, applications: list[Json]) -> None:
    """Apply what is unapplied to invoices or debit memos. Zuora has no standard event for it."""
    for application in applications:
        _apply(store, record, application)
    _changed(store, record, "PaymentApplied")


def unapply(store: Store, record: Record, applications: list[Json]) -> None:
    """Take applied amounts back from invoices or debit memos."""
    for application in applications:
        amount = Decimal(str(application["amount"]))
        part = _part_for(record, application)
        if part is None or part["amount"] < amount:
            raise SandboxError(f"{record.number} has not applied {amount} there")
        part["amount"] -= amount
        part["updatedDate"] = wire_time(store.now())
        record.parts = [each for each in record.parts if each["amount"]]
        _shift(store, record, -amount)
        invoices.settle(store, _target(store, application), _field(application), -amount)
    _changed(store, record, "PaymentUnapplied")


def transfer(store: Store, record: Record, account: Record) -> None:
    """Move an unapplied payment to another account."""
    if record.document["appliedAmount"]:
        raise SandboxError(f"{record.number} is applied; unapply it first")
    unapplied = record.document["unappliedAmount"]
    store.balance(record, "unappliedPaymentAmount", -unapplied)
    record.document |= {"accountId": account.key, "accountNumber": account.number}
    store.balance(record, "unappliedPaymentAmount", unapplied)
    _changed(store, record, "PaymentTransferred")


def cancel(store: Store, record: Record) -> None:
    """Cancel an unapplied payment."""
    if record.document["appliedAmount"] or record.document["status"] != "Processed":
        raise SandboxError(f"{record.number} is applied or not Processed")
    store.balance(record, "unappliedPaymentAmount", -record.document["unappliedAmount"])
    record.document |= {"status": "Canceled", "cancelledOn": wire_time(store.now())}
    store.touch(record)
    store.announce(record, "PaymentCanceled")


def refund(
    store: Store,
    record: Record,
    amount: Decimal,
    *,
    kind: str = "Electronic",
    date: str = "",
    transaction_type: str | None = None,
) -> Record:
    """Refund a payment: unapplied money first, then what is applied (a chargeback opens the invoices again)."""
    payment = record.document
    if amount > payment["amount"] - payment["refundAmount"]:
        raise SandboxError(f"{record.number} has no {amount} left to refund")
    for part in [each for each in record.parts if each["invoiceId"] or each["debitMemoId"]]:
        missing = amount - payment["unappliedAmount"]
        if missing > 0:
            unapply(store, record, [{**part, "amount": min(missing, part["amount"])}])
    payment["unappliedAmount"] -= amount
    payment["refundAmount"] += amount
    store.balance(record, "unappliedPaymentAmount", -amount)
    _changed(store, record, "PaymentRefunded")
    now = wire_time(store.now())
    made = documents.refund(
        key=store.new_key(),
        number=store.new_number("Refund"),
        account_id=payment["accountId"],
        kind=kind,
        amount=amount,
        date=date or store.business_date.isoformat(),
        now=now,
        paymentId=record.key,
        paymentNumber=record.number,
        gatewayId=payment["gatewayId"] if kind == "Electronic" else None,
        refundTransactionType=transaction_type,
    )
    part = documents.refund_part(key=store.new_key(), payment_id=record.key, memo_id=None, amount=amount, now=now)
    result = store.add("Refund", made, parts=[part])
    store.announce(result, "PaymentRefundProcessed" if kind == "Electronic" else "ExternalPaymentRefundProcessed")
    return result


def _apply(store: Store, record: Record, application: Json) -> None:
    amount = Decimal(str(application["amount"]))
    if amount > record.document["unappliedAmount"]:
        raise SandboxError(f"{record.number} has only {record.document['unappliedAmount']} unapplied, not {amount}")
    target = _target(store, application)
    invoices.settle(store, target, _field(application), amount)
    _shift(store, record, amount)
    part = _part_for(record, application)
    if part is not None:
        part["amount"] += amount
        part["updatedDate"] = wire_time(store.now())
        return
    invoice_id = target.key if target.kind == "Invoice" else None
    debit_memo_id = target.key if target.kind == "DebitMemo" else None
    owner = target.document["accountId"]
    now = wire_time(store.now())
    record.parts.append(
        documents.payment_part(
            key=store.new_key(), invoice_id=invoice_id, debit_memo_id=debit_memo_id, owner=owner, amount=amount, now=now
        )
    )


def _changed(store: Store, record: Record, event: str) -> None:
    _rebuild_unapplied(store, record)
    store.touch(record)
    store.announce(record, event)


def _rebuild_unapplied(store: Store, record: Record) -> None:
    """The unapplied rest is a part of its own, with no document; a fully refunded payment has no parts."""
    record.parts = [part for part in record.parts if part["invoiceId"] or part["debitMemoId"]]
    rest = record.document["unappliedAmount"]
    if rest:
        record.parts.append(
            documents.payment_part(
                key=store.new_key(),
                invoice_id=None,
                debit_memo_id=None,
                owner=None,
                amount=rest,
                now=wire_time(store.now()),
            )
        )


def _shift(store: Store, record: Record, amount: Decimal) -> None:
    record.document["appliedAmount"] += amount
    record.document["unappliedAmount"] -= amount
    store.balance(record, "unappliedPaymentAmount", -amount)


def _target(store: Store, application: Json) -> Record:
    if application.get("invoiceId"):
        return store.get("Invoice", application["invoiceId"])
    return store.get("DebitMemo", application.get("debitMemoId") or "")


def _field(application: Json) -> str:
    return "paymentAmount" if application.get("invoiceId") else "beAppliedAmount"


def _part_for(record: Record, application: Json) -> Json | None:
    for part in record.parts:
        if (application.get("invoiceId") and part["invoiceId"] == application["invoiceId"]) or (
            application.get("debitMemoId") and part["debitMemoId"] == application["debitMemoId"]
        ):
            return part
    return None

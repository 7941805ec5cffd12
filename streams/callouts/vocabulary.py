"""The words by which callouts name events, objects and ids; there is no fixed schema, a tenant's admin chooses them.

Names are compared by their letters and digits alone: `Invoice.ID`, `invoice_id` and `InvoiceId` are one.
"""

import re
from typing import Any

from schemas.base import DocumentType

SUBJECTS = {
    "invoice": DocumentType.INVOICE,
    "payment": DocumentType.PAYMENT,
    "refund": DocumentType.REFUND,
    "paymentrefund": DocumentType.REFUND,
    "creditmemorefund": DocumentType.REFUND,
    "creditbalancerefund": DocumentType.REFUND,
    "creditmemo": DocumentType.CREDIT_MEMO,
    "debitmemo": DocumentType.DEBIT_MEMO,
    "adjustment": DocumentType.ADJUSTMENT,
    "invoiceadjustment": DocumentType.ADJUSTMENT,
    "invoiceitemadjustment": DocumentType.ADJUSTMENT,
}
"""What events are about and objects are called."""

EVENT_CODES = {
    "1110": DocumentType.INVOICE,
    "2110": DocumentType.PAYMENT,
    "2120": DocumentType.PAYMENT,
    "2410": DocumentType.REFUND,
    "2420": DocumentType.REFUND,
    "2430": DocumentType.REFUND,
    "2720": DocumentType.CREDIT_MEMO,
    "2820": DocumentType.DEBIT_MEMO,
}
"""Zuora's codes of standard events (Zuora: parent and event category code for events and notifications)."""

EVENT_KEYS = ("event", "eventtype", "eventtypename", "eventname", "eventcategory")
OBJECT_TYPE_KEYS = ("objecttype", "documenttype")
OBJECT_ID_KEYS = ("objectid", "id")
OBJECT_NUMBER_KEYS = ("objectnumber", "documentnumber", "number")
ACCOUNT_ID_KEYS = ("accountid",)

ENVELOPES = ("data", "payload", "body", "callout", "notification", "parameters")
"""Objects in custom bodies that say nothing of what is in them."""

TYPED_ID_KEYS = {
    "adjustmentid": DocumentType.ADJUSTMENT,
    "invoiceitemadjustmentid": DocumentType.ADJUSTMENT,
    "invoiceadjustmentid": DocumentType.ADJUSTMENT,
    "refundid": DocumentType.REFUND,
    "creditmemoid": DocumentType.CREDIT_MEMO,
    "debitmemoid": DocumentType.DEBIT_MEMO,
    "paymentid": DocumentType.PAYMENT,
    "invoiceid": DocumentType.INVOICE,
}
"""Keys that alone tell the type. In this order: a refund names the payment that it gives back, a memo or an adjustment
its invoice, never the other way round; so of several the first is what the callout is about."""

NUMBER_KEYS = {
    DocumentType.INVOICE: ("invoicenumber", "invoiceinvoicenumber"),
    DocumentType.PAYMENT: ("paymentnumber", "paymentpaymentnumber"),
    DocumentType.REFUND: ("refundnumber", "refundrefundnumber"),
    DocumentType.CREDIT_MEMO: ("creditmemonumber", "creditmemomemonumber", "memonumber"),
    DocumentType.DEBIT_MEMO: ("debitmemonumber", "debitmemomemonumber", "memonumber"),
    DocumentType.ADJUSTMENT: ("adjustmentnumber", "invoiceitemadjustmentnumber"),
}
"""`InvoiceInvoiceNumber` is what Zuora's template editor makes of `DataSource.Invoice.InvoiceNumber`."""

# What happens to documents. A verb is demanded so that `PaymentMethodUpdated` or `PaymentRunCompletion` is no payment.
_VERBS = (
    "posted|processed|declined|created|updated|changed|edited|deleted|cancell?ed|reversed|unposted|voided|applied|"
    "unapplied|transferred|writtenoff|writeoff|generated|settled|received|failed"
)
_EVENT = re.compile(rf"(?:external)?({'|'.join(sorted(SUBJECTS, key=len, reverse=True))})(?:$|{_VERBS})")

_CREDENTIAL = re.compile(
    r"token|secret|passw|passphrase|pwd|apikey|apiclient|clientid|authorization|credential|signature|privatekey|"
    r"accesskey|sessionid|^(?:auth|hmac|key|pass|sig)$"
)


def plain(name: str) -> str:
    """Return a name's letters and digits in lower case."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def type_of_event(event: str) -> DocumentType | None:
    """Return what an event is about: a name such as `InvoicePosted`, with or without a namespace, or a code."""
    if event in EVENT_CODES:
        return EVENT_CODES[event]
    name = _EVENT.match(plain(event.rpartition(":")[2]))
    return SUBJECTS[name[1]] if name else None


def type_of_object(name: str) -> DocumentType | None:
    """Return the document type by the name of a Zuora object, such as `CreditMemo`."""
    return SUBJECTS.get(plain(name))


def without_credentials(value: Any) -> Any:
    """Return JSON without the keys that look like credentials: they must not reach a topic that is kept forever.

    Older callouts carry them in the URL (`?apiToken=…`).
    """
    if isinstance(value, dict):
        return {
            name: without_credentials(inner) for name, inner in value.items() if not _CREDENTIAL.search(plain(name))
        }
    if isinstance(value, list):
        return [without_credentials(inner) for inner in value]
    return value

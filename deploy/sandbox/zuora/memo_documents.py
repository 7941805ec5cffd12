"""How memos and adjustments look; see `documents` for the rules that all documents follow."""

from decimal import Decimal
from typing import Any

from deploy.sandbox.exact import Json
from deploy.sandbox.zuora.documents import PROFILE_ID, USER_ID, ZERO, audit, nothing


def memo(*, kind: str, key: str, number: str, account: Json, currency: str, date: str, due: str, now: str) -> Json:
    """A draft credit or debit memo without items. `kind` is CreditMemo or DebitMemo."""
    shared = {
        "id": key,
        "number": number,
        "accountId": account["basicInfo"]["id"],
        "accountNumber": account["basicInfo"]["accountNumber"],
        "status": "Draft",
        "targetDate": None,
        "postedOn": None,
        "postedById": None,
        "currency": currency,
        **dict.fromkeys(("amount", "taxAmount", "totalTaxExemptAmount"), ZERO),
        "reasonCode": "Correcting invoice error",
        "comment": "",
        "sourceType": "Invoice",
        "referredInvoiceId": None,
        "taxStatus": "Complete",
        "transferredToAccounting": "No",
        "communicationProfileId": PROFILE_ID,
        "organizationLabel": None,
        **nothing(
            "taxMessage",
            "latestPDFFileId",
            "billToContactId",
            "billToContactSnapshotId",
            "sequenceSetId",
            "invoiceGroupNumber",
            "cancelledOn",
            "cancelledById",
            "eInvoiceStatus",
            "eInvoiceErrorCode",
            "eInvoiceErrorMessage",
            "eInvoiceFileId",
        ),
        **audit(now),
    }
    if kind == "DebitMemo":
        return {
            **shared,
            "debitMemoDate": date,
            "dueDate": due,
            "paymentTerm": "Net 30",
            "balance": ZERO,
            "beAppliedAmount": ZERO,
            "autoPay": True,
            "referredCreditMemoId": None,
            "soldToContactId": None,
            "soldToContactSnapshotId": None,
        }
    return {
        **shared,
        "creditMemoDate": date,
        "appliedAmount": ZERO,
        "unappliedAmount": ZERO,
        "refundAmount": ZERO,
        "source": "API",
        "sourceId": None,
        "reversed": False,
        "revenueImpacting": "Yes",
        "autoApplyUponPosting": False,
        "excludeFromAutoApplyRules": False,
        "taxAutoCalculation": True,
    }


def memo_item(
    *, kind: str, key: str, amount: Decimal, net: Decimal, finance: Json, taxes: list[Json], now: str, **known: Any
) -> Json:
    """An item of a memo; `amount` is gross where the tax is inclusive, `net` never holds tax."""
    item = {
        "id": key,
        "amount": amount,
        "amountWithoutTax": net,
        "processingType": "Charge",
        "quantity": Decimal(1),
        "unitPrice": net,
        "unitOfMeasure": "",
        "sku": "",
        "skuName": "",
        "description": "",
        "serviceStartDate": None,
        "serviceEndDate": None,
        "subscriptionId": None,
        "sourceItemType": "InvoiceDetail",
        "sourceItemId": None,
        "appliedToItemId": None,
        "taxMode": "TaxExclusive",
        "excludeItemBillingFromRevenueAccounting": False,
        "financeInformation": finance,
        "taxationItems": taxes,
        **audit(now),
    }
    if kind == "DebitMemo":
        return {**item, "beAppliedAmount": ZERO, "balance": amount, **known}
    return {
        **item,
        "appliedAmount": ZERO,
        "unappliedAmount": amount,
        "refundAmount": ZERO,
        "creditFromItemSource": "InvoiceItem",
        "creditFromItemId": None,
        **known,
    }


def memo_finance(kind: str, *, recognized: str | None, deferred: str | None, write_off: str | None = None) -> Json:
    """The accounting codes of a memo's item."""
    finance = {
        "deferredRevenueAccountingCode": deferred,
        "deferredRevenueAccountingCodeType": "DeferredRevenue" if deferred else None,
        "recognizedRevenueAccountingCode": recognized,
        "recognizedRevenueAccountingCodeType": "SalesRevenue" if recognized else None,
        "revenueRecognitionRuleName": "Recognize upon invoicing",
        "revenueScheduleNumber": None,
    }
    if kind == "CreditMemo":
        finance |= {
            "onAccountAccountingCode": "1519 On Account",
            "onAccountAccountingCodeType": "OnAccountReceivable",
            "nonRevenueWriteOffAccountingCode": write_off,
            "nonRevenueWriteOffAccountingCodeType": "BadDebt" if write_off else None,
        }
    return finance


def memo_taxation_item(kind: str, tax: Json, *, key: str, amount: Decimal) -> Json:
    """A taxation item of a memo's item, made from one of an invoice's item."""
    shared = {
        name: tax[name]
        for name in (
            "name",
            "taxCode",
            "taxCodeDescription",
            "taxDate",
            "taxRate",
            "taxRateType",
            "taxRateDescription",
            "exemptAmount",
            "jurisdiction",
            "locationCode",
        )
    }
    payable = {
        "salesTaxPayableAccountingCode": "2610 Output VAT",
        "salesTaxPayableAccountingCodeType": "SalesTaxPayable",
    }
    if kind == "DebitMemo":
        return {
            "id": key,
            **shared,
            "taxAmount": amount,
            "balance": amount,
            "paymentAmount": ZERO,
            "creditAmount": ZERO,
            "sourceTaxItemId": tax["id"],
            "financeInformation": payable,
        }
    return {
        "id": key,
        **shared,
        "taxAmount": amount,
        "appliedAmount": ZERO,
        "unappliedAmount": amount,
        "refundAmount": ZERO,
        "sourceTaxItemId": tax["id"],
        "financeInformation": {"onAccountAccountingCode": None, "onAccountAccountingCodeType": None, **payable},
    }


def adjustment(
    *,
    key: str,
    number: str,
    invoice: Json,
    item_id: str,
    code: str | None,
    kind: str,
    amount: Decimal,
    date: str,
    now: str,
    source: str = "InvoiceDetail",
) -> Json:
    """An invoice item adjustment as the older CRUD call gives it.

    `kind` is Credit or Charge, the amount is positive.
    """
    return {
        "Id": key,
        "AccountId": invoice["accountId"],
        "AccountingCode": code,
        "AdjustmentDate": date,
        "AdjustmentNumber": number,
        "Amount": amount,
        "Comment": "",
        "InvoiceId": invoice["id"],
        "InvoiceNumber": invoice["invoiceNumber"],
        "InvoiceItemName": "",
        "ReasonCode": "Invoice adjustment",
        "ReferenceId": "",
        "SourceId": item_id,
        "SourceType": source,
        "Status": "Processed",
        "Type": kind,
        "TransferredToAccounting": "No",
        "CreatedById": USER_ID,
        "CreatedDate": now,
        "UpdatedById": USER_ID,
        "UpdatedDate": now,
    }

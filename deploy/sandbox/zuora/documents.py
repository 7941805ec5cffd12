"""How Zuora's documents look: every key of the v1 answers, with what a fresh document holds.

Amounts are Decimals, dates are ISO text, datetimes are `yyyy-mm-dd hh:mm:ss` without an offset (UTC here). Key names and
types are those of Zuora's official models (zuora-sdk 3.21.0); the contract tests hold the sandbox to them.
"""

from decimal import Decimal
from typing import Any

from deploy.sandbox.exact import Json

ZERO = Decimal(0)
USER_ID = "2c92c0f86a8dd422016a9e7a70116b0d"
PROFILE_ID = "303d186840e611df817c002185d714e1"


def _none(*keys: str) -> Json:
    return dict.fromkeys(keys)


def _audit(now: str) -> Json:
    return {"createdById": USER_ID, "createdDate": now, "updatedById": USER_ID, "updatedDate": now}


def account(*, key: str, number: str, name: str, currency: str, contact: Json, now: str, gateway: str) -> Json:
    """An account as `GET /v1/accounts/{key}` gives it."""
    metrics = {
        "currency": currency,
        **dict.fromkeys(
            ("balance", "totalInvoiceBalance", "totalDebitMemoBalance", "creditBalance", "unappliedPaymentAmount",
             "unappliedCreditMemoAmount", "reservedPaymentAmount", "contractedMrr"), ZERO),
    }  # fmt: skip
    return {
        "basicInfo": {
            "id": key, "accountNumber": number, "name": name, "status": "Active", "batch": "Batch1", "crmId": "",
            "notes": "", "communicationProfileId": PROFILE_ID, "profileNumber": "CP-00000001", "salesRep": "",
            "partnerAccount": False, "defaultPaymentMethodId": None, "lastMetricsUpdate": now,
            **_none("parentId", "purchaseOrderNumber", "sequenceSetId", "invoiceTemplateId", "creditMemoTemplateId",
                    "debitMemoTemplateId", "organizationLabel", "tags", "customerServiceRepName"),
        },
        "billingAndPayment": {
            "currency": currency, "billCycleDay": 1, "bcdSettingOption": "ManualSet", "paymentTerm": "Net 30",
            "autoPay": True, "defaultPaymentMethodId": None, "paymentGateway": gateway,
            "invoiceDeliveryPrefsEmail": True, "invoiceDeliveryPrefsPrint": False, "additionalEmailAddresses": [],
        },
        "metrics": metrics, "metricsData": [metrics], "billToContact": contact, "soldToContact": dict(contact), "shipToContact": None,
        "taxInfo": {"exemptStatus": "No", **_none("VATId", "companyCode", "exemptCertificateId", "exemptCertificateType",
                    "exemptIssuingJurisdiction", "exemptDescription", "exemptEffectiveDate", "exemptExpirationDate", "exemptEntityUseCode")},
    }  # fmt: skip


def contact(*, key: str, first: str, last: str, city: str, country: str, email: str) -> Json:
    """A contact inside an account."""
    return {
        "id": key, "firstName": first, "lastName": last, "address1": "Market Street 1", "address2": "", "city": city,
        "state": "", "county": None, "zipCode": "10101", "country": country, "workEmail": email, "workPhone": "",
        "personalEmail": "", "mobilePhone": "", "homePhone": "", "otherPhone": "", "otherPhoneType": None, "fax": "",
        "nickname": "", "taxRegion": None,
    }  # fmt: skip


def invoice(*, key: str, number: str, account_id: str, currency: str, date: str, due: str, now: str) -> Json:
    """A draft invoice without items."""
    return {
        "id": key, "invoiceNumber": number, "accountId": account_id, "status": "Draft", "invoiceDate": date,
        "dueDate": due, "targetDate": date, "postedDate": None, "postedBy": None, "currency": currency,
        **dict.fromkeys(("amount", "amountWithoutTax", "taxAmount", "taxExemptAmount", "discount", "balance", "adjustmentAmount",
                         "creditMemoAmount", "paymentAmount", "refundAmount", "creditBalanceAdjustmentAmount"), ZERO),
        "autoPay": True, "paymentTerm": "Net 30", "comments": "", "transferredToAccounting": "No", "source": "BillRun",
        "sourceId": "BR-00000001", "sourceType": "Subscription", "billRunId": None, "includesOneTime": True,
        "includesRecurring": True, "includesUsage": True, "communicationProfileId": PROFILE_ID, "taxStatus": "Complete",
        **_none("billToContactId", "billToContactSnapshotId", "soldToContactId", "soldToContactSnapshotId", "shipToContactId",
                "shipToContactSnapshotId", "sequenceSetId", "templateId", "taxMessage", "eInvoiceStatus", "eInvoiceErrorCode",
                "eInvoiceErrorMessage", "eInvoiceFileId", "lastEmailSentDate", "invoiceGroupNumber"),
        **_audit(now),
    }  # fmt: skip


def invoice_item(*, key: str, date: str, now: str, **known: Any) -> Json:
    """An invoice item; `known` overrides what a plain charge holds."""
    item = {
        "id": key, "chargeDate": now, "chargeDescription": "", "chargeType": "Recurring", "description": "",
        "processingType": "Charge", "sourceItemType": "SubscriptionComponent", "quantity": Decimal(1), "unitOfMeasure": "",
        "unitPrice": ZERO, "chargeAmount": ZERO, "taxAmount": ZERO, "taxCode": None, "taxMode": "TaxExclusive",
        "balance": ZERO, "availableToCreditAmount": ZERO, "serviceStartDate": date, "serviceEndDate": date, "sku": "",
        "productName": "", "chargeName": "", "accountingCode": None, "deferredRevenueAccountingCode": None,
        "recognizedRevenueAccountingCode": None, "revRecStartDate": date, "excludeItemBillingFromRevenueAccounting": False,
        "revenueRecognitionRuleName": "Recognize upon invoicing",
        **_none("subscriptionId", "subscriptionName", "productRatePlanChargeId", "chargeId", "itemType", "appliedToItemId",
                "revRecCode", "revRecTriggerCondition", "purchaseOrderNumber", "bookingReference", "soldToContactId",
                "soldToContactSnapshotId", "shipToContactId", "invoiceScheduleId", "invoiceScheduleItemId", "commitmentId",
                "contractAssetAccountingCode", "contractLiabilityAccountingCode", "contractRecognizedRevenueAccountingCode",
                "adjustmentLiabilityAccountingCode", "adjustmentRevenueAccountingCode", "unbilledReceivablesAccountingCode"),
        "taxationItems": [],
    }  # fmt: skip
    return {**item, **known}


def taxation_item(*, key: str, code: str, name: str, rate: Decimal, amount: Decimal, place: str, date: str) -> Json:
    """A taxation item of an invoice item."""
    return {
        "id": key, "name": name, "taxCode": code, "taxCodeDescription": name, "taxDate": date, "taxRate": rate,
        "taxRateType": "Percentage", "taxRateDescription": "", "taxAmount": amount, "exemptAmount": ZERO,
        "jurisdiction": place, "locationCode": "", "balance": amount, "paymentAmount": ZERO, "creditAmount": ZERO,
        "availableToCreditAmount": amount,
    }  # fmt: skip


def _finance() -> Json:
    return {
        "bankAccountAccountingCode": "1930 Bank", "bankAccountAccountingCodeType": "Cash",
        "unappliedPaymentAccountingCode": "2420 Customer Prepayments",
        "unappliedPaymentAccountingCodeType": "CustomerCashOnAccount", "transferredToAccounting": "No",
    }  # fmt: skip


_GATEWAY_NONE = _none(
    "gatewayReconciliationStatus", "gatewayReconciliationReason", "payoutId", "markedForSubmissionOn", "settledOn",
    "cancelledOn", "softDescriptor", "softDescriptorPhone",
)  # fmt: skip


def payment(*, key: str, number: str, account: Json, kind: str, amount: Decimal, currency: str, date: str, gateway: str | None, now: str) -> Json:  # fmt: skip
    """A processed payment with nothing applied. `kind` is Electronic or External."""
    electronic = kind == "Electronic"
    return {
        "id": key, "number": number, "type": kind, "status": "Processed", "accountId": account["basicInfo"]["id"],
        "accountNumber": account["basicInfo"]["accountNumber"], "amount": amount, "appliedAmount": ZERO,
        "unappliedAmount": amount, "refundAmount": ZERO, "creditBalanceAmount": ZERO, "currency": currency,
        "effectiveDate": date, "comment": "", "standalone": False, "prepayment": False, "paymentOption": [],
        "gatewayId": gateway, "gatewayState": "Submitted" if electronic else "NotSubmitted",
        "gatewayResponse": "Approved" if electronic else None, "gatewayResponseCode": "approve" if electronic else None,
        "referenceId": f"{'ch' if electronic else 'BANK'}_{key[-12:]}", "submittedOn": now if electronic else None,
        **_none("paymentMethodId", "paymentMethodSnapshotId", "paymentScheduleKey", "gatewayOrderId", "secondPaymentReferenceId",
                "authTransactionId", "bankIdentificationNumber", "networkResponseCode", "networkResponseCodeDescription",
                "merchantAdviceCode", "merchantAdviceCodeDescription", "merchantAdviceCodeRecommendation"),
        **_GATEWAY_NONE, "financeInformation": _finance(), **_audit(now),
    }  # fmt: skip


def payment_part(*, key: str, invoice_id: str | None, debit_memo_id: str | None, owner: str | None, amount: Decimal, now: str) -> Json:  # fmt: skip
    """A part of a payment; both document ids null is the unapplied part."""
    return {
        "id": key, "invoiceId": invoice_id, "debitMemoId": debit_memo_id, "amount": amount, "organizationLabel": None,
        "billingDocumentOwnerId": owner, **_audit(now),
    }  # fmt: skip


def refund(*, key: str, number: str, account_id: str, kind: str, amount: Decimal, date: str, now: str, **known: Any) -> Json:
    """A processed refund; `known` names the payment or the memo."""
    return {
        "id": key, "number": number, "type": kind, "status": "Processed", "methodType": "CreditCard" if kind == "Electronic" else "Check",
        "refundTransactionType": None, "accountId": account_id, "amount": amount, "refundDate": date, "refundTransactionTime": now,
        "reasonCode": "Standard Refund", "comment": "", "gatewayState": "Submitted" if kind == "Electronic" else "NotSubmitted",
        "referenceId": f"re_{key[-12:]}", "submittedOn": now if kind == "Electronic" else None,
        **_none("paymentId", "paymentNumber", "creditMemoId", "paymentMethodId", "paymentMethodSnapshotId", "gatewayId",
                "paymentGatewayNumber", "gatewayResponse", "gatewayResponseCode", "secondRefundReferenceId", "organizationLabel"),
        **_GATEWAY_NONE, "financeInformation": _finance(), **_audit(now), **known,
    }  # fmt: skip


def refund_part(*, key: str, payment_id: str | None, memo_id: str | None, amount: Decimal, now: str) -> Json:
    """A part of a refund."""
    return {"id": key, "paymentId": payment_id, "creditMemoId": memo_id, "amount": amount, "organizationLabel": None, **_audit(now)}


def memo(*, kind: str, key: str, number: str, account: Json, currency: str, date: str, due: str, now: str) -> Json:
    """A draft credit or debit memo without items. `kind` is CreditMemo or DebitMemo."""
    shared = {
        "id": key, "number": number, "accountId": account["basicInfo"]["id"], "accountNumber": account["basicInfo"]["accountNumber"],
        "status": "Draft", "targetDate": None, "postedOn": None, "postedById": None, "currency": currency,
        **dict.fromkeys(("amount", "taxAmount", "totalTaxExemptAmount"), ZERO), "reasonCode": "Correcting invoice error", "comment": "",
        "sourceType": "Invoice", "referredInvoiceId": None, "taxStatus": "Complete", "transferredToAccounting": "No",
        "communicationProfileId": PROFILE_ID,
        **_none("taxMessage", "latestPDFFileId", "billToContactId", "billToContactSnapshotId", "sequenceSetId", "invoiceGroupNumber",
                "cancelledOn", "cancelledById", "eInvoiceStatus", "eInvoiceErrorCode", "eInvoiceErrorMessage", "eInvoiceFileId"),
        **_audit(now),
    }  # fmt: skip
    if kind == "DebitMemo":
        return {
            **shared, "debitMemoDate": date, "dueDate": due, "paymentTerm": "Net 30", "balance": ZERO, "beAppliedAmount": ZERO,
            "autoPay": True, "referredCreditMemoId": None, "soldToContactId": None, "soldToContactSnapshotId": None,
        }  # fmt: skip
    return {
        **shared, "creditMemoDate": date, "appliedAmount": ZERO, "unappliedAmount": ZERO, "refundAmount": ZERO, "source": "API",
        "sourceId": None, "reversed": False, "revenueImpacting": "Yes", "autoApplyUponPosting": False,
        "excludeFromAutoApplyRules": False, "taxAutoCalculation": True, "organizationLabel": None,
    }  # fmt: skip


def memo_item(*, kind: str, key: str, amount: Decimal, net: Decimal, finance: Json, taxes: list[Json], now: str, **known: Any) -> Json:  # fmt: skip
    """An item of a memo; `amount` is gross where the tax is inclusive, `net` never holds tax."""
    item = {
        "id": key, "amount": amount, "amountWithoutTax": net, "processingType": "Charge", "quantity": Decimal(1), "unitPrice": net,
        "unitOfMeasure": "", "sku": "", "skuName": "", "description": "", "serviceStartDate": None, "serviceEndDate": None,
        "subscriptionId": None, "sourceItemType": "InvoiceDetail", "sourceItemId": None, "appliedToItemId": None,
        "taxMode": "TaxExclusive", "excludeItemBillingFromRevenueAccounting": False, "financeInformation": finance,
        "taxationItems": taxes, **_audit(now),
    }  # fmt: skip
    if kind == "DebitMemo":
        return {**item, "beAppliedAmount": ZERO, "balance": amount, **known}
    return {
        **item, "appliedAmount": ZERO, "unappliedAmount": amount, "refundAmount": ZERO, "creditFromItemSource": "InvoiceItem",
        "creditFromItemId": None, **known,
    }  # fmt: skip


def memo_finance(kind: str, *, recognized: str | None, deferred: str | None, write_off: str | None = None) -> Json:
    """The accounting codes of a memo's item."""
    finance = {
        "deferredRevenueAccountingCode": deferred, "deferredRevenueAccountingCodeType": "DeferredRevenue" if deferred else None,
        "recognizedRevenueAccountingCode": recognized, "recognizedRevenueAccountingCodeType": "SalesRevenue" if recognized else None,
        "revenueRecognitionRuleName": "Recognize upon invoicing", "revenueScheduleNumber": None,
    }  # fmt: skip
    if kind == "CreditMemo":
        finance |= {
            "onAccountAccountingCode": "1519 On Account", "onAccountAccountingCodeType": "OnAccountReceivable",
            "nonRevenueWriteOffAccountingCode": write_off, "nonRevenueWriteOffAccountingCodeType": "BadDebt" if write_off else None,
        }  # fmt: skip
    return finance


def memo_taxation_item(kind: str, tax: Json, *, key: str, amount: Decimal) -> Json:
    """A taxation item of a memo's item, made from one of an invoice's item."""
    shared = {name: tax[name] for name in (
        "name", "taxCode", "taxCodeDescription", "taxDate", "taxRate", "taxRateType", "taxRateDescription", "exemptAmount",
        "jurisdiction", "locationCode")}  # fmt: skip
    payable = {"salesTaxPayableAccountingCode": "2610 Output VAT", "salesTaxPayableAccountingCodeType": "SalesTaxPayable"}
    if kind == "DebitMemo":
        return {"id": key, **shared, "taxAmount": amount, "balance": amount, "paymentAmount": ZERO, "creditAmount": ZERO,
                "sourceTaxItemId": tax["id"], "financeInformation": payable}  # fmt: skip
    return {"id": key, **shared, "taxAmount": amount, "appliedAmount": ZERO, "unappliedAmount": amount, "refundAmount": ZERO,
            "sourceTaxItemId": tax["id"],
            "financeInformation": {"onAccountAccountingCode": None, "onAccountAccountingCodeType": None, **payable}}  # fmt: skip


def adjustment(*, key: str, number: str, invoice: Json, item_id: str, code: str | None, kind: str, amount: Decimal, date: str, now: str, source: str = "InvoiceDetail") -> Json:  # fmt: skip
    """An invoice item adjustment as the older CRUD call gives it; `kind` is Credit or Charge, the amount is positive."""
    return {
        "Id": key, "AccountId": invoice["accountId"], "AccountingCode": code, "AdjustmentDate": date, "AdjustmentNumber": number,
        "Amount": amount, "Comment": "", "InvoiceId": invoice["id"], "InvoiceNumber": invoice["invoiceNumber"],
        "InvoiceItemName": "", "ReasonCode": "Invoice adjustment", "ReferenceId": "", "SourceId": item_id, "SourceType": source,
        "Status": "Processed", "Type": kind, "TransferredToAccounting": "No", "CreatedById": USER_ID, "CreatedDate": now,
        "UpdatedById": USER_ID, "UpdatedDate": now,
    }  # fmt: skip

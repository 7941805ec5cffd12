"""How Zuora's documents look: every key of the v1 answers, with what a fresh document holds.

Amounts are Decimals, dates are ISO text, datetimes are `yyyy-mm-dd hh:mm:ss` without an offset (UTC here). Key
names and types are those of Zuora's official models (zuora-sdk 3.21.0); the contract tests hold the sandbox to
them.
"""

from decimal import Decimal
from typing import Any

from deploy.sandbox.exact import Json

ZERO = Decimal(0)
USER_ID = "2c92c0f86a8dd422016a9e7a70116b0d"
PROFILE_ID = "303d186840e611df817c002185d714e1"


def nothing(*keys: str) -> Json:
    """Keys that hold null."""
    return dict.fromkeys(keys)


def audit(now: str) -> Json:
    """Who made and changed a document, and when."""
    return {"createdById": USER_ID, "createdDate": now, "updatedById": USER_ID, "updatedDate": now}


def account(*, key: str, number: str, name: str, currency: str, contact: Json, now: str, gateway: str) -> Json:
    """An account as `GET /v1/accounts/{key}` gives it."""
    metrics = {
        "currency": currency,
        **dict.fromkeys(
            (
                "balance",
                "totalInvoiceBalance",
                "totalDebitMemoBalance",
                "creditBalance",
                "unappliedPaymentAmount",
                "unappliedCreditMemoAmount",
                "reservedPaymentAmount",
                "contractedMrr",
            ),
            ZERO,
        ),
    }
    return {
        "basicInfo": {
            "id": key,
            "accountNumber": number,
            "name": name,
            "status": "Active",
            "batch": "Batch1",
            "crmId": "",
            "notes": "",
            "communicationProfileId": PROFILE_ID,
            "profileNumber": "CP-00000001",
            "salesRep": "",
            "partnerAccount": False,
            "defaultPaymentMethodId": None,
            "lastMetricsUpdate": now,
            **nothing(
                "parentId",
                "purchaseOrderNumber",
                "sequenceSetId",
                "invoiceTemplateId",
                "creditMemoTemplateId",
                "debitMemoTemplateId",
                "organizationLabel",
                "tags",
                "customerServiceRepName",
            ),
        },
        "billingAndPayment": {
            "currency": currency,
            "billCycleDay": 1,
            "bcdSettingOption": "ManualSet",
            "paymentTerm": "Net 30",
            "autoPay": True,
            "defaultPaymentMethodId": None,
            "paymentGateway": gateway,
            "invoiceDeliveryPrefsEmail": True,
            "invoiceDeliveryPrefsPrint": False,
            "additionalEmailAddresses": [],
        },
        "metrics": metrics,
        "metricsData": [metrics],
        "billToContact": contact,
        "soldToContact": dict(contact),
        "shipToContact": None,
        "taxInfo": {
            "exemptStatus": "No",
            **nothing(
                "VATId",
                "companyCode",
                "exemptCertificateId",
                "exemptCertificateType",
                "exemptIssuingJurisdiction",
                "exemptDescription",
                "exemptEffectiveDate",
                "exemptExpirationDate",
                "exemptEntityUseCode",
            ),
        },
    }


def contact(*, key: str, first: str, last: str, city: str, country: str, email: str) -> Json:
    """A contact inside an account."""
    return {
        "id": key,
        "firstName": first,
        "lastName": last,
        "address1": "Market Street 1",
        "address2": "",
        "city": city,
        "state": "",
        "county": None,
        "zipCode": "10101",
        "country": country,
        "workEmail": email,
        "workPhone": "",
        "personalEmail": "",
        "mobilePhone": "",
        "homePhone": "",
        "otherPhone": "",
        "otherPhoneType": None,
        "fax": "",
        "nickname": "",
        "taxRegion": None,
    }


def invoice(*, key: str, number: str, account_id: str, currency: str, date: str, due: str, now: str) -> Json:
    """A draft invoice without items."""
    return {
        "id": key,
        "invoiceNumber": number,
        "accountId": account_id,
        "status": "Draft",
        "invoiceDate": date,
        "dueDate": due,
        "targetDate": date,
        "postedDate": None,
        "postedBy": None,
        "currency": currency,
        **dict.fromkeys(
            (
                "amount",
                "amountWithoutTax",
                "taxAmount",
                "taxExemptAmount",
                "discount",
                "balance",
                "adjustmentAmount",
                "creditMemoAmount",
                "paymentAmount",
                "refundAmount",
                "creditBalanceAdjustmentAmount",
            ),
            ZERO,
        ),
        "autoPay": True,
        "paymentTerm": "Net 30",
        "comments": "",
        "transferredToAccounting": "No",
        "source": "BillRun",
        "sourceId": "BR-00000001",
        "sourceType": "Subscription",
        "billRunId": None,
        "includesOneTime": True,
        "includesRecurring": True,
        "includesUsage": True,
        "communicationProfileId": PROFILE_ID,
        "taxStatus": "Complete",
        **nothing(
            "billToContactId",
            "billToContactSnapshotId",
            "soldToContactId",
            "soldToContactSnapshotId",
            "shipToContactId",
            "shipToContactSnapshotId",
            "sequenceSetId",
            "templateId",
            "taxMessage",
            "eInvoiceStatus",
            "eInvoiceErrorCode",
            "eInvoiceErrorMessage",
            "eInvoiceFileId",
            "lastEmailSentDate",
            "invoiceGroupNumber",
        ),
        **audit(now),
    }


def invoice_item(*, key: str, date: str, now: str, **known: Any) -> Json:
    """An invoice item; `known` overrides what a plain charge holds."""
    item = {
        "id": key,
        "chargeDate": now,
        "chargeDescription": "",
        "chargeType": "Recurring",
        "description": "",
        "processingType": "Charge",
        "sourceItemType": "SubscriptionComponent",
        "quantity": Decimal(1),
        "unitOfMeasure": "",
        "unitPrice": ZERO,
        "chargeAmount": ZERO,
        "taxAmount": ZERO,
        "taxCode": None,
        "taxMode": "TaxExclusive",
        "balance": ZERO,
        "availableToCreditAmount": ZERO,
        "serviceStartDate": date,
        "serviceEndDate": date,
        "sku": "",
        "productName": "",
        "chargeName": "",
        "accountingCode": None,
        "deferredRevenueAccountingCode": None,
        "recognizedRevenueAccountingCode": None,
        "revRecStartDate": date,
        "excludeItemBillingFromRevenueAccounting": False,
        "revenueRecognitionRuleName": "Recognize upon invoicing",
        **nothing(
            "subscriptionId",
            "subscriptionName",
            "productRatePlanChargeId",
            "chargeId",
            "itemType",
            "appliedToItemId",
            "revRecCode",
            "revRecTriggerCondition",
            "purchaseOrderNumber",
            "bookingReference",
            "soldToContactId",
            "soldToContactSnapshotId",
            "shipToContactId",
            "invoiceScheduleId",
            "invoiceScheduleItemId",
            "commitmentId",
            "contractAssetAccountingCode",
            "contractLiabilityAccountingCode",
            "contractRecognizedRevenueAccountingCode",
            "adjustmentLiabilityAccountingCode",
            "adjustmentRevenueAccountingCode",
            "unbilledReceivablesAccountingCode",
        ),
        "taxationItems": [],
    }
    return {**item, **known}


def taxation_item(*, key: str, code: str, name: str, rate: Decimal, amount: Decimal, place: str, date: str) -> Json:
    """A taxation item of an invoice item."""
    return {
        "id": key,
        "name": name,
        "taxCode": code,
        "taxCodeDescription": name,
        "taxDate": date,
        "taxRate": rate,
        "taxRateType": "Percentage",
        "taxRateDescription": "",
        "taxAmount": amount,
        "exemptAmount": ZERO,
        "jurisdiction": place,
        "locationCode": "",
        "balance": amount,
        "paymentAmount": ZERO,
        "creditAmount": ZERO,
        "availableToCreditAmount": amount,
    }


def _finance() -> Json:
    return {
        "bankAccountAccountingCode": "1930 Bank",
        "bankAccountAccountingCodeType": "Cash",
        "unappliedPaymentAccountingCode": "2420 Customer Prepayments",
        "unappliedPaymentAccountingCodeType": "CustomerCashOnAccount",
        "transferredToAccounting": "No",
    }


_GATEWAY_NONE = nothing(
    "gatewayReconciliationStatus",
    "gatewayReconciliationReason",
    "payoutId",
    "markedForSubmissionOn",
    "settledOn",
    "cancelledOn",
    "softDescriptor",
    "softDescriptorPhone",
)


def payment(
    *,
    key: str,
    number: str,
    account: Json,
    kind: str,
    amount: Decimal,
    currency: str,
    date: str,
    gateway: str | None,
    now: str,
) -> Json:
    """A processed payment with nothing applied. `kind` is Electronic or External."""
    electronic = kind == "Electronic"
    return {
        "id": key,
        "number": number,
        "type": kind,
        "status": "Processed",
        "accountId": account["basicInfo"]["id"],
        "accountNumber": account["basicInfo"]["accountNumber"],
        "amount": amount,
        "appliedAmount": ZERO,
        "unappliedAmount": amount,
        "refundAmount": ZERO,
        "creditBalanceAmount": ZERO,
        "currency": currency,
        "effectiveDate": date,
        "comment": "",
        "standalone": False,
        "prepayment": False,
        "paymentOption": [],
        "gatewayId": gateway,
        "gatewayState": "Submitted" if electronic else "NotSubmitted",
        "gatewayResponse": "Approved" if electronic else None,
        "gatewayResponseCode": "approve" if electronic else None,
        "referenceId": f"{'ch' if electronic else 'BANK'}_{key[-12:]}",
        "submittedOn": now if electronic else None,
        **nothing(
            "paymentMethodId",
            "paymentMethodSnapshotId",
            "paymentScheduleKey",
            "gatewayOrderId",
            "secondPaymentReferenceId",
            "authTransactionId",
            "bankIdentificationNumber",
            "networkResponseCode",
            "networkResponseCodeDescription",
            "merchantAdviceCode",
            "merchantAdviceCodeDescription",
            "merchantAdviceCodeRecommendation",
        ),
        **_GATEWAY_NONE,
        "financeInformation": _finance(),
        **audit(now),
    }


def payment_part(
    *, key: str, invoice_id: str | None, debit_memo_id: str | None, owner: str | None, amount: Decimal, now: str
) -> Json:
    """A part of a payment; both document ids null is the unapplied part."""
    return {
        "id": key,
        "invoiceId": invoice_id,
        "debitMemoId": debit_memo_id,
        "amount": amount,
        "organizationLabel": None,
        "billingDocumentOwnerId": owner,
        **audit(now),
    }


def refund(
    *, key: str, number: str, account_id: str, kind: str, amount: Decimal, date: str, now: str, **known: Any
) -> Json:
    """A processed refund; `known` names the payment or the memo."""
    return {
        "id": key,
        "number": number,
        "type": kind,
        "status": "Processed",
        "methodType": "CreditCard" if kind == "Electronic" else "Check",
        "refundTransactionType": None,
        "accountId": account_id,
        "amount": amount,
        "refundDate": date,
        "refundTransactionTime": now,
        "reasonCode": "Standard Refund",
        "comment": "",
        "gatewayState": "Submitted" if kind == "Electronic" else "NotSubmitted",
        "referenceId": f"re_{key[-12:]}",
        "submittedOn": now if kind == "Electronic" else None,
        **nothing(
            "paymentId",
            "paymentNumber",
            "creditMemoId",
            "paymentMethodId",
            "paymentMethodSnapshotId",
            "gatewayId",
            "paymentGatewayNumber",
            "gatewayResponse",
            "gatewayResponseCode",
            "secondRefundReferenceId",
            "organizationLabel",
        ),
        **_GATEWAY_NONE,
        "financeInformation": _finance(),
        **audit(now),
        **known,
    }


def refund_part(*, key: str, payment_id: str | None, memo_id: str | None, amount: Decimal, now: str) -> Json:
    """A part of a refund."""
    return {
        "id": key,
        "paymentId": payment_id,
        "creditMemoId": memo_id,
        "amount": amount,
        "organizationLabel": None,
        **audit(now),
    }

"""`/object-query/…`: filters, one sort field, a cursor; null fields left out; datetimes with an offset."""

import base64
import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from deploy.sandbox.exact import Json, json_response
from deploy.sandbox.zuora.answers import bad_query, not_found
from deploy.sandbox.zuora.state import SANDBOX
from deploy.sandbox.zuora.store import Record, Store

_PLACES = {
    "invoices": "Invoice",
    "payments": "Payment",
    "refunds": "Refund",
    "credit-memos": "CreditMemo",
    "debit-memos": "DebitMemo",
    "accounts": "Account",
}
_SHARED = "id updateddate createddate accountid amount status"
#: What Zuora lets filter and sort by (invoices: neither posteddate nor transferredtoaccounting; payments: not type).
_FILTERABLE = {
    "Invoice": "id updateddate accountid amount balance duedate invoicedate invoicenumber reversed sourceid sourcetype "
    "status einvoicestatus",
    "Payment": f"{_SHARED} effectivedate gatewayorderid gatewaystate paymentmethodid paymentmethodsnapshotid "
    "paymentnumber referenceid source "
    "sourcename unappliedamount",
    "Refund": f"{_SHARED} refunddate refundnumber paymentmethodid type",
    "CreditMemo": f"{_SHARED} memodate memonumber balance",
    "DebitMemo": f"{_SHARED} memodate memonumber duedate balance",
    "Account": "id updateddate createddate accountnumber name status currency",
}
_RENAMED = {
    "Payment": {"number": "paymentNumber"},
    "Refund": {"number": "refundNumber", "referenceId": "referenceID"},
    "CreditMemo": {
        "number": "memoNumber",
        "creditMemoDate": "memoDate",
        "amount": "totalAmount",
        "comment": "comments",
        "referredInvoiceId": "invoiceId",
        "unappliedAmount": "balance",
    },
    "DebitMemo": {
        "number": "memoNumber",
        "debitMemoDate": "memoDate",
        "amount": "totalAmount",
        "comment": "comments",
        "referredInvoiceId": "invoiceId",
    },
}
#: v1 fields that the flat rows do not have.
_LEFT_OUT = frozenset(
    {
        "financeInformation",
        "accountNumber",
        "paymentOption",
        "paymentScheduleKey",
        "gatewayId",
        "standalone",
        "creditBalanceAmount",
        "networkResponseCode",
        "networkResponseCodeDescription",
        "merchantAdviceCode",
        "merchantAdviceCodeDescription",
        "merchantAdviceCodeRecommendation",
        "billRunId",
        "gatewayOptionId",
        "paymentGatewayNumber",
        "organizationLabel",
        "latestPDFFileId",
        "discount",
        "paymentId",
        "paymentNumber",
        "creditMemoId",
        "beAppliedAmount",
        "referredCreditMemoId",
        "profileNumber",
        "salesRep",
        "tags",
    }
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda a, b: a == b,
    "NE": lambda a, b: a != b,
    "LT": lambda a, b: a < b,
    "GT": lambda a, b: a > b,
    "LE": lambda a, b: a <= b,
    "GE": lambda a, b: a >= b,
    "SW": lambda a, b: str(a).startswith(str(b)),
}
_PAGE_DEFAULT, _PAGE_MOST = 10, 50


def routes() -> list[web.RouteDef]:
    """List and single reads."""
    return [web.get("/object-query/{place}", query), web.get("/object-query/{place}/{key}", single)]


def row(store: Store, record: Record) -> Json:
    """A record as the flat row of an object query: other names, no null fields, times with an offset."""
    renamed = _RENAMED.get(record.kind, {})
    document = record.document["basicInfo"] if record.kind == "Account" else record.document
    flat = {renamed.get(name, name): value for name, value in document.items() if name not in _LEFT_OUT}
    if record.kind in _EXTRAS:
        flat |= _EXTRAS[record.kind](store, record)
    flat |= {"createdDate": _stamp(record.created), "updatedDate": _stamp(record.updated)}
    return {name: value for name, value in flat.items() if value is not None}


def _account_extras(_: Store, record: Record) -> Json:
    metrics = record.document["metrics"]
    return {
        "accountNumber": record.number,
        "currency": metrics["currency"],
        "balance": metrics["balance"],
        "unappliedBalance": metrics["unappliedPaymentAmount"],
    }


def _payment_extras(_: Store, record: Record) -> Json:
    payment = record.document
    transferred = payment["financeInformation"]["transferredToAccounting"]
    return {
        "transferredToAccounting": transferred,
        "isStandalone": payment["standalone"],
        "gateway": payment["gatewayId"],
    }


def _refund_extras(store: Store, record: Record) -> Json:
    """Unlike the v1 refund, the row has a currency; what it refunds is named by number only."""
    of_payment = record.document["paymentId"] is not None
    source = store.records[record.document["paymentId"] or record.document["creditMemoId"]]
    return {
        "currency": source.document["currency"],
        "associatedTransactionNumber": source.number,
        "sourceType": "Payment" if of_payment else "CreditMemo",
        "gateway": record.document["gatewayId"],
        "transferredToAccounting": record.document["financeInformation"]["transferredToAccounting"],
    }


def _memo_extras(_: Store, record: Record) -> Json:
    return {"totalAmountWithoutTax": record.document["amount"] - record.document["taxAmount"]}


_EXTRAS: dict[str, Callable[[Store, Record], Json]] = {
    "Account": _account_extras,
    "Payment": _payment_extras,
    "Refund": _refund_extras,
    "CreditMemo": _memo_extras,
    "DebitMemo": _memo_extras,
}


async def query(request: web.Request) -> web.Response:
    """A page of rows."""
    kind = _kind(request)
    store = request.app[SANDBOX].store
    rows = [row(store, record) for record in store.of_kind(kind)]
    for text in request.query.getall("filter[]", []):
        rows = list(filter(_condition(kind, text), rows))
    field, descending = _sort(kind, request)
    rows.sort(key=lambda each: (_comparable(_value(each, field)), each["id"]), reverse=descending)
    start, size = _start(request), _size(request)
    body: Json = {"data": rows[start : start + size]}
    if len(rows) > start + size:
        body["nextPage"] = base64.urlsafe_b64encode(f"from:{start + size}".encode()).decode()
    return json_response(body)


async def single(request: web.Request) -> web.Response:
    """One row by id or number."""
    store = request.app[SANDBOX].store
    record = store.visible(_kind(request), request.match_info["key"])
    if record is None:
        raise not_found(request.match_info["key"])
    return json_response(row(store, record))


def _stamp(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+00:00")


def _kind(request: web.Request) -> str:
    place = request.match_info["place"]
    if place not in _PLACES:
        raise not_found(place)
    return _PLACES[place]


def _condition(kind: str, text: str) -> Callable[[Json], bool]:
    match = re.fullmatch(r"(\w+)\.(EQ|NE|LT|GT|LE|GE|SW|IN):(.*)", text)
    if match is None:
        raise bad_query(f"filter[] is field.OP:value, not {text}")
    field, operator, wanted = match.groups()
    _allowed(kind, field)
    if operator == "IN":
        choices = {_comparable(each) for each in wanted.strip("[]").split(",")}
        return lambda each: _comparable(_value(each, field)) in choices
    if wanted == "null":
        return lambda each: (_value(each, field) is None) == (operator == "EQ")
    compare = _OPERATORS[operator]

    def holds(each: Json) -> bool:
        value = _value(each, field)
        return value is not None and compare(_comparable(value), _comparable(wanted))

    return holds


def _allowed(kind: str, field: str) -> None:
    if field.lower() not in _FILTERABLE[kind].split() and not field.lower().endswith("__c"):
        raise bad_query(f"{field} cannot be filtered or sorted by")


def _sort(kind: str, request: web.Request) -> tuple[str, bool]:
    given = request.query.getall("sort[]", [])
    if len(given) > 1:
        raise bad_query("sort[] takes one field")
    field, _, direction = (given[0] if given else "id.ASC").partition(".")
    if direction not in {"ASC", "DESC"}:
        raise bad_query("sort[] is field.ASC or field.DESC")
    _allowed(kind, field)
    return field, direction == "DESC"


def _value(each: Json, field: str) -> Any:
    lowered = field.lower()
    wanted = {"amount": ("amount", "totalamount")}.get(lowered, (lowered,))
    return next((value for name, value in each.items() if name.lower() in wanted), None)


def _comparable(value: Any) -> tuple[int, Any]:
    """Make values of one kind comparable: nothing, numbers, moments (by instant, not by text), texts."""
    if value is None:
        return (0, 0)
    if isinstance(value, bool):
        return (3, str(value).lower())
    if isinstance(value, int | Decimal):
        return (1, Decimal(value))
    text = str(value)
    if re.match(r"\d{4}-\d\d-\d\dT", text):
        try:
            return (2, dt.datetime.fromisoformat(text).astimezone(dt.UTC))
        except ValueError:
            raise bad_query(f"{text} is no time; a plus sign of an offset must be sent as %2B") from None
    try:
        return (1, Decimal(text))
    except InvalidOperation:
        return (3, text)


def _size(request: web.Request) -> int:
    text = request.query.get("pageSize", str(_PAGE_DEFAULT))
    if not text.isdecimal() or not 1 <= int(text) <= _PAGE_MOST:
        raise bad_query(f"pageSize is 1 to {_PAGE_MOST}")
    return int(text)


def _start(request: web.Request) -> int:
    cursor = request.query.get("cursor")
    if cursor is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor).decode().removeprefix("from:"))
    except ValueError:
        raise bad_query("cursor is not one that this server gave") from None

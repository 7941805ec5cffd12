"""`/_sandbox/…` of the Zuora side: what people do in Zuora's own pages, faults on order, and what was counted."""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from deploy.sandbox.common_control import common_routes, set_settings
from deploy.sandbox.exact import Json, json_response, read_json
from deploy.sandbox.zuora import invoices, memos, payments
from deploy.sandbox.zuora.state import SANDBOX, ZuoraSandbox
from deploy.sandbox.zuora.store import Record, SandboxError

Action = Callable[[ZuoraSandbox, Record, Json], Record | None]


def routes() -> list[web.RouteDef]:
    """All of `/_sandbox`."""
    return [
        web.get("/_sandbox/documents", list_documents),
        web.get("/_sandbox/documents/{key}", show_document),
        web.post("/_sandbox/accounts", create_account),
        web.post("/_sandbox/invoices", create_invoice),
        web.post("/_sandbox/payments", create_payment),
        web.post("/_sandbox/bill-run", bill_run),
        web.post("/_sandbox/{place:accounts|invoices|payments|credit-memos|debit-memos|refunds}/{key}/{action}", act),
        web.get("/_sandbox/requests", requests),
        web.get("/_sandbox/callouts", callouts),
        web.post("/_sandbox/callouts", change_callouts),
        web.post("/_sandbox/callouts/send", send_callout),
        web.post("/_sandbox/settings", change_settings),
        *common_routes(lambda request: request.app[SANDBOX]),
    ]


def summary(record: Record) -> Json:
    """What every control call answers about a record."""
    basic = record.document.get("basicInfo", record.document)
    return {
        "id": record.key,
        "number": record.number,
        "kind": record.kind,
        "status": basic.get("status") or basic.get("Status"),
        "accountId": record.document.get("accountId"),
        "amount": record.document.get("amount"),
        "document": record.document,
        "items": record.items,
        "parts": record.parts,
    }


async def list_documents(request: web.Request) -> web.Response:
    """All records of a kind (`?kind=Invoice`), lag or not; `?brief=true` leaves out items and parts."""
    kind = request.query.get("kind")
    records = [record for record in request.app[SANDBOX].store.records.values() if kind in {None, record.kind}]
    shown = [summary(record) for record in records]
    if request.query.get("brief") == "true":
        shown = [
            {name: each[name] for name in ("id", "number", "kind", "status", "accountId", "amount")} for each in shown
        ]
    return json_response(shown)


async def show_document(request: web.Request) -> web.Response:
    """One record with its items and parts."""
    record = request.app[SANDBOX].store.records.get(request.match_info["key"])
    return json_response(summary(record)) if record else json_response({"error": "no such record"}, 404)


async def create_account(request: web.Request) -> web.Response:
    """`{"name"?, "currency"?, "count"?}`: make accounts."""
    wanted = await read_json(request)
    generator = request.app[SANDBOX].generator
    made = [
        generator.account(name=wanted.get("name", ""), currency=wanted.get("currency", ""))
        for _ in range(int(wanted.get("count", 1)))
    ]
    return json_response(summary(made[0]) if "count" not in wanted else [summary(record) for record in made], 201)


def _account(sandbox: ZuoraSandbox, wanted: Json) -> Record:
    return (
        sandbox.store.get("Account", wanted["accountId"])
        if wanted.get("accountId")
        else sandbox.generator.any_account()
    )


async def create_invoice(request: web.Request) -> web.Response:
    """`{"accountId"?, "date"?, "currency"?, "items"?, "header"?, "post"?}`.

    `items` is a list of items or how many to make up; `header` overrides single fields; `post` is true unless told.
    """
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    account, items = _account(sandbox, wanted), wanted.get("items", 0)
    shared = {"date": wanted.get("date", ""), "currency": wanted.get("currency", "")}
    if isinstance(items, list):
        record = invoices.create(sandbox.store, account, items, header=wanted.get("header"), **shared)
    else:
        record = sandbox.generator.invoice(account, items=int(items), **shared)
        if wanted.get("header"):
            invoices.edit(sandbox.store, record, header=wanted["header"])
    if wanted.get("post", True):
        invoices.post(sandbox.store, record)
    return json_response(summary(record), 201)


async def create_payment(request: web.Request) -> web.Response:
    """`{"accountId"?, "amount", "type"?, "currency"?, "date"?, "gatewayId"?, "applications"?}`.

    `applications` is a list of `{"invoiceId" | "debitMemoId", "amount"}`.
    """
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    record = payments.create(
        sandbox.store,
        _account(sandbox, wanted),
        Decimal(str(wanted["amount"])),
        kind=wanted.get("type", "Electronic"),
        currency=wanted.get("currency", ""),
        date=wanted.get("date", ""),
        gateway=wanted.get("gatewayId"),
        applications=wanted.get("applications"),
    )
    return json_response(summary(record), 201)


async def bill_run(request: web.Request) -> web.Response:
    """`{"invoices", "accounts"?, "perSecond"?, "paymentShare"?, "date"?, "currency"?}`.

    Post that many, with callouts.
    """
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    count, rate = int(wanted["invoices"]), float(wanted.get("perSecond", 0))
    share, date, currency = float(wanted.get("paymentShare", 0)), wanted.get("date", ""), wanted.get("currency", "")
    for _ in range(int(wanted.get("accounts", 0))):
        sandbox.generator.account(currency=currency)
    made: list[Record] = []
    paid: list[Record] = []
    began = time.monotonic()
    for number in range(1, count + 1):
        record = sandbox.generator.invoice(sandbox.generator.any_account(), date=date)
        invoices.post(sandbox.store, record)
        made.append(record)
        if sandbox.store.random.random() < share:
            paid.append(sandbox.generator.payment(sandbox.store.account_of(record), record))
        ahead = number / rate - (time.monotonic() - began) if rate else 0
        # Even at full speed the event loop must get to send what was announced.
        await asyncio.sleep(max(ahead, 0))
    return json_response(
        {"invoices": [_brief(record) for record in made], "payments": [_brief(record) for record in paid]}, 201
    )


def _brief(record: Record) -> Json:
    return {
        "id": record.key,
        "number": record.number,
        "accountId": record.document["accountId"],
        "amount": record.document["amount"],
        "currency": record.document["currency"],
    }


_KINDS = {
    "accounts": "Account",
    "invoices": "Invoice",
    "payments": "Payment",
    "credit-memos": "CreditMemo",
    "debit-memos": "DebitMemo",
    "refunds": "Refund",
}


async def act(request: web.Request) -> web.Response:
    """Do something to a record, named in the path: see `_ACTIONS`. Answers the record (or the new one made of it)."""
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    kind, action = _KINDS[request.match_info["place"]], request.match_info["action"]
    record = sandbox.store.get(kind, request.match_info["key"])
    chosen = _ACTIONS.get((kind, action))
    if chosen is None:
        known = ", ".join(sorted(name for of, name in _ACTIONS if of == kind))
        raise SandboxError(f"a {kind} knows {known}; not {action}")
    return json_response(summary(chosen(sandbox, record, wanted) or record))


def _edit(sandbox: ZuoraSandbox, record: Record, wanted: Json) -> None:
    account = sandbox.store.get("Account", wanted["accountId"]) if "accountId" in wanted else None
    invoices.edit(sandbox.store, record, header=wanted.get("header"), items=wanted.get("items"), account=account)


def _adjust(sandbox: ZuoraSandbox, record: Record, wanted: Json) -> Record:
    return memos.adjust(
        sandbox.store,
        record,
        Decimal(str(wanted["amount"])),
        kind=wanted.get("type", "Credit"),
        item=int(wanted.get("item", 0)),
        source=wanted.get("sourceType", "InvoiceDetail"),
        date=wanted.get("date", ""),
    )


def _memo(kind: str) -> Action:
    def make(sandbox: ZuoraSandbox, record: Record, wanted: Json) -> Record:
        return memos.from_invoice(
            sandbox.store,
            record,
            kind,
            share=Decimal(str(wanted.get("share", 1))),
            date=wanted.get("date", ""),
            tax_inclusive=wanted.get("taxMode") == "TaxInclusive",
        )

    return make


def _refund(sandbox: ZuoraSandbox, record: Record, wanted: Json) -> Record:
    amount = Decimal(str(wanted["amount"]))
    options: dict[str, Any] = {"kind": wanted.get("type", "Electronic"), "date": wanted.get("date", "")}
    if record.kind == "CreditMemo":
        return memos.refund(sandbox.store, record, amount, **options)
    return payments.refund(
        sandbox.store, record, amount, transaction_type=wanted.get("refundTransactionType"), **options
    )


def _change_account(sandbox: ZuoraSandbox, record: Record, wanted: Json) -> None:
    record.document["basicInfo"] |= {
        name: value for name, value in wanted.items() if name in record.document["basicInfo"]
    }
    sandbox.store.touch(record)


_ACTIONS: dict[tuple[str, str], Action] = {
    ("Account", "edit"): _change_account,
    ("Invoice", "post"): lambda sandbox, record, _: invoices.post(sandbox.store, record),
    ("Invoice", "unpost"): lambda sandbox, record, _: invoices.unpost(sandbox.store, record),
    ("Invoice", "cancel"): lambda sandbox, record, _: invoices.cancel(sandbox.store, record),
    ("Invoice", "edit"): _edit,
    ("Invoice", "adjust"): _adjust,
    ("Invoice", "credit-memo"): _memo("CreditMemo"),
    ("Invoice", "debit-memo"): _memo("DebitMemo"),
    ("Invoice", "write-off"): lambda sandbox, record, wanted: memos.write_off(
        sandbox.store, record, date=wanted.get("date", "")
    ),
    ("Payment", "apply"): lambda sandbox, record, wanted: payments.apply(sandbox.store, record, wanted["applications"]),
    ("Payment", "unapply"): lambda sandbox, record, wanted: payments.unapply(
        sandbox.store, record, wanted["applications"]
    ),
    ("Payment", "transfer"): lambda sandbox, record, wanted: payments.transfer(
        sandbox.store, record, sandbox.store.get("Account", wanted["accountId"])
    ),
    ("Payment", "cancel"): lambda sandbox, record, _: payments.cancel(sandbox.store, record),
    ("Payment", "refund"): _refund,
    ("CreditMemo", "refund"): _refund,
    ("CreditMemo", "apply"): lambda sandbox, record, wanted: memos.apply(sandbox.store, record, wanted["applications"]),
}


async def requests(request: web.Request) -> web.Response:
    """What was counted: totals, peaks, refusals, requests without a version, tokens."""
    sandbox = request.app[SANDBOX]
    return json_response(
        {
            **sandbox.traffic.report(),
            "withoutVersion": sandbox.counts["withoutVersion"],
            "tokensIssued": sandbox.tokens.issued,
        }
    )


async def callouts(request: web.Request) -> web.Response:
    """Counters of callouts, and with `?history=true` every attempt."""
    sender = request.app[SANDBOX].callouts
    extra = {"history": sender.history} if request.query.get("history") == "true" else {}
    return json_response(
        {**sender.report(), "paused": sender.paused, "customEvents": sorted(sender.custom_events), **extra}
    )


async def change_callouts(request: web.Request) -> web.Response:
    """`{"paused"?, "customEvents"?: [names], any setting that starts with callout, in camelCase}`."""
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    sandbox.callouts.paused = bool(wanted.pop("paused", sandbox.callouts.paused))
    sandbox.callouts.custom_events = set(wanted.pop("customEvents", sandbox.callouts.custom_events))
    set_settings(sandbox.settings, wanted)
    return await callouts(request)


async def send_callout(request: web.Request) -> web.Response:
    """`{"objectId", "event", "eventCategory"?, "times"?}`: send a callout for a record, whatever its state."""
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    record = sandbox.store.records[wanted["objectId"]]
    for _ in range(int(wanted.get("times", 1))):
        sandbox.callouts.notify(record, wanted["event"], wanted.get("eventCategory", "user.notification:Sandbox"))
    return json_response(sandbox.callouts.report(), 202)


async def change_settings(request: web.Request) -> web.Response:
    """Change settings while it runs, in camelCase: latencyMs, lagSeconds, requestsPerMinute, concurrency and so on."""
    sandbox = request.app[SANDBOX]
    set_settings(sandbox.settings, await read_json(request))
    sandbox.store.lag_seconds = sandbox.settings.lag_seconds
    sandbox.traffic.requests_per_window, sandbox.traffic.concurrency = (
        sandbox.settings.requests_per_minute,
        sandbox.settings.concurrency,
    )
    sandbox.traffic.window_seconds = sandbox.settings.window_seconds
    return json_response({})

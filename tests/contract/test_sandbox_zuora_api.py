"""The Zuora sandbox keeps to the protocol: tokens, errors, pages, limits, lag, sweeps, and the life of documents."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from yarl import URL

from deploy.sandbox.testing import running_zuora

VERSION = {"Zuora-Version": "2025-08-12"}


class Client:
    """A bare client of one sandbox."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session
        self.headers: dict[str, str] = dict(VERSION)

    async def sign_in(self) -> None:
        form = {"grant_type": "client_credentials", "client_id": "zuora-client", "client_secret": "zuora-secret"}
        async with self.session.post(f"{self.url}/oauth/token", data=form) as answer:
            self.headers["Authorization"] = f"Bearer {(await answer.json())['access_token']}"

    async def get(self, path: str, **headers: str) -> tuple[int, Any, Any]:
        address = path if path.startswith("http") else self.url + path
        async with self.session.get(address, headers={**self.headers, **headers}) as answer:
            text = await answer.text()
            return answer.status, json.loads(text, parse_float=Decimal), answer.headers

    async def do(self, path: str, body: dict[str, Any]) -> Any:
        async with self.session.post(f"{self.url}/_sandbox/{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return json.loads(await answer.text(), parse_float=Decimal)


@asynccontextmanager
async def tenant(**settings: Any) -> AsyncIterator[Client]:
    async with running_zuora(**settings) as running, aiohttp.ClientSession() as session:
        client = Client(running.url, session)
        await client.sign_in()
        yield client


@pytest.fixture
async def zuora() -> AsyncIterator[Client]:
    async with tenant() as client:
        yield client


async def test_a_wrong_secret_is_401() -> None:
    form = {"grant_type": "client_credentials", "client_id": "zuora-client", "client_secret": "wrong"}
    async with (
        running_zuora() as running,
        aiohttp.ClientSession() as session,
        session.post(f"{running.url}/oauth/token", data=form) as answer,
    ):
        assert answer.status == 401


async def test_a_revoked_token_is_401_with_zuoras_code(zuora: Client) -> None:
    await zuora.do("tokens/revoke", {})

    status, body, _ = await zuora.get("/v1/invoices/INV00000001")

    assert (status, body["success"], body["reasons"][0]["code"]) == (401, False, 90000011)


async def test_a_token_ends_when_its_life_is_over() -> None:
    async with tenant(token_seconds=0.0) as client:
        assert (await client.get("/v1/accounts/A00000001"))[0] == 401


async def test_a_v1_request_without_a_version_is_refused_and_counted(zuora: Client) -> None:
    del zuora.headers["Zuora-Version"]
    status, body, _ = await zuora.get("/v1/invoices/INV1")
    _, counted, _ = await zuora.get("/_sandbox/requests")

    assert (status, body["success"], counted["withoutVersion"]) == (400, False, 1)


async def test_an_old_version_hides_errors_in_a_200() -> None:
    async with tenant(missing_version="record") as client:
        status, body, _ = await client.get("/v1/invoices/INV1", **{"Zuora-Version": "257.0"})

    assert (status, body["success"], body["reasons"][0]["code"]) == (200, False, 50000040)


async def test_a_document_is_read_by_id_and_by_number(zuora: Client) -> None:
    made = await zuora.do("invoices", {"items": 2})

    by_id, by_number = [await zuora.get(f"/v1/invoices/{made[name]}") for name in ("id", "number")]

    assert by_id[1] == by_number[1]
    assert by_id[1]["status"] == "Posted"


async def test_items_come_in_pages_of_at_most_forty_with_urls_to_the_next(zuora: Client) -> None:
    made = await zuora.do("invoices", {"items": 95})
    seen, path, pages = [], f"/v1/invoices/{made['id']}/items?pageSize=40", 0
    while path:
        status, body, _ = await zuora.get(path)
        assert status == 200
        seen += [item["id"] for item in body["invoiceItems"]]
        path, pages = body.get("nextPage", ""), pages + 1
    too_many, _, _ = await zuora.get(f"/v1/invoices/{made['id']}/items?pageSize=41")

    assert (len(seen), len(set(seen)), pages, too_many) == (len(made["items"]), len(made["items"]), 3, 400)


async def test_taxation_items_have_pages_of_their_own(zuora: Client) -> None:
    taxes = [{"taxCode": f"T{number}", "taxAmount": "0.01"} for number in range(95)]
    made = await zuora.do("invoices", {"items": [{"chargeAmount": 10, "taxes": taxes}]})
    _, body, _ = await zuora.get(f"/v1/invoices/{made['id']}/items?pageSize=40")
    nested = body["invoiceItems"][0]["taxationItems"]
    codes = [each["taxCode"] for each in nested["data"]]
    path = nested["nextPage"]
    while path:
        _, page, _ = await zuora.get(path)
        codes += [each["taxCode"] for each in page["data"]]
        path = page.get("nextPage")

    assert codes == [f"T{number}" for number in range(95)]


async def test_amounts_are_exact_in_the_text() -> None:
    async with tenant(item_amounts="numbers") as client:
        made = await client.do("invoices", {"items": [{"chargeAmount": "90071992547409.93"}, {"chargeAmount": "0.10"}]})
        async with client.session.get(f"{client.url}/v1/invoices/{made['id']}", headers=client.headers) as answer:
            text = await answer.text()

    assert '"amount":90071992547410.03,' in text


async def test_a_new_document_is_404_until_the_lag_is_over() -> None:
    async with tenant(lag_seconds=0.2) as client:
        made = await client.do("invoices", {"items": 1})
        first, body, _ = await client.get(f"/v1/invoices/{made['id']}")
        later = first
        while later == 404:
            later, _, _ = await client.get(f"/v1/invoices/{made['id']}")

    assert (first, body["reasons"][0]["code"], later) == (404, 50000040, 200)


async def test_too_many_requests_a_minute_name_the_reset() -> None:
    async with tenant(requests_per_minute=2, window_seconds=30) as client:
        answers = [await client.get("/v1/accounts/A1") for _ in range(2)]
    status, body, headers = answers[-1]

    assert (status, body["reasons"][0]["code"]) == (429, 70)
    assert 1 <= int(headers["RateLimit-Reset"]) <= 30
    assert "success" not in body


async def test_ordered_faults_strike_the_next_matching_requests_only(zuora: Client) -> None:
    made = await zuora.do("invoices", {"items": 1})
    await zuora.do("faults", {"kind": "status", "status": 503, "path": "^/v1/invoices", "times": 2})
    await zuora.do("faults", {"kind": "concurrency", "path": "^/v1/accounts", "seconds": 3})

    statuses = [(await zuora.get(f"/v1/invoices/{made['id']}"))[0] for _ in range(3)]
    status, body, headers = await zuora.get("/v1/accounts/A00000001")

    assert statuses == [503, 503, 200]
    assert (status, body["reasons"][0]["code"], headers["Retry-After"]) == (429, 50000070, "3")


async def test_a_sweep_walks_by_cursor_in_the_order_of_updates(zuora: Client) -> None:
    run = await zuora.do("bill-run", {"invoices": 23, "accounts": 3})
    since = "2020-01-01T00:00:00%2B00:00"
    query = f"filter[]=updateddate.GT:{since}&filter[]=status.EQ:Posted&sort[]=updateddate.ASC&pageSize=10"
    seen: list[Any] = []
    cursor = ""
    while True:
        address = URL(f"{zuora.url}/object-query/invoices?{query}{cursor}", encoded=True)
        _, body, _ = await zuora.get(str(address))
        seen += body["data"]
        if "nextPage" not in body:
            break
        cursor = f"&cursor={body['nextPage']}"

    assert {each["id"] for each in seen} == {each["id"] for each in run["invoices"]}
    assert [each["updatedDate"] for each in seen] == sorted(each["updatedDate"] for each in seen)
    assert seen[0]["updatedDate"].endswith("+00:00")


@pytest.mark.parametrize(
    "query", ["filter[]=posteddate.GT:2026-01-01", "filter[]=amount>3", "pageSize=51", "sort[]=amount"]
)
async def test_what_object_query_cannot_do_is_400(zuora: Client, query: str) -> None:
    assert (await zuora.get(f"/object-query/invoices?{query}"))[0] == 400


async def test_an_invoice_goes_from_draft_to_posted_and_back_and_is_cancelled(zuora: Client) -> None:
    made = await zuora.do("invoices", {"items": 1, "post": False})
    seen = [made["status"]]
    actions = ("post", "unpost", "cancel")
    seen += [(await zuora.do(f"invoices/{made['id']}/{action}", {}))["status"] for action in actions]

    assert seen == ["Draft", "Posted", "Draft", "Canceled"]


async def test_a_payment_is_applied_unapplied_and_moved_and_its_parts_follow(zuora: Client) -> None:
    items = [{"chargeAmount": 400}]
    account, other = [await zuora.do("accounts", {"currency": "EUR"}) for _ in range(2)]
    invoice = await zuora.do("invoices", {"accountId": account["id"], "items": items})
    payment = await zuora.do("payments", {"accountId": account["id"], "amount": 500})
    share = [{"invoiceId": invoice["id"], "amount": 400}]

    async def state() -> tuple[Any, Any, int]:
        _, header, _ = await zuora.get(f"/v1/payments/{payment['id']}")
        _, parts, _ = await zuora.get(f"/v1/payments/{payment['id']}/parts")
        return header["appliedAmount"], header["unappliedAmount"], len(parts["parts"])

    seen = [await state()]
    for action in ("apply", "unapply"):
        await zuora.do(f"payments/{payment['id']}/{action}", {"applications": share})
        seen.append(await state())
    moved = await zuora.do(f"payments/{payment['id']}/transfer", {"accountId": other["id"]})

    assert seen == [(0, 500, 1), (400, 100, 2), (0, 500, 1)]
    assert moved["accountId"] == other["id"]


async def test_a_full_refund_leaves_a_payment_without_parts_and_opens_its_invoice(zuora: Client) -> None:
    invoice = await zuora.do("invoices", {"items": [{"chargeAmount": 100}]})
    share = {"invoiceId": invoice["id"], "amount": 100}
    payment = await zuora.do("payments", {"accountId": invoice["accountId"], "amount": 100, "applications": [share]})
    chargeback = {"amount": 100, "type": "External", "refundTransactionType": "Chargeback"}
    refund = await zuora.do(f"payments/{payment['id']}/refund", chargeback)

    _, header, _ = await zuora.get(f"/v1/payments/{payment['id']}")
    _, parts, _ = await zuora.get(f"/v1/payments/{payment['id']}/parts")
    _, opened, _ = await zuora.get(f"/v1/invoices/{invoice['id']}")

    assert (header["refundAmount"], header["unappliedAmount"], parts["parts"], opened["balance"]) == (100, 0, [], 100)
    assert (refund["document"]["refundTransactionType"], refund["document"]["gatewayId"]) == ("Chargeback", None)


async def test_a_write_off_is_a_memo_without_impact_on_revenue(zuora: Client) -> None:
    items = [{"chargeAmount": 80, "taxes": [{"taxCode": "VAT25", "taxAmount": 20}]}]
    invoice = await zuora.do("invoices", {"items": items})
    memo = await zuora.do(f"invoices/{invoice['id']}/write-off", {})
    _, opened, _ = await zuora.get(f"/v1/invoices/{invoice['id']}")

    finance = memo["items"][0]["financeInformation"]
    assert (memo["document"]["revenueImpacting"], memo["amount"], opened["balance"]) == ("No", 100, 0)
    assert finance["nonRevenueWriteOffAccountingCode"] == "6351 Bad debt"


async def test_an_adjustment_is_read_by_the_older_call(zuora: Client) -> None:
    invoice = await zuora.do("invoices", {"items": [{"chargeAmount": 80}]})
    made = await zuora.do(f"invoices/{invoice['id']}/adjust", {"amount": 5, "type": "Credit"})
    _, body, _ = await zuora.get(f"/v1/object/invoice-item-adjustment/{made['id']}")

    assert (body["Type"], body["Amount"], body["InvoiceId"], body["Status"]) == (
        "Credit",
        5,
        invoice["id"],
        "Processed",
    )

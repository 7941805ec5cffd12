"""The Zuora client against the sandbox: whole documents, exact amounts, every kind of fault."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.sandbox.zuora import invoices, memos, payments
from deploy.sandbox.zuora.app import create_app
from deploy.sandbox.zuora.settings import ZuoraSettings as SandboxSettings
from deploy.sandbox.zuora.state import ZuoraSandbox
from deploy.sandbox.zuora.store import Record
from schemas.base import DocumentType
from schemas.errors import SettingsError, TroubleError, UnauthorizedError
from streams.settings import ZuoraSettings
from streams.systems.retry import BackOff
from streams.systems.zuora.captured import Fetched
from streams.systems.zuora.client import ZuoraClient, zuora_session
from streams.systems.zuora.errors import NoSuchObjectError
from tests.support.servers import serving_app
from tests.support.waiting import eventually

QUICK = BackOff(first=0.01, longest=0.05)


@asynccontextmanager
async def zuora(*, secret: str = "zuora-secret", **options: Any) -> AsyncIterator[tuple[ZuoraSandbox, ZuoraClient]]:
    sandbox = ZuoraSandbox(SandboxSettings(**options))
    async with serving_app(create_app(sandbox)) as url:
        settings = ZuoraSettings(base_url=url, client_id="zuora-client", client_secret=SecretStr(secret))
        async with zuora_session(settings) as session:
            yield sandbox, ZuoraClient(session, back_off=QUICK)


def posted_invoice(sandbox: ZuoraSandbox, items: int = 2) -> Record:
    record = sandbox.generator.invoice(sandbox.generator.account(), items=items)
    invoices.post(sandbox.store, record)
    return record


def faults_met(sandbox: ZuoraSandbox) -> Callable[[], Awaitable[int]]:
    async def probe() -> int:
        return len(sandbox.faults.carried_out)

    return probe


def no_decimals_or_floats(value: Any) -> bool:
    if isinstance(value, dict):
        return all(no_decimals_or_floats(entry) for entry in value.values())
    if isinstance(value, list):
        return all(no_decimals_or_floats(entry) for entry in value)
    return not isinstance(value, Decimal | float)


@pytest.mark.parametrize("by", ["id", "number"])
async def test_an_invoice_comes_whole_by_id_and_by_number(by: str) -> None:
    async with zuora() as (sandbox, client):
        record = posted_invoice(sandbox, items=3)
        fetched = await client.fetch_invoice(record.key if by == "id" else record.number)

    assert fetched.document_id == record.key
    assert fetched.number == record.number
    assert fetched.account_id == record.document["accountId"]
    assert fetched.amount == record.document["amount"]
    assert fetched.currency == record.document["currency"]
    assert fetched.updated_date == record.document["updatedDate"]
    assert [item["id"] for item in fetched.document["items"]] == [item["id"] for item in record.items]
    assert not {"success", "processId", "requestId"} & set(fetched.document)
    assert no_decimals_or_floats(fetched.document)


async def test_amounts_are_the_text_that_zuora_sent() -> None:
    async with zuora(item_amounts="numbers") as (sandbox, client):
        account = sandbox.generator.account(currency="EUR")
        record = invoices.create(sandbox.store, account, [{"chargeAmount": "1234567.10", "sku": "ANL"}])
        invoices.post(sandbox.store, record)
        fetched = await client.fetch_invoice(record.key)

    assert fetched.document["items"][0]["chargeAmount"] == "1234567.10"
    assert fetched.amount == Decimal("1234567.10")


async def test_all_pages_of_items_and_of_their_taxes_are_fetched_in_order() -> None:
    async with zuora() as (sandbox, client):
        account = sandbox.generator.account(currency="EUR")
        taxes = [{"taxCode": f"T{number}", "taxAmount": "0.01"} for number in range(85)]
        items = [{"chargeAmount": "1.00"} for _ in range(90)]
        items[50] = {"chargeAmount": "1.00", "taxes": taxes}
        record = invoices.create(sandbox.store, account, items)
        invoices.post(sandbox.store, record)
        fetched = await client.fetch_invoice(record.key)

    assert [item["id"] for item in fetched.document["items"]] == [item["id"] for item in record.items]
    nested = fetched.document["items"][50]["taxationItems"]
    assert [tax["taxCode"] for tax in nested["data"]] == [f"T{number}" for number in range(85)]
    assert "nextPage" not in nested


async def test_a_payment_comes_with_its_parts() -> None:
    async with zuora() as (sandbox, client):
        invoice = posted_invoice(sandbox)
        amount = invoice.document["amount"]
        payment = payments.create(
            sandbox.store,
            sandbox.store.account_of(invoice),
            amount + 10,
            applications=[{"invoiceId": invoice.key, "amount": str(amount)}],
        )
        fetched = await client.fetch_payment(payment.number)

    assert fetched.document_id == payment.key
    assert {part["invoiceId"] for part in fetched.document["parts"]} == {invoice.key, None}
    assert fetched.document["unappliedAmount"] == str(Decimal(str(payment.document["unappliedAmount"])))


async def test_a_refund_comes_with_its_payment_which_is_to_be_captured_anew() -> None:
    async with zuora() as (sandbox, client):
        payment = payments.create(sandbox.store, sandbox.generator.account(currency="USD"), Decimal(500))
        refund = payments.refund(sandbox.store, payment, Decimal(200))
        fetched = await client.fetch(DocumentType.REFUND, refund.key)

    assert "currency" not in fetched.document
    assert fetched.currency == "USD"
    assert fetched.document["payment"]["id"] == payment.key
    assert fetched.document["payment"]["gatewayId"] == payment.document["gatewayId"]
    assert len(fetched.document["parts"]) == 1
    assert fetched.renewed == ((DocumentType.PAYMENT, payment.key),)


async def test_an_adjustment_comes_with_its_whole_invoice() -> None:
    async with zuora() as (sandbox, client):
        invoice = posted_invoice(sandbox)
        adjustment = memos.adjust(sandbox.store, invoice, Decimal(1), kind="Credit", item=0, source="Tax", date="")
        fetched = await client.fetch(DocumentType.ADJUSTMENT, adjustment.key)

    assert fetched.document_id == adjustment.key
    assert fetched.account_id == invoice.document["accountId"]
    assert fetched.currency == invoice.document["currency"]
    assert len(fetched.document["invoice"]["items"]) == len(invoice.items)
    assert fetched.renewed == ()


@pytest.mark.parametrize("kind", list(DocumentType))
async def test_what_is_not_there_is_said_so_by_zuora_itself(kind: DocumentType) -> None:
    async with zuora() as (_, client):
        with pytest.raises(NoSuchObjectError):
            await client.fetch(kind, "8ad0ffffffffffffffffffffffffffff")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 409},
        {"kind": "garbage"},
        {"kind": "drop"},
    ],
    ids=str,
)
async def test_passing_trouble_costs_one_more_request_not_the_document(fault: dict[str, Any]) -> None:
    async with zuora() as (sandbox, client):
        record = posted_invoice(sandbox)
        sandbox.faults.order({**fault, "path": "/items", "times": 2})
        fetched = await client.fetch_invoice(record.key)

    assert fetched.document_id == record.key


@pytest.mark.parametrize("kind", ["rate-limit", "concurrency"])
async def test_both_forms_of_429_wait_as_long_as_zuora_asks(kind: str) -> None:
    waits: list[float] = []
    async with zuora() as (sandbox, patient):
        record = posted_invoice(sandbox)
        sandbox.faults.order({"kind": kind, "path": "/v1/invoices", "seconds": 1})
        client = ZuoraClient(patient._session, back_off=QUICK, on_wait=lambda _, seconds: waits.append(seconds))
        await client.fetch_invoice(record.key)

    assert len(waits) == 1
    assert 1 <= waits[0] <= 2.5


async def test_trouble_is_given_up_where_someone_waits_for_the_answer() -> None:
    async with zuora() as (sandbox, patient):
        sandbox.faults.order({"kind": "status", "status": 503, "path": "/v1/", "times": 10_000})
        client = ZuoraClient(patient._session, back_off=QUICK, give_up_after_seconds=0.2)
        with pytest.raises(TroubleError, match="ordered fault 503"):
            await client.fetch_invoice(posted_invoice(sandbox).key)


async def test_a_fetch_that_waits_out_trouble_can_be_cancelled() -> None:
    async with zuora() as (sandbox, client):
        sandbox.faults.order({"kind": "status", "status": 503, "path": "/v1/", "times": 10_000})
        task = asyncio.create_task(client.fetch_invoice(posted_invoice(sandbox).key))
        await eventually(faults_met(sandbox))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)


async def test_a_token_that_expires_or_is_revoked_is_replaced() -> None:
    async with zuora(token_seconds=0.3) as (sandbox, client):
        record = posted_invoice(sandbox, items=1)
        for _ in range(5):
            await client.fetch_invoice(record.key)
            await asyncio.sleep(0.1)
        assert 2 <= sandbox.tokens.issued <= 6
        sandbox.tokens._valid_until.clear()
        await client.fetch_invoice(record.key)


async def test_wrong_credentials_are_one_clear_error() -> None:
    async with zuora(secret="wrong") as (_, patient):
        client = ZuoraClient(patient._session, back_off=QUICK, give_up_after_seconds=0)
        with pytest.raises(UnauthorizedError, match=r"Zuora refuses the credentials.*ZIFS_ZUORA__CLIENT_ID"):
            await client.fetch_invoice("INV00000001")


async def test_a_document_that_changes_while_it_is_fetched_is_fetched_again() -> None:
    async with zuora() as (sandbox, client):
        record = posted_invoice(sandbox, items=2)
        asked: list[str] = []
        whole = client.get

        async def get(path: str, params: str | None = None) -> dict[str, Any]:
            asked.append(path)
            answer = await whole(path, params)
            if len(asked) == 2:  # the items have just been read
                record.items.pop()
                invoices.add_up(record.document, record.items)
                sandbox.store.touch(record)
            return answer

        client.get = get  # type: ignore[method-assign]
        fetched = await client.fetch_invoice(record.key)

    assert len(fetched.document["items"]) == 1
    assert fetched.updated_date == record.document["updatedDate"]
    assert fetched.amount == record.document["amount"]
    header, items = f"/v1/invoices/{record.key}", f"/v1/invoices/{record.key}/items"
    assert asked == [header, items, header, items, header]


async def test_accounts_are_remembered_for_a_while() -> None:
    async with zuora() as (sandbox, client):
        record = sandbox.generator.account(name="Nordic Example AB")
        seen = [await client.account(record.key) for _ in range(3)]
        nobody = await client.account("8ad0ffffffffffffffffffffffffffff")
        asked = sandbox.traffic.by_endpoint["GET /v1/accounts"]

    assert {(account.number, account.name) for account in seen} == {(record.number, "Nordic Example AB")}
    assert (nobody.number, nobody.name) == (None, None)
    assert asked == 2


async def test_the_version_is_always_sent() -> None:
    async with zuora(missing_version="refuse") as (sandbox, client):
        fetched: Fetched = await client.fetch_invoice(posted_invoice(sandbox).key)

    assert fetched.document_id
    assert sandbox.counts["withoutVersion"] == 0


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"base_url": None}, "BASE_URL"),
        ({"base_url": "rest.zuora.com"}, "BASE_URL"),
        ({"client_id": None}, "CLIENT_ID"),
        ({"client_secret": None}, "CLIENT_SECRET"),
    ],
)
def test_a_missing_setting_is_named(settings: dict[str, Any], name: str) -> None:
    whole = {"base_url": "https://rest.zuora.com", "client_id": "client", "client_secret": "secret"}

    with pytest.raises(SettingsError, match=f"ZIFS_ZUORA__{name}"):
        zuora_session(ZuoraSettings(**{**whole, **settings}))

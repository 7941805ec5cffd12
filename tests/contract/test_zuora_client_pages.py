"""Pages that Zuora should never send, and what keys become: against a server that answers as each test says."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from schemas.base import DocumentType
from schemas.errors import FarSideError, NotFoundError, RefusedError
from streams.settings import ZuoraSettings
from streams.systems.retry import BackOff
from streams.systems.session import TOO_LARGE
from streams.systems.zuora.captured import Account
from streams.systems.zuora.client import MOST_PAGES, ZuoraClient, zuora_session
from streams.systems.zuora.errors import AnotherDocumentError, NoSuchObjectError
from tests.support.servers import serving

HEADER = {"success": True, "id": "8ad0", "accountId": "acc", "updatedDate": "2026-03-01 00:00:00"}
Script = Callable[[web.Request], Any]


@asynccontextmanager
async def zuora(script: Script) -> AsyncIterator[tuple[ZuoraClient, list[str]]]:
    """A client of a server whose answers are what `script` returns: JSON, or a whole response."""
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/oauth/token":
            return web.json_response({"access_token": "t", "expires_in": 3600})
        asked.append(request.raw_path)
        answer = script(request)
        return answer if isinstance(answer, web.Response) else web.json_response(answer)

    async with serving(handler) as url:
        settings = ZuoraSettings(base_url=url, client_id="c", client_secret=SecretStr("s"))
        async with zuora_session(settings) as session:
            yield ZuoraClient(session, back_off=BackOff(first=0, longest=0), give_up_after_seconds=0), asked


def items(request: web.Request, **page: Any) -> dict[str, Any]:
    return {"success": True, "invoiceItems": [{"id": "i"}], **page} if "/items" in request.path else HEADER


async def test_pages_that_go_round_in_a_circle_end() -> None:
    async with zuora(lambda request: items(request, nextPage=str(request.url.with_query(page=1)))) as (client, asked):
        with pytest.raises(RefusedError, match="circle"):
            await client.fetch_invoice("8ad0")
    assert len(asked) == 3


async def test_pages_without_end_are_too_large() -> None:
    def script(request: web.Request) -> dict[str, Any]:
        number = int(request.query.get("page", 0)) + 1
        return items(request, nextPage=str(request.url.with_query(page=number)))

    async with zuora(script) as (client, asked):
        with pytest.raises(RefusedError) as caught:
            await client.fetch_invoice("8ad0")
    assert caught.value.code == TOO_LARGE
    assert len(asked) == MOST_PAGES + 1


async def test_a_next_page_elsewhere_is_not_followed() -> None:
    async with zuora(lambda request: items(request, nextPage="https://evil.example/items")) as (client, asked):
        with pytest.raises(RefusedError, match=r"evil\.example is not Zuora"):
            await client.fetch_invoice("8ad0")
    assert len(asked) == 2


async def test_a_next_page_under_the_name_behind_a_gateway_is_asked_of_the_gateway() -> None:
    def script(request: web.Request) -> dict[str, Any]:
        if "page" in request.query:
            return items(request)
        return items(request, nextPage="https://rest.zuora.com/v1/invoices/8ad0/items?page=2&pageSize=40")

    async with zuora(script) as (client, asked):
        fetched = await client.fetch_invoice("8ad0")
    assert len(fetched.document["items"]) == 2
    assert asked[2] == "/v1/invoices/8ad0/items?page=2&pageSize=40"


NO_SUCH = {"success": False, "reasons": [{"code": 50000040, "message": "Cannot find entity by key"}]}


async def test_a_payment_whose_parts_are_not_found_has_none() -> None:
    def script(request: web.Request) -> Any:
        return web.json_response(NO_SUCH, status=404) if "/parts" in request.path else HEADER

    async with zuora(script) as (client, _):
        assert (await client.fetch_payment("8ad0")).document["parts"] == []


async def test_an_invoice_whose_items_are_not_found_is_not_gone() -> None:
    def script(request: web.Request) -> Any:
        return web.json_response(NO_SUCH, status=404) if "/items" in request.path else HEADER

    async with zuora(script) as (client, _):
        with pytest.raises(NotFoundError, match="has the document, but not /v1/invoices/8ad0/items") as caught:
            await client.fetch_invoice("8ad0")
    assert not isinstance(caught.value, NoSuchObjectError)


@pytest.mark.parametrize(
    "page", [{"invoiceItems": None}, {"invoiceItems": {}}, {"invoiceItems": ["x"]}, {"invoiceItems": "x"}], ids=str
)
async def test_a_page_that_is_no_list_of_items_is_an_error_not_an_empty_document(page: dict[str, Any]) -> None:
    async with zuora(lambda request: {**items(request), **page} if "/items" in request.path else HEADER) as (client, _):
        with pytest.raises(RefusedError, match="invoiceItems"):
            await client.fetch_invoice("8ad0")


@pytest.mark.parametrize("header", [{}, {"id": "8ad0"}, {"id": 5, "accountId": "a"}, {"id": "", "accountId": "a"}])
async def test_a_header_without_ids_is_an_error(header: dict[str, Any]) -> None:
    async with zuora(lambda _: {"success": True, **header}) as (client, _):
        with pytest.raises(RefusedError, match="Zuora's answer for 8ad0 has no"):
            await client.fetch_invoice("8ad0")


@pytest.mark.parametrize("key", ["", ".", "..", "x" * 101])
async def test_a_key_that_is_none_is_not_asked_for(key: str) -> None:
    async with zuora(lambda _: HEADER) as (client, asked):
        with pytest.raises(RefusedError, match="is no id or number"):
            await client.fetch_invoice(key)
    assert asked == []


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("INV 1/2?x=y#z", "/v1/payments/INV%201%2F2%3Fx%3Dy%23z"),
        ("../accounts/1", "/v1/payments/..%2Faccounts%2F1"),
        ("P-å", "/v1/payments/P-%C3%A5"),
        ("P-\ud800", "/v1/payments/P-%3F"),
    ],
)
async def test_a_key_stays_one_segment_of_the_path(key: str, path: str) -> None:
    async with zuora(lambda _: web.json_response({"success": False}, status=404)) as (client, asked):
        with pytest.raises(NoSuchObjectError):
            await client.fetch_payment(key)
    assert asked == [path]


@pytest.mark.parametrize("page", ["<html>", "{}", '{"message": "no Route matched"}'])
async def test_a_404_that_is_not_zuora_s_is_told_apart(page: str) -> None:
    async with zuora(lambda _: web.Response(status=404, text=page)) as (client, _):
        with pytest.raises(NotFoundError) as caught:
            await client.fetch_payment("8ad0")
    assert not isinstance(caught.value, NoSuchObjectError)


async def test_a_refund_whose_payment_is_not_there_comes_without_it() -> None:
    def script(request: web.Request) -> Any:
        if "/payments/" in request.path:
            return web.json_response({"success": False, "reasons": [{"code": 50000040}]}, status=404)
        return {"success": True, "parts": []} if "/parts" in request.path else {**HEADER, "paymentId": "p1"}

    async with zuora(script) as (client, _):
        fetched = await client.fetch(DocumentType.REFUND, "8ad0")

    assert fetched.document["payment"] is None
    assert fetched.renewed == ()


@pytest.mark.parametrize(
    ("denied", "kind"),
    [
        ("/payments/p1", DocumentType.REFUND),
        ("/parts", DocumentType.PAYMENT),
        ("/invoices/i1", DocumentType.ADJUSTMENT),
        ("/items", DocumentType.ADJUSTMENT),
    ],
)
async def test_what_some_proxy_denies_is_not_left_out_of_a_document(denied: str, kind: DocumentType) -> None:
    def script(request: web.Request) -> Any:
        if denied in request.path:
            return web.Response(status=404, text="<html>no route</html>")
        if "/parts" in request.path:
            return {"success": True, "parts": []}
        if "/invoice-item-adjustment/" in request.path:
            return {"Id": "8ad0", "AccountId": "acc", "InvoiceId": "i1"}
        return {**HEADER, "id": request.path.rpartition("/")[2], "paymentId": "p1"}

    async with zuora(script) as (client, _):
        with pytest.raises(NotFoundError) as caught:
            await client.fetch(kind, "8ad0")
    assert not isinstance(caught.value, NoSuchObjectError)


async def test_a_document_that_never_rests_is_trouble_after_some_rounds() -> None:
    count = 0

    def script(request: web.Request) -> dict[str, Any]:
        nonlocal count
        count += 1
        return {**items(request), "updatedDate": str(count)}

    async with zuora(script) as (client, asked):
        with pytest.raises(FarSideError, match="changed 5 times") as caught:
            await client.fetch_invoice("8ad0")
    assert caught.value.retriable
    assert len(asked) == 11


async def test_version_and_track_id_are_sent_and_each_request_has_its_own_track_id() -> None:
    seen: list[tuple[str, str]] = []

    def script(request: web.Request) -> dict[str, Any]:
        seen.append((request.headers["Zuora-Version"], request.headers["Zuora-Track-Id"]))
        return items(request)

    async with zuora(script) as (client, _):
        await client.fetch_invoice("8ad0")

    assert {version for version, _ in seen} == {"2025-08-12"}
    assert len({track_id for _, track_id in seen}) == len(seen) == 3


@pytest.mark.parametrize(
    ("asked", "told"),
    [("INV00000001", "INV00000002"), ("INV00000001", None), ("f" * 32, "INV00000001")],
    ids=["another number", "no number", "another id"],
)
async def test_an_answer_about_another_document_is_not_the_one_that_was_asked_for(asked: str, told: str | None) -> None:
    async with zuora(lambda _: HEADER | {"invoiceNumber": told}) as (client, _):
        for call in (client.fetch(DocumentType.INVOICE, asked), client.resolve(DocumentType.INVOICE, asked)):
            with pytest.raises(AnotherDocumentError, match=f"asked for {asked} it answered with another document"):
                await call


async def test_a_number_is_the_same_whatever_its_case_and_the_blanks_around_it() -> None:
    async with zuora(lambda _: HEADER | {"invoiceNumber": "INV00000001"}) as (client, _):
        assert await client.resolve(DocumentType.INVOICE, " inv00000001") == "8ad0"


async def test_an_id_in_capitals_is_the_one_that_zuora_tells_in_small_letters() -> None:
    async with zuora(lambda _: HEADER | {"id": "8ad0" * 8}) as (client, _):
        assert await client.resolve(DocumentType.INVOICE, "8AD0" * 8) == "8ad0" * 8


@pytest.mark.parametrize(
    "more",
    [{"id": "b" * 32, "accountNumber": "A2", "name": "Other AB"}, {"name": "A", "Digits__c": 10**50}],
    ids=["another account", "a number that nobody can mean"],
)
async def test_an_account_that_is_not_told_as_asked_for_has_no_name(more: dict[str, Any]) -> None:
    async with zuora(lambda _: {"success": True, "basicInfo": more}) as (client, _):
        assert await client.account("a" * 32) == Account("a" * 32)


@pytest.mark.parametrize("data", [5, {"a": 1}, [1], "x"])
async def test_taxes_that_are_no_list_are_refused(data: Any) -> None:
    def script(request: web.Request) -> dict[str, Any]:
        if "more-taxes" in request.path:
            return {"success": True, "data": []}
        return items(request, invoiceItems=[{"id": "i", "taxationItems": {"data": data, "nextPage": "/v1/more-taxes"}}])

    async with zuora(script) as (client, _):
        with pytest.raises(RefusedError, match="no list data"):
            await client.fetch_invoice("8ad0")


async def test_the_header_after_the_items_must_be_of_the_same_document() -> None:
    seen: list[str] = []

    def script(request: web.Request) -> dict[str, Any]:
        seen.append(request.path)
        return items(request) | ({"id": "8ad1"} if len(seen) == 3 else {})

    async with zuora(script) as (client, _):
        with pytest.raises(AnotherDocumentError):
            await client.fetch_invoice("8ad0")

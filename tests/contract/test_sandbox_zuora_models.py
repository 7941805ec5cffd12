"""What the Zuora sandbox answers parses with Zuora's official models, strictly and without an unknown key."""

import importlib
import importlib.util
import re
import sys
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from deploy.sandbox.testing import running_zuora

HEADERS = {"Zuora-Version": "2025-08-12"}


# The official models build themselves with a deprecated calls, whatever we do.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecationWarning")


def official(name: str) -> Any:
    """One official model, without the packages' own `__init__` files.

    Those import 1,740 modules, 20 s of processor time.
    """
    stand_ins = [package for package in ("zuora_sdk", "zuora_sdk.models") if package not in sys.modules]
    if stand_ins:
        found = importlib.util.find_spec("zuora_sdk")
        assert found is not None
        assert found.origin is not None
        for package in stand_ins:
            module = types.ModuleType(package)
            module.__path__ = [str(Path(found.origin).parent.joinpath(*package.split(".")[1:]))]
            sys.modules[package] = module
    try:
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("vos_type", "_vos_type").replace("__", "_")
        return getattr(importlib.import_module(f"zuora_sdk.models.{snake}"), name)
    finally:
        for package in stand_ins:
            del sys.modules[package]


def nested_model(annotation: Any) -> Any:
    """The model inside `Optional[List[Model]]` and the like, None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := nested_model(part)) is not None), None)


def strict_errors(model: Any, value: Any, path: str = "") -> list[str]:
    """What is wrong with an answer by the models' field types.

    The models themselves skip validation when they parse.
    """
    if isinstance(value, list):
        return [error for number, each in enumerate(value) for error in strict_errors(model, each, f"{path}[{number}]")]
    errors = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        if not isinstance(value, dict) or value.get(key) is None:
            continue
        inner = nested_model(field.annotation)
        if inner is not None:
            errors += strict_errors(inner, value[key], f"{path}.{key}")
            continue
        try:
            TypeAdapter(field.annotation).validate_python(value[key])
        except ValidationError as error:
            errors.append(f"{path}.{key}: {error.errors()[0]['msg']}")
    return errors


class Tenant:
    """A tenant with one of everything, read by a signed-in client."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session
        self.ids: dict[str, str] = {}

    async def sign_in(self) -> Any:
        form = {"grant_type": "client_credentials", "client_id": "zuora-client", "client_secret": "zuora-secret"}
        self.session.headers.pop("Authorization", None)
        async with self.session.post(f"{self.url}/oauth/token", data=form) as answer:
            token = await answer.json()
        self.session.headers.update({"Authorization": f"Bearer {token['access_token']}", **HEADERS})
        return token

    async def do(self, path: str, body: dict[str, Any]) -> Any:
        async with self.session.post(f"{self.url}/_sandbox/{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def fill(self) -> None:
        account = await self.do("accounts", {"currency": "USD"})
        invoice = await self.do("invoices", {"accountId": account["id"], "items": 3})
        share = {"invoiceId": invoice["id"], "amount": 10}
        payment = await self.do("payments", {"accountId": account["id"], "amount": 50, "applications": [share]})
        refund = await self.do(f"payments/{payment['id']}/refund", {"amount": 5})
        credit = await self.do(f"invoices/{invoice['id']}/credit-memo", {"share": "0.1"})
        await self.do(f"credit-memos/{credit['id']}/apply", {"applications": [{**share, "amount": "0.5"}]})
        debit = await self.do(f"invoices/{invoice['id']}/debit-memo", {"share": "0.1"})
        self.ids = {
            "account": account["id"],
            "invoice": invoice["id"],
            "item": invoice["items"][0]["id"],
            "payment": payment["id"],
            "refund": refund["id"],
            "credit": credit["id"],
            "debit": debit["id"],
        }

    async def get(self, path: str) -> Any:
        async with self.session.get(f"{self.url}{path.format(**self.ids)}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@pytest.fixture
async def tenant() -> AsyncIterator[Tenant]:
    async with running_zuora(item_amounts="strings") as zuora, aiohttp.ClientSession() as session:
        made = Tenant(zuora.url, session)
        await made.sign_in()
        await made.fill()
        yield made


def unknown_keys(parsed: Any, path: str = "") -> list[str]:
    """Keys that ended in `additional_properties`, anywhere in a parsed answer."""
    if isinstance(parsed, list):
        return [key for number, each in enumerate(parsed) for key in unknown_keys(each, f"{path}[{number}]")]
    if not isinstance(parsed, BaseModel):
        return []
    found = [f"{path}.{key}" for key in getattr(parsed, "additional_properties", None) or {}]
    for name in type(parsed).model_fields:
        if name != "additional_properties":
            found += unknown_keys(getattr(parsed, name), f"{path}.{name}")
    return found


PATHS = [
    ("/v1/invoices/{invoice}", "InvoiceResponse"),
    ("/v1/invoices/{invoice}/items", "InvoiceItemsResponse"),
    ("/v1/invoices/{invoice}/items/{item}/taxation-items", "TaxationItemsDataResponse"),
    ("/v1/payments/{payment}", "PaymentResponse"),
    ("/v1/payments/{payment}/parts", "GetPaymentPartsResponse"),
    ("/v1/refunds/{refund}", "RefundResponse"),
    ("/v1/refunds/{refund}/parts", "GetRefundPartsResponse"),
    ("/v1/credit-memos/{credit}", "CreditMemoResponse"),
    ("/v1/credit-memos/{credit}/items", "CreditMemoItemsResponse"),
    ("/v1/credit-memos/{credit}/parts", "GetCreditMemoPartsResponse"),
    ("/v1/debit-memos/{debit}", "DebitMemoResponse"),
    ("/v1/debit-memos/{debit}/items", "DebitMemoItemsResponse"),
    ("/v1/accounts/{account}", "AccountDetailResponse"),
    ("/object-query/invoices", "QueryInvoicesResponse"),
    ("/object-query/payments", "QueryPaymentsResponse"),
    ("/object-query/refunds", "QueryRefundsResponse"),
    ("/object-query/credit-memos", "QueryCreditMemosResponse"),
    ("/object-query/debit-memos", "QueryDebitMemosResponse"),
    ("/object-query/accounts", "QueryAccountsResponse"),
]


@pytest.mark.parametrize(("path", "model"), PATHS, ids=[path for path, _ in PATHS])
async def test_an_answer_validates_and_holds_no_unknown_key(tenant: Tenant, path: str, model: str) -> None:
    body = await tenant.get(path)
    expected = official(model)

    assert strict_errors(expected, body) == []
    assert unknown_keys(expected.from_dict(body)) == []


async def test_every_key_of_the_document_models_is_served(tenant: Tenant) -> None:
    """Keys of optional features of a tenant (NetSuite, e-invoicing, write-offs) may be missing, no others."""
    optional = {"processId", "requestId", "reasons", "nextPage", "writeOffResults"}
    for path, model in PATHS[:1] + PATHS[3:4] + PATHS[5:6] + PATHS[7:8] + PATHS[10:11]:
        body = await tenant.get(path)
        fields = {field.alias or name for name, field in official(model).model_fields.items()}
        missing = {
            name for name in fields - set(body) - optional - {"additional_properties"}
            if not name.endswith("__NS") and "EreportingRequestId" not in name
        }  # fmt: skip

        assert missing == set(), path


async def test_numbers_and_texts_of_item_amounts_both_parse_leniently() -> None:
    async with running_zuora(item_amounts="mixed") as zuora, aiohttp.ClientSession() as session:
        tenant = Tenant(zuora.url, session)
        await tenant.sign_in()
        invoice = await tenant.do("invoices", {"items": 30})
        body = await tenant.get(f"/v1/invoices/{invoice['id']}/items?pageSize=40")

    kinds = {type(item["chargeAmount"]) for item in body["invoiceItems"]}
    assert kinds == {str, float}
    assert official("InvoiceItemsResponse").from_dict(body) is not None


async def test_the_token_answer_validates(tenant: Tenant) -> None:
    assert strict_errors(official("TokenResponse"), await tenant.sign_in()) == []


async def test_the_callout_history_parses(tenant: Tenant) -> None:
    await tenant.do("callouts", {"calloutUrl": "http://127.0.0.1:1/nobody", "calloutAttempts": 1})
    await tenant.do("invoices", {"items": 1})
    while (await tenant.get("/_sandbox/callouts"))["pending"]:
        pass
    body = await tenant.get("/v1/notification-history/callout?includeResponseContent=true")
    parsed = official("GetCalloutHistoryVOsType").from_dict(body)

    assert unknown_keys(parsed) == []
    assert [(each.attempted_num, each.event_category) for each in parsed.callout_histories] == [("1", "1110")]

"""A bare client of the IFS sandbox, and vouchers as JSON: what a program sends that is not ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from deploy.sandbox.testing import running_ifs

PROJECTIONS = "/main/ifsapplications/projection/v1/"


def row(account: str, side: str, amount: float, **more: Any) -> dict[str, Any]:
    return {
        "Account": account,
        "CodeB": "100",
        "CurrencyCode": "EUR",
        "CurrencyType": "1",
        f"Currency{side}Amount": amount,
        f"{side}Amount": amount,
        "ReferenceSerie": "ZUORA",
        **more,
    }


def voucher(reference: str = "INV-1", **header: Any) -> dict[str, Any]:
    rows = [
        row("1510", "Debet", 119.00, ReferenceNumber=reference),
        row("3010", "Credit", 100.00, ReferenceNumber=reference),
        row("2610", "Credit", 19.00, ReferenceNumber=reference),
    ]
    return {
        "Company": "10",
        "VoucherType": "M",
        "VoucherDate": "2026-03-01",
        "UserGroup": "INT",
        "VoucherText2": reference,
        "VoucherPostingArray": rows,
        **header,
    }


class Client:
    """A bare client of one sandbox."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session
        self.headers: dict[str, str] = {}

    async def sign_in(self) -> None:
        form = {"grant_type": "client_credentials", "client_id": "ifs-client", "client_secret": "ifs-secret"}
        async with self.session.post(
            f"{self.url}/auth/realms/sandbox/protocol/openid-connect/token", data=form
        ) as answer:
            self.headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}

    async def get(self, path: str) -> tuple[int, Any, str | None]:
        address = URL(self.url + PROJECTIONS + path.replace(" ", "%20"), encoded=True)
        async with self.session.get(address, headers=self.headers) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers.get("ETag")

    async def tag(self, company: str = "10") -> str:
        _, _, tag = await self.get(f"VoucherHandling.svc/VoucherSet?$filter=Company eq '{company}'&$top=1")
        assert tag is not None
        return tag

    async def post(self, body: dict[str, Any], tag: str | None = None, **headers: str) -> tuple[int, Any]:
        given = {**self.headers, **headers} | ({"If-Match": tag} if tag else {})
        address = self.url + PROJECTIONS + "VoucherHandling.svc/VoucherSet"
        async with self.session.post(address, json=body, headers=given) as answer:
            return answer.status, await answer.json(content_type=None)

    async def book(self, body: dict[str, Any]) -> dict[str, Any]:
        status, answer = await self.post(body, await self.tag(body["Company"]))
        assert status == 201, answer
        return dict(answer)

    async def refused(self, body: dict[str, Any]) -> str:
        status, answer = await self.post(body, await self.tag(str(body["Company"])))
        assert status >= 400
        details = answer["error"].get("details") or [{"message": answer["error"]["code"]}]
        return str(details[0]["message"])

    async def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        if body is None:
            async with self.session.get(f"{self.url}/_sandbox/{path}") as answer:
                return await answer.json()
        async with self.session.post(f"{self.url}/_sandbox/{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def send(self, method: str, path: str, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
        address = URL(self.url + PROJECTIONS + path, encoded=True)
        given = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.session.request(method, address, json=body, headers=given) as answer:
            return answer.status, await answer.json(content_type=None)


@asynccontextmanager
async def signed_in() -> AsyncIterator[Client]:
    """A client of a sandbox of its own."""
    async with running_ifs() as sandbox, aiohttp.ClientSession() as session:
        client = Client(sandbox.url, session)
        await client.sign_in()
        yield client

"""Answers of the console's API against its own OpenAPI document."""

from typing import Any

import aiohttp
from jsonschema import Draft202012Validator, FormatChecker

JSON = "application/json"


class Contract:
    """The OpenAPI document as the console gives it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    @classmethod
    async def of(cls, console: aiohttp.ClientSession) -> "Contract":
        """Fetch it."""
        async with console.get("/api/openapi.json", headers={"Sec-Fetch-Site": "none"}) as answer:
            assert answer.status == 200, await answer.text()
            return cls(await answer.json())

    def check(self, method: str, path: str, status: int, body: Any) -> None:
        """Fail where an answer of the operation at `path` (as the document writes it) is not as described."""
        described = self.document["paths"][path][method.lower()]["responses"]
        assert str(status) in described, f"{method} {path} does not tell of {status}: {body}"
        schema = described[str(status)]["content"][JSON]["schema"] | {"components": self.document["components"]}
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(body)


class Caller:
    """Asks the API and holds every answer against the document."""

    def __init__(self, console: aiohttp.ClientSession, contract: Contract) -> None:
        self._console = console
        self._contract = contract

    async def __call__(self, method: str, described: str, *, expect: int = 200, **asked: Any) -> Any:
        """Return the answer; `described` is the path as the document writes it, its parts are in `asked`.

        `body` is sent as JSON, `query` behind the path.
        """
        body, query = asked.pop("body", None), asked.pop("query", None)
        path = described
        for name, value in asked.items():
            path = path.replace(f"{{{name}}}", value)
        async with self._console.request(method, path, json=body, params=query) as answer:
            told = await answer.json()
            assert answer.status == expect, told
            self._contract.check(method, described, answer.status, told)
            return told

"""JSON whose amounts are exact: Decimals travel as JSON numbers and never pass through a binary float."""

import json
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

import orjson
from aiohttp import web

Json = dict[str, Any]

#: Currencies whose minor unit is not a hundredth (ISO 4217), among those the sandbox knows.
_DECIMALS = {"JPY": 0, "KRW": 0, "CLP": 0, "ISK": 0, "KWD": 3, "BHD": 3, "TND": 3, "JOD": 3, "OMR": 3}


@cache
def minor_unit(currency: str) -> Decimal:
    """Return the smallest amount of a currency: 0.01 for EUR, 1 for JPY, 0.001 for KWD."""
    return Decimal(1).scaleb(-_DECIMALS.get(currency, 2))


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Round half up to the currency's minor unit."""
    return amount.quantize(minor_unit(currency), rounding=ROUND_HALF_UP)


def _unknown(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f").encode())
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def dumps(value: Any) -> bytes:
    """Write JSON; a Decimal keeps every digit it has, trailing zeros too."""
    return orjson.dumps(value, default=_unknown)


def loads(text: str | bytes) -> Any:
    """Read JSON; numbers with a point or an exponent become Decimals. Raises ValueError."""
    return json.loads(text, parse_float=Decimal)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with exact JSON."""
    return web.Response(
        body=dumps(body), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


async def read_json(request: web.Request) -> Json:
    """Read a JSON object from a request; an empty body is an empty object. Raises ValueError for anything else."""
    raw = await request.read()
    if not raw.strip():
        return {}
    value = loads(raw)
    if not isinstance(value, dict):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004 - callers answer 400 to one kind of error
    return value

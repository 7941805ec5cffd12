"""Bodies of the far sides: read with a bound, JSON with exact decimals both ways."""

import json
import zlib
from decimal import Decimal, InvalidOperation
from typing import Any

import aiohttp
import orjson

from schemas.errors import UnreadableError

GZIP = zlib.MAX_WBITS | 16
"""zlib's way of saying: gzip with its header and checksum."""


class TooLargeError(Exception):
    """A body is longer than was allowed; what of it was read is dropped."""


async def read_body(response: aiohttp.ClientResponse, largest_bytes: int) -> bytes:
    """Return the body, unpacked if it came as gzip; the session must not have unpacked it (`auto_decompress=False`).

    Raises:
        TooLargeError: it is longer than `largest_bytes`, packed or unpacked.
        aiohttp.ClientPayloadError: it broke off, goes on after its end, or is packed in a way that nobody asked for.

    """
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", ""):
        raise aiohttp.ClientPayloadError(f"content coding {coding[:20]!r}, which was not asked for")
    unpack = zlib.decompressobj(GZIP) if coding == "gzip" else None
    body, packed = bytearray(), 0
    async for chunk in response.content.iter_any():
        packed += len(chunk)
        body += _unpacked(unpack, chunk, largest_bytes + 1 - len(body)) if unpack else chunk
        if max(packed, len(body)) > largest_bytes:
            raise TooLargeError(f"more than {largest_bytes} bytes")
        if unpack and unpack.unused_data:  # a part of the body would be left out
            raise aiohttp.ClientPayloadError("the gzip stream goes on after its end")
    if unpack and packed and not unpack.eof:
        raise aiohttp.ClientPayloadError("the gzip stream broke off")
    return bytes(body)


def _unpacked(unpack: "zlib._Decompress", chunk: bytes, room: int) -> bytes:
    """Unpack no more than `room` bytes, however small the chunk: a kilobyte can hold a megabyte of zeros."""
    try:
        return unpack.decompress(chunk, room)
    except zlib.error as error:
        raise aiohttp.ClientPayloadError(f"not gzip: {error}") from error


def read_json(body: bytes) -> Any:
    """Return JSON with every number that has a fraction or exponent as the Decimal of its text, never a float.

    Raises:
        UnreadableError: it is not JSON (RFC 8259: NaN and Infinity are not), nested too deeply to be an answer, or says
            one thing twice in an object: which of two amounts is meant, nobody knows.

    """
    try:
        return json.loads(body, parse_float=_exact, parse_constant=_refuse_constant, object_pairs_hook=_once_each)
    except RecursionError:
        raise UnreadableError("JSON that is nested too deeply") from None
    except _TwiceError as error:
        raise UnreadableError(str(error)) from None
    except ValueError as error:  # also UnicodeDecodeError, and integers beyond Python's limit of digits
        where = f" at byte {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise UnreadableError(f"not JSON{where}") from None


class _TwiceError(ValueError):
    """A name is there twice in one object."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError("JSON with a name twice in one object")
    return found


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # of exponents beyond 10^18
        raise ValueError("a number beyond all numbers") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def write_json(value: Any) -> bytes:
    """Return JSON in which a Decimal is a number of exactly its digits, without an exponent.

    Raises:
        TypeError: something in it has no JSON form.

    """
    return orjson.dumps(value, default=_number)


def _number(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f").encode())
    raise TypeError(f"{type(value).__name__} has no JSON form")

"""From the bytes of a callout to its fields: JSON, Zuora's XML, or a form; what it is, its content tells."""

import json
import zlib
from collections.abc import Iterator
from email.message import Message as MediaType
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree

from schemas.errors import UnreadableError

DEEPEST_NESTING = 32
"""Levels of JSON; callouts have two or three. Beyond 255 our own event could not be written."""

MOST_DIGITS = 1000
"""Of a whole number; Python itself takes quadratic time for them."""

MOST_FIELDS = 1000
"""Parameters of a form or an XML callout."""

_CHARSETS = ("utf-8", "utf-16", "utf-32", "us-ascii", "iso-8859-1", "windows-1252")


class BodyTooLargeError(UnreadableError):
    """A compressed body is larger than allowed once it is unpacked."""


def unpacked(body: bytes, content_encoding: str, most_bytes: int) -> bytes:
    """Return a gzip or deflate body unpacked; one that is not what its header says is returned as it is.

    Raises:
        BodyTooLargeError: it unpacks to more than `most_bytes`; no more than that was unpacked.

    """
    if content_encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: finds out itself whether gzip or zlib
    try:
        plain = unpacking.decompress(body, most_bytes + 1)
    except zlib.error:
        return body
    if len(plain) > most_bytes:
        raise BodyTooLargeError(f"larger than {most_bytes} bytes unpacked")
    return plain if unpacking.eof and not unpacking.unused_data else body


def read_fields(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the fields of a callout's body; an empty body has none.

    Raises:
        UnreadableError: neither a JSON object, nor a `<callout>`, nor a form.

    """
    start = body.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1]
    if not start:
        return {}
    if start == b"<":
        return _read_xml(body)
    media = MediaType()
    media["content-type"] = content_type or "application/json"
    text = _text(body, media.get_content_charset("utf-8"))
    if media.get_content_type() == "application/x-www-form-urlencoded" and start not in b"{[":
        return _read_form(text)
    return _read_json(text)


def _text(body: bytes, charset: str) -> str:
    # An unknown charset is read as UTF-8, which says so itself when it is not.
    codec = charset if charset in _CHARSETS else "utf-8"
    try:
        return body.decode(codec).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not {codec}: {error.reason} at byte {error.start}") from None


def _read_json(text: str) -> dict[str, Any]:
    try:
        # Numbers with a fraction stay the text that they are: a float would change an amount.
        value = json.loads(
            text,
            parse_float=str,
            parse_int=_whole,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise UnreadableError("JSON that is nested too deeply") from None
    except ValueError as error:
        raise UnreadableError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UnreadableError("JSON, but not an object")
    _refuse_deep(value)
    return value


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of more than {MOST_DIGITS} digits")
    return int(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_deep(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST_NESTING):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise UnreadableError(f"JSON that is nested more than {DEEPEST_NESTING} levels deep")


def _inside(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (part for part in inner if isinstance(part, dict | list))


def _read_form(text: str) -> dict[str, Any]:
    try:
        return dict(parse_qsl(text.strip(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError as error:
        raise UnreadableError(f"not a form: {error}") from None


def _read_xml(body: bytes) -> dict[str, Any]:
    """Zuora's older callouts: `<callout><parameter name="InvoiceID">…</parameter></callout>`."""
    try:
        root = ElementTree.fromstring(body.strip(), forbid_dtd=True)
    except (ParseError, ValueError, LookupError) as error:
        raise UnreadableError(f"not XML that is accepted: {type(error).__name__}") from None
    if _local_name(root) != "callout":
        raise UnreadableError("XML, but not a <callout>")
    parameters = [child for child in root if _local_name(child) == "parameter" and child.get("name")]
    if len(parameters) > MOST_FIELDS:
        raise UnreadableError(f"more than {MOST_FIELDS} parameters")
    return {child.get("name", ""): (child.text or "").strip() for child in parameters}


def _local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2].lower()

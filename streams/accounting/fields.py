"""Reads fields out of Zuora's JSON. An empty text, null and a missing key are all the same: nothing."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from schemas.errors import UnreadableError

Json = Mapping[str, Any]

LARGEST_EXPONENT = 18
"""Amounts of 10^18 and more are a fault of their sender; their arithmetic would also leave the 28 digits of decimal."""
LONGEST_TEXT = 1_000
"""Characters; a number, a code or a name that is longer is none, and would be repeated in keys and events."""
MOST_DECIMALS = 20
"""Zuora's taxes have up to ten or so; 1E-999999999 is a decimal too, and written out it would be a gigabyte."""


def text(source: Json, name: str, where: str = "") -> str:
    """Return a field as text without outer blanks, or an empty text.

    Raises:
        UnreadableError: it is a list, an object or too long; the message names the field.

    """
    value = source.get(name)
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise UnreadableError(f"{where}{name}: longer than {LONGEST_TEXT} characters")
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, dict | list):
        raise UnreadableError(f"{where}{name}: not a text")
    return str(value)


def amount(source: Json, name: str, where: str = "") -> Decimal | None:
    """Return a field as a decimal, or None.

    Raises:
        UnreadableError: it is no number, not finite, too large, of too many decimals, or a float (which has lost its
            digits already).

    """
    value = source.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, int | Decimal)):
        raise UnreadableError(f"{where}{name}: not a decimal number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise UnreadableError(f"{where}{name}: not a decimal number") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MOST_DECIMALS or number.adjusted() >= LARGEST_EXPONENT:
        raise UnreadableError(f"{where}{name}: not an amount of money")
    return number


def required_amount(source: Json, name: str, where: str = "") -> Decimal:
    """Return a field as a decimal.

    Raises:
        UnreadableError: it is missing or no number.

    """
    number = amount(source, name, where)
    if number is None:
        raise UnreadableError(f"{where}{name}: missing")
    return number


def day(source: Json, name: str, where: str = "") -> date | None:
    """Return the day of a date, or of a date and time as written, or None.

    Raises:
        UnreadableError: it is not of the form `2026-03-01`, alone or with a time after it.

    """
    value = text(source, name, where)
    if not value:
        return None
    alone_or_before_a_time = value[10:11] in ("", "T", " ")
    try:
        return date.fromisoformat(value[:10] if alone_or_before_a_time else value)
    except ValueError:
        raise UnreadableError(f"{where}{name}: not a date") from None


def part(source: Json, name: str) -> Json:
    """Return a field that is an object, or an empty one.

    Raises:
        UnreadableError: it is something else.

    """
    value = source.get(name)
    if not value:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(f"{name}: not an object")
    return value


def parts(source: Json, name: str, where: str = "") -> list[Json]:
    """Return a field that is a list of objects, or an empty list.

    Raises:
        UnreadableError: it is something else.

    """
    value = source.get(name)
    if not value:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise UnreadableError(f"{where}{name}: not a list of objects")
    return value

"""OData 4.0 as IFS Cloud takes it: literals, filters and queries, encoded by hand.

A form-encoded `$` breaks requests to IFS, so the query is written as it goes over the wire (OData 4.01, part 2, 5.1.1).
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from urllib.parse import quote

MOST_DIGITS = 38
"""Before or after the point: what IFS's database has for a number."""
LONGEST_WHOLE = 18
"""Digits of a year, a period, a voucher's number."""
LONGEST_TAG = 1_000
LONGEST_URL = 4_000
"""Characters of a whole URL: gateways in front of IFS are known to cut at 4 KiB."""
_KEPT_IN_QUERY = "$'(),:;/@!*=-._~"
_KEPT_IN_KEY = "'(),=-._~"

Value = str | int | date


def literal(value: Value) -> str:
    """Return a value as OData writes it: text in quotes with inner ones doubled, numbers and dates bare."""
    if isinstance(value, str):
        doubled = value.encode("utf-8", "replace").decode().replace("'", "''")  # half a character is in no URL
        return f"'{doubled}'"
    return value.isoformat() if isinstance(value, date) else str(value)


def whole(value: object) -> int:
    """Return a whole number that came as JSON number or as text.

    Raises:
        ValueError: it is none, or has more digits than any number of IFS (1E999999999 would fill the memory).

    """
    number = decimal(value)
    if number is None or number != number.to_integral_value() or number.adjusted() >= LONGEST_WHOLE:
        raise ValueError("not a whole number")
    return int(number)


def decimal(value: object) -> Decimal | None:
    """Return a number that came as JSON number or as text; None for anything else, also for what IFS cannot hold."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        number = Decimal(value)
    except ArithmeticError:
        return None
    exponent = number.as_tuple().exponent
    is_held = isinstance(exponent, int) and exponent >= -MOST_DIGITS and number.adjusted() < MOST_DIGITS
    return number if is_held else None


def usable_tag(value: object) -> str | None:
    """Return what can be sent back as a tag (RFC 9110 8.8.3); None for what would break the header it goes into."""
    is_tag = isinstance(value, str) and value.isascii() and value.isprintable() and 0 < len(value) <= LONGEST_TAG
    return str(value) if is_tag else None


def equal(field: str, value: Value) -> str:
    """Return the condition that a field equals a value."""
    return f"{field} eq {literal(value)}"


def at_most(field: str, value: Value) -> str:
    """Return the condition that a field is less than or equal to a value."""
    return f"{field} le {literal(value)}"


def at_least(field: str, value: Value) -> str:
    """Return the condition that a field is greater than or equal to a value."""
    return f"{field} ge {literal(value)}"


def all_of(*conditions: str) -> str:
    """Return the condition that all of them hold."""
    return " and ".join(conditions)


def any_value(field: str, values: Sequence[Value]) -> str:
    """Return the condition that a field equals one of the values; IFS knows no `in` and no lambda."""
    joined = " or ".join(equal(field, value) for value in values)
    return joined if len(values) == 1 else f"({joined})"


def query(**options: str | int) -> str:
    """Return the encoded query of system options: filter="A eq 'x'", top=1 becomes `$filter=A%20eq%20'x'&$top=1`."""
    return "&".join(f"${name}={_quoted(str(value))}" for name, value in options.items())


def by_key(entity_set: str, **keys: Value) -> str:
    """Return the path of one entity: `VoucherTypes(Company='10',VoucherType='M')`."""
    inner = ",".join(f"{name}={literal(value)}" for name, value in keys.items())
    return f"{entity_set}({quote(inner, safe=_KEPT_IN_KEY)})"


def chunked(url: str, condition: str, field: str, values: Iterable[str]) -> Iterator[tuple[list[str], str]]:
    """Split a look-up of many values so that every URL stays under 4 kB; yields the values and the filter of each.

    `url` is the address before the query, `condition` what holds besides the field being one of the values.
    """
    around = len(url) + 1 + len(query(filter=all_of(condition, "()")))
    chunk: list[str] = []
    length = around
    for value in values:
        longer = len(_quoted(f" or {equal(field, value)}"))  # quoted once: the whole again for each would be quadratic
        if chunk and length + longer > LONGEST_URL:
            yield chunk, all_of(condition, any_value(field, chunk))
            chunk, length = [], around
        chunk.append(value)
        length += longer
    if chunk:
        yield chunk, all_of(condition, any_value(field, chunk))


def _quoted(text: str) -> str:
    return quote(text, safe=_KEPT_IN_QUERY)

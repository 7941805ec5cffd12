"""Amounts of money: decimals at their currency's own places, rounded half up, never two currencies in one sum."""

from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from iso4217 import Currency

from schemas.errors import UnreadableError

ZERO = Decimal(0)

WITHDRAWN = {"BYR": 0} | dict.fromkeys(
    ("ANG", "BGN", "CUC", "EEK", "HRK", "LTL", "LVL", "MRO", "SLL", "STD", "VEF", "ZMK", "ZWL"), 2
)
"""Decimals of what ISO 4217 withdrew from 2011 on (its list three). The table of a later release lacks such a currency,
but its vouchers stand in ledgers for ten years, to be explained and reversed, and December is invoiced in January."""


@lru_cache(maxsize=512)
def decimals(currency: str) -> int:
    """Return a currency's number of decimals by ISO 4217: JPY 0, EUR 2, KWD 3.

    Raises:
        UnreadableError: it is and was no currency with minor units of its own (unknown, or gold, or a test code).

    """
    try:
        places = Currency(currency).exponent
    except ValueError:
        places = WITHDRAWN.get(currency)
    if places is None:
        raise UnreadableError(f"currency: {currency[:10]!r} is not a currency of ISO 4217")
    return int(places)


@lru_cache(maxsize=512)
def minor_unit(currency: str) -> Decimal:
    """Return a currency's smallest amount, such as 0.01."""
    return Decimal(1).scaleb(-decimals(currency))


def rounded(amount: Decimal, unit: Decimal) -> Decimal:
    """Return `amount` rounded half up (away from zero at the half) to multiples of `unit`, a power of ten."""
    return amount.quantize(unit, ROUND_HALF_UP)


def one_currency(*currencies: str) -> str:
    """Return the one currency that all the non-empty ones are, or an empty text where there is none.

    Raises:
        UnreadableError: they differ; different currencies never add.

    """
    named = dict.fromkeys(currency for currency in currencies if currency)
    if len(named) > 1:
        raise UnreadableError(f"currency: {' and '.join(named)} in one document")
    return next(iter(named), "")

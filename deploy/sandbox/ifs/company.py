"""A company as IFS's accounting rules know it: chart, code parts, voucher types, user groups, periods, rates."""

import calendar
import datetime as dt
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from deploy.sandbox.exact import minor_unit, rounded

CODE_PARTS = "BCDEFGHIJ"


@dataclass
class Account:
    """A GL account. A ledger account belongs to a sub-ledger and takes no manual postings."""

    account: str
    description: str
    ledger: bool = False
    valid_from: str = "2000-01-01"
    valid_until: str = "2099-12-31"
    #: Code part letter -> `Mandatory` or `Blocked`; all others are `Can`.
    requirements: dict[str, str] = field(default_factory=dict)


@dataclass
class VoucherType:
    """A voucher type; IFS gives the numbers of its series, one per accounting year."""

    voucher_type: str
    description: str
    function_group: str = "M"
    years: set[int] = field(default_factory=lambda: {2025, 2026, 2027})
    next_number: dict[int, int] = field(default_factory=dict)


@dataclass
class Rate:
    """An exchange rate.

    So much of the company's currency for `conversion_factor` units of the other one; with inverted quotation the other
    way round.
    """

    currency_type: str
    currency: str
    valid_from: str
    rate: Decimal
    conversion_factor: Decimal = Decimal(1)


@dataclass
class Company:
    """One company with all its set-up."""

    company: str
    description: str
    currency: str
    parallel_currency: str | None = None
    #: Rates are quoted as foreign currency per own currency.
    inverted: bool = False
    #: False: the service user may not see it, and every list of its rows is empty.
    visible: bool = True
    accounts: dict[str, Account] = field(default_factory=dict)
    code_parts: dict[str, dict[str, str]] = field(default_factory=lambda: {letter: {} for letter in CODE_PARTS})
    voucher_types: dict[str, VoucherType] = field(default_factory=dict)
    #: User group -> its members; the first group is the default one.
    user_groups: dict[str, set[str]] = field(default_factory=dict)
    #: Accounting years with twelve calendar months each.
    years: set[int] = field(default_factory=lambda: {2025, 2026, 2027})
    closed_periods: set[tuple[int, int]] = field(default_factory=set)
    currency_types: tuple[str, ...] = ("1",)
    rates: list[Rate] = field(default_factory=list)

    def period_of(self, date: dt.date) -> tuple[int, int] | None:
        """The accounting year and period of a date, None where the year does not exist."""
        return (date.year, date.month) if date.year in self.years else None

    def period_dates(self, year: int, period: int) -> tuple[str, str]:
        """First and last day of a period."""
        last = calendar.monthrange(year, period)[1]
        return dt.date(year, period, 1).isoformat(), dt.date(year, period, last).isoformat()

    def rate_on(self, currency: str, currency_type: str, date: str) -> Rate | None:
        """The newest rate valid on or before a date."""
        valid = [
            rate
            for rate in self.rates
            if (rate.currency, rate.currency_type) == (currency, currency_type) and rate.valid_from <= date
        ]
        return max(valid, key=lambda rate: rate.valid_from, default=None)

    def converted(self, amount: Decimal, rate: Decimal, factor: Decimal) -> Decimal:
        """An amount in the company's own currency, rounded half up."""
        exact = amount / rate * factor if self.inverted else amount * rate / factor
        return exact.quantize(minor_unit(self.currency), rounding=ROUND_HALF_UP)

    def knows_currency(self, currency: str) -> bool:
        """Whether the currency is set up in the company."""
        return currency == self.currency or any(rate.currency == currency for rate in self.rates)

    def exact(self, amount: Decimal, currency: str) -> bool:
        """Whether an amount has no more decimals than its currency."""
        return rounded(amount, currency) == amount

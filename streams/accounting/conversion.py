"""A voucher's rows in the company's own currency, by the rate that IFS Cloud has for the document's date."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from schemas.vouchers import VoucherRow
from streams.accounting.money import ZERO, rounded

MOST_DIGITS = 100
"""Room for the largest amount at the largest rate; with the usual 28 digits such a pair would end the poster."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How IFS Cloud quotes a currency: so many of the company's own for `conversion_factor` of it, or inverted."""

    rate: Decimal
    conversion_factor: Decimal = Decimal(1)
    inverted: bool = False

    def __post_init__(self) -> None:
        """Refuse what would turn every amount to nothing.

        Raises:
            ValueError: rate or factor is not above zero.

        """
        if self.rate <= 0 or self.conversion_factor <= 0:
            raise ValueError("a currency rate and its conversion factor must be above zero")

    def convert(self, amount: Decimal) -> Decimal:
        """Return an amount in the company's currency, unrounded."""
        if self.inverted:
            return amount * self.conversion_factor / self.rate
        return amount * self.rate / self.conversion_factor


SAME_CURRENCY = Rate(Decimal(1))
"""Where document and company have the same currency."""


def convert(rows: Sequence[VoucherRow], rest_row: int, rate: Rate, company_decimals: int) -> tuple[VoucherRow, ...]:
    """Return the rows with their amounts in the company's currency, on the same sides, balanced.

    Each is rounded half up to `company_decimals`; what then does not balance goes to the row at `rest_row`, which can
    leave it at zero or below where all rows are of a few minor units.
    """
    unit = Decimal(1).scaleb(-company_decimals)
    with localcontext(prec=MOST_DIGITS):
        # Debit positive, so that the sum of all is what does not balance.
        amounts = [rounded(rate.convert((row.debit or ZERO) - (row.credit or ZERO)), unit) for row in rows]
        amounts[rest_row] -= sum(amounts, ZERO)
    return tuple(_with_company_amount(row, amount) for row, amount in zip(rows, amounts, strict=True))


def _with_company_amount(row: VoucherRow, amount: Decimal) -> VoucherRow:
    if row.debit is None:
        return row.model_copy(update={"company_debit": None, "company_credit": -amount})
    return row.model_copy(update={"company_debit": amount, "company_credit": None})

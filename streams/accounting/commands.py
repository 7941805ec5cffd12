"""Whether a voucher command can be carried out at all: what JSON of the right types may still lack."""

import re
from collections.abc import Iterable
from decimal import Decimal

from schemas.errors import UnreadableError
from schemas.vouchers import PostVoucher, ReverseVoucher, VoucherRow
from streams.accounting.money import ZERO, decimals

LARGEST_AMOUNT = Decimal(10) ** 22
"""A document's amounts are below 10^18; what many items bring together on one account is still below this."""
LONGEST_WORD = 50
_REFERENCE = re.compile(r"[A-Za-z0-9-]{1,50}")


def check_command(command: PostVoucher | ReverseVoucher) -> None:
    """Refuse what no arithmetic can be done with.

    Raises:
        UnreadableError: no rows, a row without one side, amounts that are not above zero or do not balance, no
            currency, words that IFS has no room for, a rate that is not above zero; a reversal without amounts in the
            company's currency.

    """
    if not command.rows:
        raise UnreadableError("a voucher command without rows")
    if any((row.debit is None) == (row.credit is None) for row in command.rows):
        raise UnreadableError("each row of a voucher command has one side, debit or credit")
    if not all(0 < (row.debit or row.credit or 0) < LARGEST_AMOUNT for row in command.rows):
        raise UnreadableError("the amounts of a voucher command are above zero, and below 10^22")
    if _sum(row.debit for row in command.rows) != _sum(row.credit for row in command.rows):
        raise UnreadableError("the debits and credits of a voucher command are not equal")
    decimals(command.currency)
    _check_words(command)
    rate = command.known_rate
    if rate is not None and min(rate.rate, rate.conversion_factor) <= 0:
        raise UnreadableError("the rate of a voucher command and its conversion factor are above zero")
    if isinstance(command, PostVoucher) and not 0 <= command.rest_row < len(command.rows):
        raise UnreadableError("the row that takes what conversion leaves over is none of the command's rows")
    if isinstance(command, ReverseVoucher) and not all(_has_company_amount(row) for row in command.rows):
        raise UnreadableError("a reversal's rows must bring their amounts in the company's currency")


def _check_words(command: PostVoucher | ReverseVoucher) -> None:
    words = [command.company, command.voucher_type, command.currency_type, command.user_group or "-"]
    words += [word for row in command.rows for word in (row.account, *row.code_parts.values())]
    if not all(0 < len(word) <= LONGEST_WORD and word.isprintable() for word in words):
        raise UnreadableError(f"what a voucher command names in IFS has 1 to {LONGEST_WORD} printable characters")
    if not _REFERENCE.fullmatch(command.reference):
        raise UnreadableError("the reference of a voucher command has 1 to 50 letters, digits and hyphens")


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount for amount in amounts if amount is not None), ZERO)


def _has_company_amount(row: VoucherRow) -> bool:
    return (row.company_debit if row.debit is not None else row.company_credit) is not None

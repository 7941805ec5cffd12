"""Whether a voucher command can be carried out at all: what JSON of the right types may still lack."""

from schemas.errors import UnreadableError
from schemas.vouchers import PostVoucher, ReverseVoucher, VoucherRow


def check_command(command: PostVoucher | ReverseVoucher) -> None:
    """Refuse what no arithmetic can be done with.

    Raises:
        UnreadableError: no rows, a row without one side, a rate that is not above zero; a reversal without amounts in
            the company's currency.

    """
    if not command.rows:
        raise UnreadableError("a voucher command without rows")
    if any((row.debit is None) == (row.credit is None) for row in command.rows):
        raise UnreadableError("each row of a voucher command has one side, debit or credit")
    rate = command.known_rate
    if rate is not None and min(rate.rate, rate.conversion_factor) <= 0:
        raise UnreadableError("the rate of a voucher command and its conversion factor are above zero")
    if isinstance(command, PostVoucher) and not 0 <= command.rest_row < len(command.rows):
        raise UnreadableError("the row that takes what conversion leaves over is none of the command's rows")
    if isinstance(command, ReverseVoucher) and not all(_has_company_amount(row) for row in command.rows):
        raise UnreadableError("a reversal's rows must bring their amounts in the company's currency")


def _has_company_amount(row: VoucherRow) -> bool:
    return (row.company_debit if row.debit is not None else row.company_credit) is not None

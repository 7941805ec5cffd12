"""A voucher as IFS Cloud takes it: the body of `POST VoucherSet`, with every amount digit by digit.

Spelling is IFS's own: `CurrencyDebetAmount`, not Debit.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from schemas.vouchers import PostVoucher, ReverseVoucher, VoucherRow
from streams.accounting.voucher import shortened

Command = PostVoucher | ReverseVoucher
"""What asks for a voucher."""

REFERENCE_SERIE = "ZUORA"
"""`ReferenceSerie` of every row: says whose `ReferenceNumber` it is."""


def voucher_body(
    command: Command,
    rows: Sequence[VoucherRow],
    *,
    rate: Decimal,
    conversion_factor: Decimal,
    rows_property: str,
) -> dict[str, Any]:
    """Return the request body for a command whose `rows` carry company amounts; `rows_property` names the row array.

    Amounts stay Decimals, which the session writes as JSON numbers of exactly their digits.

    A reversal looks like any other voucher: its reference, the reversed one's with `-R`, is the link. IFS's own link
    (`VoucherTypeReference`, `AccountingYearReference`, `VoucherNoReference`) is not sent: no projection is known to
    take these three on a new voucher, IFS fills them for interim vouchers, and a property that a projection does not
    know makes it refuse the whole voucher.
    """
    header: dict[str, Any] = {
        "Company": command.company,
        "VoucherType": command.voucher_type,
        "VoucherDate": command.voucher_date.isoformat(),
        "VoucherText2": command.reference,
    }
    if command.user_group:
        header["UserGroup"] = command.user_group
    header[rows_property] = [row_body(command, row, rate, conversion_factor) for row in rows]
    return header


def row_body(command: Command, row: VoucherRow, rate: Decimal, conversion_factor: Decimal) -> dict[str, Any]:
    """Return a row as IFS takes it."""
    return {
        "Account": row.account,
        **{f"Code{part}": value for part, value in sorted(row.code_parts.items())},
        "CurrencyCode": command.currency,
        "CurrencyType": command.currency_type,
        "CurrencyRate": rate,
        "ConversionFactor": conversion_factor,
        **_amounts(row),
        "Text": shortened(row.text),
        "ReferenceSerie": REFERENCE_SERIE,
        "ReferenceNumber": command.reference,
    }


def _amounts(row: VoucherRow) -> dict[str, Decimal]:
    """Return the two amounts of the row's one side; IFS wants both, and never those of both sides."""
    if row.debit is not None and row.company_debit is not None:
        return {"CurrencyDebetAmount": row.debit, "DebetAmount": row.company_debit}
    if row.credit is not None and row.company_credit is not None:
        return {"CurrencyCreditAmount": row.credit, "CreditAmount": row.company_credit}
    raise ValueError(f"row on account {row.account} lacks an amount in the document's or the company's currency")

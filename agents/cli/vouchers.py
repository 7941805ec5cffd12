"""Vouchers on a terminal: their names and their rows."""

from collections.abc import Iterable

from agents.cli.tables import print_table
from schemas.vouchers import VoucherNumber, VoucherRow

RIGHT = ("DEBIT", "CREDIT")


def voucher_text(voucher: VoucherNumber | None) -> str | None:
    """Return what a voucher is called: company, type, year, number."""
    if voucher is None:
        return None
    return f"{voucher.company}/{voucher.voucher_type}/{voucher.accounting_year}/{voucher.voucher_no}"


def print_rows(rows: Iterable[VoucherRow]) -> None:
    """Write the rows of a voucher."""
    cells = [(row.account, code_parts_text(row), row.debit, row.credit, row.text) for row in rows]
    print_table(["ACCOUNT", "CODE PARTS", *RIGHT, "TEXT"], cells, right=RIGHT)


def code_parts_text(row: VoucherRow) -> str:
    """Return the code parts of a row in one cell."""
    return " ".join(f"{part}={code}" for part, code in sorted(row.code_parts.items()))

"""A voucher before IFS Cloud has seen it: balanced rows in the document's currency."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from schemas.envelope import assembled
from schemas.mappings import CodePart
from schemas.vouchers import VoucherRow
from streams.accounting.money import ZERO

TEXT_LENGTH = 200
"""What IFS Cloud takes as the text of a row."""


class Role(StrEnum):
    """What a row is to the document; the value is the word in its text."""

    RECEIVABLE = "receivable"
    CASH = "cash"
    UNAPPLIED = "unapplied cash"
    TAX = "tax"
    REVENUE = "revenue"
    ROUNDING = "rounding"


FIXED_ROLES = frozenset({Role.RECEIVABLE, Role.CASH, Role.UNAPPLIED, Role.TAX})
"""Rows that take no rest of a conversion as long as there is another."""

Account = tuple[str, tuple[tuple[CodePart, str], ...]]


@dataclass(frozen=True, slots=True)
class Voucher:
    """What is asked of IFS Cloud; None stands for what the settings say."""

    company: str
    voucher_type: str | None
    user_group: str | None
    currency_type: str | None
    voucher_date: date
    rate_date: date
    """The document's date, also where the voucher's was moved."""
    text: str
    currency: str
    rows: tuple[VoucherRow, ...]
    rest_row: int
    """Index of the row that takes what conversion leaves over."""
    versions: dict[str, int]
    """Mapping or rule key to its version: what the rows were made from."""


@dataclass(slots=True)
class Balance:
    """What comes together on one account with its code parts; debit is positive."""

    account: Account
    amount: Decimal = ZERO
    labels: dict[Role, set[str]] = field(default_factory=dict)

    def add(self, amount: Decimal, role: Role, label: str) -> None:
        """Add an amount and why it is here."""
        self.amount += amount
        self.labels.setdefault(role, set()).add(label)

    def row(self, number: str) -> VoucherRow:
        """Return it as a row; a negative amount stands on the other side as a positive one."""
        gl_account, code_parts = self.account
        debit, credit = (self.amount, None) if self.amount > 0 else (None, -self.amount)
        return assembled(
            VoucherRow,
            account=gl_account,
            code_parts=dict(code_parts),
            debit=debit,
            credit=credit,
            text=self._text(number),
        )

    def _text(self, number: str) -> str:
        reasons = [f"{role} {', '.join(sorted(labels))}" for role, labels in sorted(self.labels.items())]
        return shortened(f"{number} {'; '.join(reasons)}")


def account_of(gl_account: str, code_parts: Mapping[CodePart, str]) -> Account:
    """Return what tells the rows of a voucher apart: the account and its code parts in their order."""
    return gl_account, tuple(sorted(code_parts.items()))


def in_order(balances: Iterable[Balance], lead: Role) -> list[Balance]:
    """Return what is not zero: the row of the document's own amount first, then by account and code parts."""
    return sorted(
        (balance for balance in balances if balance.amount),
        key=lambda balance: (lead not in balance.labels, balance.account),
    )


def rest_row(balances: list[Balance]) -> int:
    """Return the index of the largest row (the first of equals) of no fixed role; without one, of the last row."""
    free = [index for index, balance in enumerate(balances) if not FIXED_ROLES & balance.labels.keys()]
    return max(free, key=lambda index: abs(balances[index].amount), default=len(balances) - 1)


def shortened(text: str) -> str:
    """Return a text in one line, without what cannot be printed, cut to what IFS Cloud takes."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[:TEXT_LENGTH].rstrip()


def swapped(rows: Iterable[VoucherRow]) -> tuple[VoucherRow, ...]:
    """Return rows with their sides swapped, amounts in both currencies as they are: what a reversal repeats."""
    return tuple(
        row.model_copy(
            update={
                "debit": row.credit,
                "credit": row.debit,
                "company_debit": row.company_credit,
                "company_credit": row.company_debit,
            }
        )
        for row in rows
    )

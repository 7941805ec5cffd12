"""Totals as people and programs read them: how many records and how much money, per status and per missing mapping."""

from collections.abc import Iterable
from decimal import Decimal

from schemas.audit import Gap
from schemas.base import Amount, DocumentType, Model, Status


class Money(Model):
    """An amount of one currency; None where the documents named none."""

    currency: str | None
    amount: Amount


class TypeTotal(Model):
    """Records of one status and document type, with their amounts in one currency."""

    status: Status
    document_type: DocumentType
    currency: str | None
    records: int
    amount: Amount


class StatusTotal(Model):
    """Records of one status, with their amounts per currency."""

    status: Status
    records: int
    amounts: tuple[Money, ...]


class MissingMapping(Gap):
    """A mapping that is missing, and what waits for it; a record that lacks two mappings waits for both."""

    records: int
    amounts: tuple[Money, ...]
    account_number: str | None = None
    account_name: str | None = None


def status_totals(totals: Iterable[TypeTotal]) -> list[StatusTotal]:
    """Add up totals per status; every status is there, in the order of a record's life."""
    rows = list(totals)
    return [
        StatusTotal(
            status=status,
            records=sum(row.records for row in rows if row.status is status),
            amounts=add_up((row.currency, row.amount) for row in rows if row.status is status),
        )
        for status in Status
    ]


def add_up(amounts: Iterable[tuple[str | None, Decimal]]) -> tuple[Money, ...]:
    """Add amounts up per currency, in the order of the currencies; what has neither currency nor amount is left out."""
    sums: dict[str | None, Decimal] = {}
    for currency, amount in amounts:
        sums[currency] = sums.get(currency, Decimal(0)) + amount
    return tuple(
        Money(currency=currency, amount=sums[currency])
        for currency in sorted(sums, key=lambda name: name or "")
        if currency or sums[currency]
    )


def gap_key(gap: Gap) -> str:
    """Return the text by which equal gaps are known."""
    return "/".join(part or "" for part in (gap.kind, gap.company, gap.match_on, gap.key, gap.currency, gap.gateway))

"""Counting records and adding up their amounts while they change: what a step took away and what it added.

A tally is a sum of differences, so that no question about a total ever walks through millions of records.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, TypeVar

K = TypeVar("K")


@dataclass(slots=True)
class Count:
    """A number of records and the sum of their amounts, in one currency."""

    records: int = 0
    amount: Decimal = Decimal(0)


@dataclass(slots=True)
class Tally(Generic[K]):
    """Differences per key; a key names the currency, so amounts of different currencies never add."""

    counts: dict[K, Count] = field(default_factory=dict)

    def add(self, key: K, amount: Decimal | None, records: int = 1) -> None:
        """Count `records` of `amount` each under `key`; minus one takes a record away."""
        count = self.counts.setdefault(key, Count())
        count.records += records
        count.amount += records * (amount or Decimal(0))

    def changes(self) -> Iterator[tuple[K, Count]]:
        """Give the keys whose count or amount differs from before."""
        return ((key, count) for key, count in self.counts.items() if count.records or count.amount)

"""A Zuora document reduced to what the ledger needs of it, small enough to be kept while it waits for a mapping."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from schemas.base import DocumentType
from schemas.mappings import MatchOn
from streams.accounting.money import ZERO

ProductKeys = tuple[tuple[MatchOn, str], ...]
Taxes = tuple[tuple[str, Decimal], ...]

ROUNDING = "Rounding"
TAX = "Tax"


class Line(NamedTuple):
    """An item, or several that are mapped alike and added up."""

    net: Decimal
    """Without tax, in the document's currency; zero for an item that is tax itself."""
    keys: ProductKeys = ()
    """What a product mapping can match, most specific first, empty ones left out."""
    taxes: Taxes = ()
    """Unrounded amounts by Zuora tax code (`(none)` where it has none), in the order of the codes."""
    processing_type: str = ""
    deferred: bool = False
    """Zuora defers its revenue, and it may go to a deferred account."""
    items: int = 1
    """How many items of the document it stands for."""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDocument:
    """A document as the ledger sees it. Amounts are in `currency`, rounded to its decimals where Zuora's are not."""

    record_id: str
    document_type: DocumentType
    document_id: str
    number: str
    account_id: str
    account_number: str
    account_name: str
    zuora_status: str
    posts: bool
    """By its status in Zuora; False also where it is gone from there."""
    zuora_type: str = ""
    """Electronic or External for payments and refunds, Charge or Credit for adjustments."""
    currency: str
    dated: date | None
    """None only where it does not post."""
    amount: Decimal
    unapplied: Decimal = ZERO
    """U of a payment: unapplied, credit balance, and what is applied to another account's documents."""
    elsewhere: Decimal = ZERO
    """The share of U that is applied to another account's documents."""
    applied_on: date | None = None
    """When a payment's U changed last: the newest update of its parts, else its own."""
    gateway: str = ""
    payment_id: str = ""
    """Of the payment that a refund pays back."""
    memo_id: str = ""
    """Of the credit memo that a refund pays back."""
    header_tax: Decimal | None = None
    lines: tuple[Line, ...] = ()
    fingerprint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a short form of texts, numbers and lists; what is empty is left out."""
        short = {
            "i": self.document_id,
            "t": self.document_type.value,
            "n": self.number,
            "a": self.account_id,
            "an": self.account_number,
            "am": self.account_name,
            "s": self.zuora_status,
            "p": int(self.posts),
            "k": self.zuora_type,
            "c": self.currency,
            "d": self.dated.isoformat() if self.dated else "",
            "v": str(self.amount),
            "u": str(self.unapplied) if self.unapplied else "",
            "e": str(self.elsewhere) if self.elsewhere else "",
            "o": self.applied_on.isoformat() if self.applied_on else "",
            "g": self.gateway,
            "pi": self.payment_id,
            "mi": self.memo_id,
            "h": "" if self.header_tax is None else str(self.header_tax),
            "l": [_line_to_json(line) for line in self.lines],
            "f": self.fingerprint,
        }
        return {name: value for name, value in short.items() if value not in ("", [])}

    @classmethod
    def from_json(cls, short: dict[str, Any]) -> "LedgerDocument":
        """Return the document that `to_json` made `short` of."""
        kind = DocumentType(short["t"])
        return cls(
            record_id=f"{kind.value}:{short['i']}",
            document_type=kind,
            document_id=short["i"],
            number=short.get("n", ""),
            account_id=short["a"],
            account_number=short.get("an", ""),
            account_name=short.get("am", ""),
            zuora_status=short.get("s", ""),
            posts=bool(short["p"]),
            zuora_type=short.get("k", ""),
            currency=short.get("c", ""),
            dated=date.fromisoformat(short["d"]) if "d" in short else None,
            amount=Decimal(short["v"]),
            unapplied=Decimal(short.get("u", 0)),
            elsewhere=Decimal(short.get("e", 0)),
            applied_on=date.fromisoformat(short["o"]) if "o" in short else None,
            gateway=short.get("g", ""),
            payment_id=short.get("pi", ""),
            memo_id=short.get("mi", ""),
            header_tax=Decimal(short["h"]) if "h" in short else None,
            lines=tuple(_line_from_json(line) for line in short.get("l", ())),
            fingerprint=short["f"],
        )


def _line_to_json(line: Line) -> list[Any]:
    keys = [part for key in line.keys for part in key]
    taxes = [part for code, tax in line.taxes for part in (code, str(tax))]
    return [str(line.net), keys, taxes, line.processing_type, int(line.deferred), line.items, line.id]


def _line_from_json(short: list[Any]) -> Line:
    net, keys, taxes, processing_type, deferred, items, line_id = short
    return Line(
        Decimal(net),
        tuple(zip(keys[::2], keys[1::2], strict=True)),
        tuple((code, Decimal(tax)) for code, tax in zip(taxes[::2], taxes[1::2], strict=True)),
        processing_type,
        bool(deferred),
        items,
        line_id,
    )


def taxes_of(lines: Iterable[Line]) -> Taxes:
    """Return the unrounded tax per tax code, in the order of the codes."""
    sums: dict[str, Decimal] = {}
    for line in lines:
        for code, tax in line.taxes:
            sums[code] = sums.get(code, ZERO) + tax
    return tuple(sorted(sums.items()))


def lines_by_mapping(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return one line, without id, for all those that are mapped alike; the order is that of what they match."""
    groups: dict[tuple[bool, ProductKeys, bool], list[Line]] = {}
    for line in lines:
        # What goes to the rounding account does so whatever product it names.
        group = (True, (), False) if line.processing_type == ROUNDING else (False, line.keys, line.deferred)
        groups.setdefault(group, []).append(line)
    return tuple([_together(groups[group]) for group in sorted(groups)])


def _together(alike: list[Line]) -> Line:
    """Return one line for some that are mapped alike."""
    first = alike[0]
    rounding = first.processing_type == ROUNDING
    return Line(
        net=sum([line.net for line in alike], ZERO),
        keys=() if rounding else first.keys,
        taxes=first.taxes if len(alike) == 1 else taxes_of(alike),
        processing_type=ROUNDING if rounding else "",
        deferred=first.deferred and not rounding,
        items=sum([line.items for line in alike]),
    )


def summarised(document: LedgerDocument) -> LedgerDocument:
    """Return the document with what is mapped alike in one line: 2,000 items become a few, its evaluation the same.

    The fingerprint stays that of the whole; it cannot be made from the summary.
    """
    return replace(document, lines=lines_by_mapping(document.lines))

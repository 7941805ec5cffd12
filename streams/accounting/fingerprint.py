"""The fingerprint of a document: the same as long as nothing changed that its voucher is made of."""

import hashlib
from decimal import Decimal

import orjson

from streams.accounting.ledger_document import LedgerDocument, Line
from streams.accounting.money import minor_unit

FINGERPRINT_VERSION = 1
"""Stands before every fingerprint, so that a record keeps it; a longer list of fields is another version."""


def fingerprint(document: LedgerDocument) -> str:
    """Return the version and 32 hex characters over what the document posts; items must not be summarised.

    Not part of it: balances, what is applied, unapplied or refunded, when it was updated, names and numbers.
    """
    unit = minor_unit(document.currency) if document.posts else Decimal(1)
    parts = (
        document.posts,
        document.account_id,
        document.document_type.value,
        document.zuora_type,
        document.currency,
        document.dated.isoformat() if document.dated else "",
        _canonical(document.amount, unit),
        document.gateway,
        document.payment_id,
        document.memo_id,
        [content for _, content in sorted((line.id, _content(line, unit)) for line in document.lines)],
    )
    return f"{FINGERPRINT_VERSION}-{hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]}"


def _content(line: Line, unit: Decimal) -> list[object]:
    return [
        _canonical(line.net, unit),
        [(code, _canonical(tax, unit)) for code, tax in line.taxes],
        line.processing_type,
        line.deferred,
        line.keys,
    ]


def _canonical(amount: Decimal, unit: Decimal) -> str:
    # At the currency's decimals; further ones count where they are not zero, since tax is added up unrounded.
    exact = amount.quantize(unit) + 0  # plus 0 turns -0.00 into 0.00
    return format(exact if exact == amount else amount.normalize(), "f")

"""References: what a voucher carries so that it is found again in IFS Cloud, and never made twice.

At most 50 characters of `A-Z 0-9 -`: 25 of the document's number, a hyphen, 20 of a digest, `-A` for a payment's change
of what is applied, `-R` for a reversal.
"""

import base64
import hashlib
import re
from decimal import Decimal

NUMBER_LENGTH = 25
DIGEST_LENGTH = 20
"""Base32 characters, 100 bits: among 10^9 vouchers two are alike once in 10^12 tries."""
DIGEST_BYTES = 15
"""What those are made of; base32 turns 5 bytes into 8 characters, and the whole digest would take twice as long."""

APPLIED_ENDING = "-A"
REVERSAL_ENDING = "-R"

_DROPPED = re.compile(r"[^A-Z0-9-]")


def reference(number: str, document_id: str, fingerprint: str, reversed_reference: str | None = None) -> str:
    """Return the reference of a state of a document: the same state always has the same one.

    `reversed_reference` is that of the document's voucher that was reversed last: posting the same state again after a
    reversal is another voucher.
    """
    return f"{_readable(number or document_id)}-{_digest(document_id, fingerprint, reversed_reference or '')}"


def reversal_reference(reversed_reference: str) -> str:
    """Return the reference of the voucher that reverses the one with `reversed_reference`."""
    return f"{reversed_reference}{REVERSAL_ENDING}"


def applied_reference(number: str, document_id: str, last_reference: str, booked: Decimal, unapplied: Decimal) -> str:
    """Return the reference of a payment's change of U, from what is booked to what it is now.

    `last_reference` is that of the payment's newest voucher, its own or of the change before: U may go from 100 to 350
    twice in a payment's life, and the second time is another voucher.
    """
    amounts = (format(amount.normalize() + 0, "f") for amount in (booked, unapplied))
    return f"{_readable(number or document_id)}-{_digest(last_reference, *amounts)}{APPLIED_ENDING}"


def _readable(number: str) -> str:
    return _DROPPED.sub("", number.upper())[:NUMBER_LENGTH]


def _digest(*parts: str) -> str:
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return base64.b32encode(digest[:DIGEST_BYTES]).decode()[:DIGEST_LENGTH]

"""From what Zuora answered to the event that says so: pure functions of data."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from schemas.base import DocumentType, record_id
from schemas.envelope import event_id
from schemas.errors import RefusedError, UnreadableError
from schemas.notifications import DocumentCaptured, NotificationReceived
from streams.accounting.money import minor_unit
from streams.systems.zuora.kinds import KINDS

LONGEST_TEXT = 255
"""Characters of a number, a name or a date that stand beside the document; it keeps them whole."""
OF_THE_ANSWER = frozenset({"success", "processId", "requestId", "reasons", "nextPage"})
"""Fields that say something about the answer and not about the document; two of them differ every time."""
DEEPEST = 30
LARGEST_WHOLE = 2**63 - 1
"""Whole numbers beyond it are text too: most readers of JSON would bend them."""
MOST_DIGITS = 40
"""Before or after the point; 1E999999999 is valid JSON, and as text it would be a gigabyte."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a record says about its account besides the id."""

    id: str
    number: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document as fetched, whole, its decimals as text; `renewed` are documents to be captured anew with it."""

    document_type: DocumentType
    document: dict[str, Any]
    renewed: tuple[tuple[DocumentType, str], ...] = ()

    @property
    def document_id(self) -> str:
        """Zuora's own id, also where it was asked for by number."""
        return str(self.document[KINDS[self.document_type].id])

    @property
    def account_id(self) -> str:
        """The account that it belongs to now."""
        return str(self.document[KINDS[self.document_type].account_id])

    @property
    def number(self) -> str | None:
        """Its number, as people call it."""
        return self._text(KINDS[self.document_type].number)

    @property
    def updated_date(self) -> str | None:
        """When it changed last, as Zuora gave it."""
        return self._text(KINDS[self.document_type].updated_date)

    @property
    def amount(self) -> Decimal | None:
        """Its amount with the decimals of its currency; None where there is none that can be read."""
        value = self.document.get(KINDS[self.document_type].amount)
        try:
            amount = Decimal(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
        except InvalidOperation:
            return None
        return _at_places(amount, self.currency) if amount is not None and _is_of_a_size(amount) else None

    @property
    def currency(self) -> str | None:
        """Its currency, or that of the document it is about: refunds and adjustments have none of their own."""
        about = (self.document.get(related.kept_as) for related in KINDS[self.document_type].related)
        owners = [self.document, *(owner for owner in about if isinstance(owner, dict))]
        found = (owner.get("currency") for owner in owners)
        return next((currency[:LONGEST_TEXT] for currency in found if isinstance(currency, str) and currency), None)

    def _text(self, name: str) -> str | None:
        value = self.document.get(name)
        return value[:LONGEST_TEXT] if isinstance(value, str) and value else None


def _is_of_a_size(amount: Decimal) -> bool:
    exponent = amount.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -MOST_DIGITS and amount.adjusted() < MOST_DIGITS


def _at_places(amount: Decimal, currency: str | None) -> Decimal:
    """Return 1500.0 EUR as 1500.00; an amount that would have to be rounded stays as it is."""
    try:
        same = amount.quantize(minor_unit(currency or ""))
    except (UnreadableError, InvalidOperation):
        return amount
    return same if same == amount else amount


def as_text(value: Any, depth: int = 0) -> Any:
    """Return JSON data with every Decimal as the text of its digits, all else as it came.

    Raises:
        RefusedError: nested too deeply, or a number with more digits than any amount has.

    """
    if depth > DEEPEST:
        raise RefusedError(f"Zuora's document is nested more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        return {_whole(name): as_text(entry, depth + 1) for name, entry in value.items()}
    if isinstance(value, list):
        return [as_text(entry, depth + 1) for entry in value]
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        return _digits(Decimal(value))
    return _digits(value) if isinstance(value, Decimal) else value


def _digits(number: Decimal) -> str:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > MOST_DIGITS or abs(number.adjusted()) > MOST_DIGITS:
        raise RefusedError(f"Zuora's document holds a number of more than {MOST_DIGITS} digits")
    return format(number, "f")


def _whole(text: str) -> str:
    """Replace half a character (a lone surrogate is valid in JSON), which no UTF-8 can carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def captured(
    notification: NotificationReceived, fetched: Fetched, account: Account | None, now: datetime
) -> DocumentCaptured:
    """Return the event that a document was fetched at `now` because of `notification`."""
    account = account or Account(fetched.account_id)
    return DocumentCaptured(
        record_id=record_id(fetched.document_type, fetched.document_id),
        document_type=fetched.document_type,
        document_id=fetched.document_id,
        document_number=fetched.number,
        account_id=fetched.account_id,
        account_number=account.number,
        account_name=account.name,
        currency=fetched.currency,
        amount=fetched.amount,
        updated_date=fetched.updated_date,
        received_at=notification.received_at,
        fetched_at=now,
        document=fetched.document,
    )


def captured_event_id(event: DocumentCaptured) -> str:
    """Return the id of a captured document: the same for the same content, whoever asked for it and when.

    One that is gone is told apart by its last known state, so that it can go a second time.
    """
    if event.gone:
        return event_id(event.record_id, "gone", event.updated_date or "")
    return event_id(event.record_id, orjson.dumps(event.document, option=orjson.OPT_SORT_KEYS).decode())

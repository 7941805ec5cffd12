"""What all models share: frozen, closed, camelCase on the wire, decimals and times that cannot be misread."""

from datetime import MAXYEAR, UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen value; unknown keys are refused, so that a misspelt one is never a silent default."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


LARGEST_EXPONENT = 40
"""Of an amount or a rate, up and down. 1E+999999999 is a decimal too, and written out it would be a gigabyte."""


def _no_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("an amount must not be a float")  # noqa: TRY004 - pydantic turns ValueError into its own
    return value


def _of_a_size(amount: Decimal) -> Decimal:
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -LARGEST_EXPONENT or amount.adjusted() > LARGEST_EXPONENT:
        raise ValueError("not of the size of an amount")
    return amount


def _of_64_bits(number: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise ValueError("more than 64 bits")
    return number


def _in_utc(time: datetime) -> datetime:
    if not 1 < time.year < MAXYEAR:  # no zone and no delay then leads out of the calendar
        raise ValueError("outside the years 2 to 9998")
    return time.astimezone(UTC)


Whole = Annotated[int, AfterValidator(_of_64_bits)]
"""A whole number that every reader of JSON takes."""

Amount = Annotated[
    Decimal,
    BeforeValidator(_no_float),
    AfterValidator(_of_a_size),
    PlainSerializer(lambda amount: format(amount, "f"), return_type=str, when_used="json"),
]
"""A decimal, on the wire a string such as "1190.00": never a float, never an exponent."""

LONGEST_TEXT = 4_000
"""Characters of an id, a name or a comment, also of a sealed one: an event that repeats some of them is still small."""

Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]
"""What stands in an event for people and look-ups, and goes on into others."""

LEFT_OUT_IF_NONE = Field(default=None, exclude_if=lambda value: value is None)
"""A field that is not written at all where it is empty: of a row's two sides, say, only the one that it has."""

Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment in UTC; naive times are refused."""

Date = date


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


class DocumentType(StrEnum):
    """The kinds of Zuora documents that reach a ledger."""

    INVOICE = "Invoice"
    PAYMENT = "Payment"
    REFUND = "Refund"
    CREDIT_MEMO = "CreditMemo"
    DEBIT_MEMO = "DebitMemo"
    ADJUSTMENT = "Adjustment"


class Status(StrEnum):
    """The stations of a record's life; which may follow which is told by streams.accounting.life_cycle."""

    RECEIVED = "received"
    FETCHED = "fetched"
    READY = "ready"
    POSTING = "posting"
    POSTED = "posted"
    MAPPING_MISSING = "mapping-missing"
    UNCERTAIN = "uncertain"
    CAPTURED = "captured"
    NOT_POSTED = "not-posted"
    REJECTED = "rejected"
    FAILED = "failed"
    CHANGED_AFTER_POSTING = "changed-after-posting"
    CORRECTED = "corrected"
    SETTLED_BY_HAND = "settled-by-hand"


def record_id(document_type: DocumentType, document_id: str) -> str:
    """Return the id of a record, for example `Invoice:8ad08d2989bd1f2c0189bd5a7e3a2001`."""
    return f"{document_type.value}:{document_id}"

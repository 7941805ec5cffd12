"""What all models share: frozen, closed, camelCase on the wire, decimals and times that cannot be misread."""

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen value; unknown keys are refused, so that a misspelt one is never a silent default."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


def _no_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("an amount must not be a float")  # noqa: TRY004 - pydantic turns ValueError into its own
    return value


Amount = Annotated[
    Decimal,
    BeforeValidator(_no_float),
    PlainSerializer(lambda amount: format(amount, "f"), return_type=str, when_used="json"),
]
"""A decimal, on the wire a string such as "1190.00": never a float, never an exponent."""

LEFT_OUT_IF_NONE = Field(default=None, exclude_if=lambda value: value is None)
"""A field that is not written at all where it is empty: of a row's two sides, say, only the one that it has."""

Time = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
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

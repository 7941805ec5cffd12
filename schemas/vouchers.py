"""What is asked of IFS Cloud, and what became of it."""

from typing import Literal

from pydantic import Field

from schemas.base import LEFT_OUT_IF_NONE, Amount, Date, DocumentType, Model, Time, Whole
from schemas.mappings import CodePart

ANOTHER_STANDS = "another-voucher-stands"
"""The reason of a refusal of our own: the sender of the command did not know what stands of its record in IFS."""


class VoucherRow(Model):
    """One row: an account with its code parts, and one amount on one side."""

    account: str
    code_parts: dict[CodePart, str] = Field(default_factory=dict)
    debit: Amount | None = LEFT_OUT_IF_NONE
    """In the document's currency; exactly one of debit and credit."""
    credit: Amount | None = LEFT_OUT_IF_NONE
    company_debit: Amount | None = LEFT_OUT_IF_NONE
    """In the company's currency, once known; on the same side."""
    company_credit: Amount | None = LEFT_OUT_IF_NONE
    text: str


class VoucherNumber(Model):
    """What IFS calls a voucher."""

    company: str
    voucher_type: str
    accounting_year: Whole
    voucher_no: Whole


class VoucherSubject(Model):
    """What a command and its outcome are about."""

    command_id: str
    """Digest of the reference and of the event that asked for it."""
    app_id: str
    """The app that asked; posters of other apps pass it over."""
    record_id: str
    document_type: DocumentType
    account_id: str
    reference: str
    fingerprint: str
    document_offset: Whole
    """Offset in `zuora.document.v1` of the document that the voucher was made from."""
    unapplied: Amount | None = None
    """Of a payment: its U once this is posted."""
    company: str


class KnownRate(Model):
    """A rate that is not to be asked for: that of an earlier voucher of the same document."""

    company_currency: str
    rate: Amount
    conversion_factor: Amount
    inverted: bool = False


class PostVoucher(VoucherSubject):
    """Create this voucher, once. Key: company. Rows carry the document's currency only; IFS has the rate."""

    voucher_type: str
    voucher_date: Date
    rate_date: Date
    """The document's date, also where the voucher's was moved."""
    user_group: str | None = None
    text: str
    currency: str
    currency_type: str
    rows: tuple[VoucherRow, ...]
    rest_row: Whole
    """Index of the row that takes what conversion leaves over."""
    known_rate: KnownRate | None = None
    """For what changes an earlier voucher: its rate. None: the rate that IFS has for `rate_date`."""
    mapping_versions: dict[str, Whole] = Field(default_factory=dict)
    """Mapping or rule key to its version: what the rows were made from."""
    rehearsal: bool = False
    """Never to be created, also where the poster is not in shadow mode: the payment that this pays back was posted in
    shadow mode alone."""
    stands: tuple[str, ...] | None = LEFT_OUT_IF_NONE
    """References of the record's vouchers that stand in IFS, as far as its sender knows: where others do, or one of
    these does not, this one is not created. None in commands of earlier releases."""


class ReverseVoucher(VoucherSubject):
    """Create the reversal of a voucher, once. Key: company. `reference` is the reversal's own, ending in `-R`.

    Rows repeat the original's currency and company amounts, sides swapped: never a new rate.
    """

    reverses: VoucherNumber
    """The voucher that is reversed."""
    reverses_reference: str
    voucher_type: str
    voucher_date: Date
    user_group: str | None = None
    text: str
    currency: str
    currency_type: str
    rows: tuple[VoucherRow, ...]
    known_rate: KnownRate


class VoucherPosted(VoucherSubject):
    """The voucher is in IFS Cloud. Key: Zuora account id."""

    voucher_type: str
    accounting_year: Whole | None = None
    voucher_no: Whole | None = None
    """None in shadow mode only."""
    voucher_date: Date
    currency: str
    company_currency: str
    rate: Amount
    conversion_factor: Amount
    inverted: bool = False
    """The rate is quoted the other way round: company currency to document currency."""
    amount: Amount
    """Sum of the debits, in the document's currency."""
    rows: tuple[VoucherRow, ...]
    shadow: bool = False
    found: bool = False
    """It was there already when we looked, under our reference."""
    posted_at: Time


class VoucherReversed(VoucherPosted):
    """The reversal of a voucher is in IFS Cloud. Key: Zuora account id."""

    reverses: VoucherNumber
    reverses_reference: str


class VoucherRejected(VoucherSubject):
    """IFS Cloud refused the voucher; nothing was created. Key: Zuora account id."""

    reason: str
    """A short word for lists, for example `period-closed`."""
    code: str | None = None
    """IFS's own, for example `ORA-20110 UserGroupPeriod.USRGRPPER`."""
    message: str
    """IFS's own words."""
    advice: str
    """What a person can do about it."""
    rejected_at: Time


class NothingToPost(Model):
    """A document was evaluated and came to nothing under the mapping of its day. Key: Zuora account id.

    So that it stays so, whatever is mapped later, where state is made anew from the log.
    """

    record_id: str
    document_type: DocumentType
    account_id: str
    company: str
    fingerprint: str
    document_offset: Whole
    """Offset of the document in `zuora.document.v1`."""
    unapplied: Amount | None = None
    """Of a payment: the U up to which its vouchers and what came to nothing take it together."""
    at: Time


class PostingProgressed(VoucherSubject):
    """The poster's word to the bookkeeper, on a topic of our own. Key: Zuora account id."""

    progress: Literal["uncertain", "posting"]
    reason: str
    at: Time

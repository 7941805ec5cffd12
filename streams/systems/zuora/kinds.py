"""Where each kind of document is in Zuora, what belongs to it and what its fields are called: one row a kind."""

from dataclasses import dataclass

from schemas.base import DocumentType


@dataclass(frozen=True, slots=True)
class Rows:
    """Pages below a document: at which path, under which name in each page, under which name once put together."""

    path: str
    name: str
    kept_as: str
    may_be_absent: bool = False
    """A 404 for them, the document itself being there, means that there are none."""


@dataclass(frozen=True, slots=True)
class Related:
    """Another document that one cannot be understood without, found by the id in `field`, kept in it as `kept_as`."""

    field: str
    document_type: DocumentType
    kept_as: str
    whole: bool = False
    """With its items or parts; else its header, which is all that gives currency and gateway."""
    renewed: bool = False
    """It changed with this document, so its new state has to be captured too."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document; names of fields default to those of REST v1."""

    path: str
    rows: Rows | None = None
    related: tuple[Related, ...] = ()
    id: str = "id"
    number: str = "number"
    account_id: str = "accountId"
    updated_date: str = "updatedDate"
    amount: str = "amount"


_ITEMS = Rows("items", "items", "items")
# A payment that was given back whole has no parts; what is applied and what is not, its header says.
_PARTS = Rows("parts", "parts", "parts", may_be_absent=True)

KINDS: dict[DocumentType, Kind] = {
    DocumentType.INVOICE: Kind("/v1/invoices", Rows("items", "invoiceItems", "items"), number="invoiceNumber"),
    DocumentType.PAYMENT: Kind("/v1/payments", _PARTS),
    DocumentType.REFUND: Kind(
        "/v1/refunds",
        _PARTS,
        (
            Related("paymentId", DocumentType.PAYMENT, "payment", renewed=True),
            Related("creditMemoId", DocumentType.CREDIT_MEMO, "creditMemo"),
        ),
    ),
    DocumentType.CREDIT_MEMO: Kind("/v1/credit-memos", _ITEMS),
    DocumentType.DEBIT_MEMO: Kind("/v1/debit-memos", _ITEMS),
    # The older CRUD call, in PascalCase. Its tax code is that of one of the invoice's taxation items.
    DocumentType.ADJUSTMENT: Kind(
        "/v1/object/invoice-item-adjustment",
        related=(Related("InvoiceId", DocumentType.INVOICE, "invoice", whole=True),),
        id="Id",
        number="AdjustmentNumber",
        account_id="AccountId",
        updated_date="UpdatedDate",
        amount="Amount",
    ),
}

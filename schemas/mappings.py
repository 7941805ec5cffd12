"""How documents are mapped to the ledger: every mapping and rule is an event with who, when and why.

Key of account mappings: the Zuora account id; of all others: the company, or `*`. The version of a mapping or rule is
the event's offset in `ledger.mapping.v1`.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.base import Date, DocumentType, Model, Text, Time

ALL_COMPANIES = "*"
NONE_VALUE = "(none)"
"""Match value for what has no tax code, or none of the four product keys."""

CodePart = Literal["B", "C", "D", "E", "F", "G", "H", "I", "J"]
Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20)]
"""A company, an account or a code part value of IFS: at most 20 characters."""
MatchOn = Literal["sku", "product_name", "charge_type", "accounting_code"]
ChartKind = Literal["product", "tax", "cash", "unapplied", "rounding"]


class Change(Model):
    """Who changed something, when and why."""

    actor: Text
    at: Time
    comment: Text | None = None
    approved_by: Text | None = None
    """Who approved it, where two people have to agree; `at` is then when."""


class AccountMappingSet(Change):
    """A Zuora account posts to this company and receivable account."""

    account_id: Text
    company: Code
    gl_account: Code
    code_parts: dict[CodePart, Code] = Field(default_factory=dict)
    """B is the cost centre."""


class AccountMappingRemoved(Change):
    """A Zuora account is no longer mapped."""

    account_id: Text


class ChartKey(Change):
    """What a rule of a company's chart matches."""

    company: Code
    kind: ChartKind
    match_on: MatchOn | None = None
    """For products."""
    match_value: Text | None = None
    """For products and tax codes; `(none)` for no tax code, and with accounting_code for an item without any key."""
    currency: Text | None = None
    """For cash."""
    gateway: Text | None = None
    """For cash: Zuora's gateway id; without it the mapping holds for the currency."""


class ChartRuleSet(ChartKey):
    """What matches posts to this account."""

    gl_account: Code
    code_parts: dict[CodePart, Code] = Field(default_factory=dict)
    deferred_account: Code | None = None


class ChartRuleRemoved(ChartKey):
    """The rule holds no longer."""


class PostingRuleSet(Change):
    """Whether documents of a type post in a company, or in all (`*`)."""

    company: Code
    document_type: DocumentType
    post: bool
    external: bool = False
    contra_account: Code | None = None


class PostingRuleRemoved(Change):
    """The company's own rule holds no longer; that of `*` or the default does."""

    company: Code
    document_type: DocumentType


class CompanySet(Change):
    """What is per company; None stands for what the settings say."""

    company: Code
    cutover: Date | None = None
    """Documents dated earlier are captured, not posted."""
    voucher_type: Text | None = None
    user_group: Text | None = None
    currency_type: Text | None = None

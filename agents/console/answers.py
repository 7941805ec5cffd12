"""What the API answers, as models: they shape the answers and describe them in the OpenAPI document."""

from typing import Any, Literal

from schemas.audit import Gap, Record
from schemas.base import LEFT_OUT_IF_NONE, Amount, Date, Model, Time, Whole
from schemas.mappings import AccountMappingSet, ChartRuleSet, CompanySet, PostingRuleSet
from schemas.requests import PostingPaused
from schemas.vouchers import PostVoucher, ReverseVoucher, VoucherPosted, VoucherRejected, VoucherReversed, VoucherRow
from streams.dead_letters.resending import Outcome
from streams.views.dead_letters import DeadLetter
from streams.views.records import Step
from streams.views.replay import Action
from streams.views.summary import MissingMapping, StatusTotal


class Refusal(Model):
    """Why a request was not done, in one sentence; `success` is there where it was no HTTP that could be read."""

    error: str
    success: Literal[False] | None = LEFT_OUT_IF_NONE


class RecordPage(Model):
    """A page of records, the last received first."""

    items: tuple[Record, ...]
    next_cursor: str | None
    """For the next page; null after the last."""


class MissingItem(MissingMapping):
    """A missing mapping with what waits for it; it names only what its kind has."""

    account_number: str | None = LEFT_OUT_IF_NONE
    account_name: str | None = LEFT_OUT_IF_NONE


class MissingPage(Model):
    """What is missing, what holds up most first."""

    items: tuple[MissingItem, ...]
    next_cursor: str | None


class AccountItem(AccountMappingSet):
    """An account's mapping as it stands."""

    key: str
    kind: Literal["account"] = "account"
    version: Whole


class ChartItem(ChartRuleSet):
    """A company's mapping of products, tax codes, cash, unapplied payments or rounding as it stands."""

    key: str
    version: Whole


class RuleItem(PostingRuleSet):
    """A posting rule as it stands."""

    key: str
    kind: Literal["rule"] = "rule"
    version: Whole


class CompanyItem(CompanySet):
    """What is per company as it stands; null stands for what the settings say."""

    key: str
    kind: Literal["company"] = "company"
    version: Whole


MappingItem = AccountItem | ChartItem | RuleItem | CompanyItem
_ITEMS: dict[type[Model], type[MappingItem]] = {
    AccountMappingSet: AccountItem,
    ChartRuleSet: ChartItem,
    PostingRuleSet: RuleItem,
    CompanySet: CompanyItem,
}


def mapping_item(key: str, version: int, event: Model) -> MappingItem:
    """Return a mapping or rule with its key and version."""
    return _ITEMS[type(event)].model_construct(**dict(event), key=key, version=version)


class MappingPage(Model):
    """Mappings and rules, by key."""

    items: tuple[MappingItem, ...]
    next_cursor: str | None


class RulePage(Model):
    """Posting rules, by key."""

    items: tuple[RuleItem, ...]
    next_cursor: str | None


class CompanyPage(Model):
    """What is per company, by key."""

    items: tuple[CompanyItem, ...]
    next_cursor: str | None


class Removed(Model):
    """A mapping or rule was removed; its version is that of the removal."""

    key: str
    version: Whole


class PostVoucherItem(PostVoucher):
    """A command to post a voucher."""

    type: Literal["PostVoucher"] = "PostVoucher"


class ReverseVoucherItem(ReverseVoucher):
    """A command to reverse a voucher."""

    type: Literal["ReverseVoucher"] = "ReverseVoucher"


class VoucherPostedItem(VoucherPosted):
    """A voucher that is in IFS Cloud."""

    type: Literal["VoucherPosted"] = "VoucherPosted"


class VoucherReversedItem(VoucherReversed):
    """A reversal that is in IFS Cloud."""

    type: Literal["VoucherReversed"] = "VoucherReversed"


class VoucherRejectedItem(VoucherRejected):
    """A voucher that IFS Cloud refused."""

    type: Literal["VoucherRejected"] = "VoucherRejected"


class Source(Model):
    """A mapping or rule in the version that was used: who set it, when and why."""

    key: str
    version: Whole
    actor: str
    at: Time
    comment: str | None


class Origin(Model):
    """A part of a row's amount: what it is, and the mappings that led it there."""

    role: str
    label: str
    debit: Amount | None = LEFT_OUT_IF_NONE
    credit: Amount | None = LEFT_OUT_IF_NONE
    sources: tuple[Source, ...]


class ExplainedRow(VoucherRow):
    """A row as it was sent, with where its amount comes from."""

    origins: tuple[Origin, ...]


class ExplanationItem(Model):
    """Why a voucher is as it is, made again from the document and the mappings of then."""

    reference: str
    currency: str
    identical: bool
    differences: tuple[str, ...]
    rows: tuple[ExplainedRow, ...]
    sources: tuple[Source, ...]


class RecordAnswer(Record):
    """A record with all that led to it; `document` is the newest as it was fetched."""

    events: tuple[Step, ...]
    document: dict[str, Any] | None
    commands: tuple[PostVoucherItem | ReverseVoucherItem, ...]
    outcomes: tuple[VoucherReversedItem | VoucherPostedItem | VoucherRejectedItem, ...]
    mapping_versions: tuple[MappingItem, ...]
    explanations: tuple[ExplanationItem, ...]


class Projection(Model):
    """How the console's read model stands towards the log."""

    caught_up: bool
    behind: int | None
    """Records of the log that it has not read yet."""
    trouble: str | None
    """Why nothing new comes at present."""


class SummaryAnswer(Model):
    """Counts and amounts per status and currency, and how far the read model is."""

    records: int
    statuses: tuple[StatusTotal, ...]
    missing_mappings: int
    projection: Projection


class PlannedItem(Model):
    """What a replay does with one record, and why."""

    id: str
    action: Action
    reason: str


class ReplayAnswer(Model):
    """What a replay does; with `dryRun` nothing was sent."""

    dry_run: bool
    items: tuple[PlannedItem, ...]


class VoucherToReverse(Model):
    """A voucher that stands in IFS Cloud, with the rows of its reversal."""

    reference: str
    voucher_date: Date
    currency: str
    rows: tuple[VoucherRow, ...]


class VoucherToPost(Model):
    """The voucher that is posted instead."""

    company: str
    voucher_date: Date
    currency: str
    rows: tuple[VoucherRow, ...]


class CorrectionAnswer(Model):
    """What a correction reverses and posts; with `dryRun` nothing was sent."""

    dry_run: bool
    id: str
    posted_fingerprint: str
    document_fingerprint: str
    moved_to: str | None
    reverses: tuple[VoucherToReverse, ...]
    posts: VoucherToPost | None
    reason: str | None
    missing: tuple[Gap, ...]


class SettlementAnswer(Model):
    """A settlement that is asked for."""

    id: str
    voucher: str


class PausesAnswer(Model):
    """What is paused after an order; not `changed` where it was so already."""

    changed: bool
    paused: tuple[PostingPaused, ...]


class LetterPage(Model):
    """What could not be read, the last parked first."""

    items: tuple[DeadLetter, ...]
    next_cursor: str | None


class ValueTold(Model):
    """Bytes as text, or as hexadecimal where they are none."""

    text: str | None = LEFT_OUT_IF_NONE
    hex: str | None = LEFT_OUT_IF_NONE


class LetterAnswer(DeadLetter):
    """A dead letter with its original headers and bytes."""

    headers: dict[str, str]
    value: ValueTold | None


class ResendingItem(Model):
    """What became of a dead letter that was to be sent back."""

    id: str
    outcome: Outcome
    sent_to: str | None
    note: str | None


class ResendingAnswer(Model):
    """What was sent back; with `dryRun` nothing was."""

    dry_run: bool
    items: tuple[ResendingItem, ...]

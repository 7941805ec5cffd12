"""Why this voucher? Made again from the logged document and the mappings of then, and compared with what was sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from schemas.base import DocumentType, record_id
from schemas.envelope import decode
from schemas.errors import UnreadableError
from schemas.mappings import Change
from schemas.notifications import DocumentCaptured
from schemas.vouchers import PostVoucher, VoucherRow
from streams.accounting.applied import evaluate_applied
from streams.accounting.documents import read_document
from streams.accounting.evaluation import Evaluation, evaluate
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.money import ZERO
from streams.accounting.origins import Origin, origins
from streams.accounting.postings import applied_postings, postings_of
from streams.accounting.reference import applied_reference
from streams.projection.chart import ProjectedChart
from streams.projection.queries import CurrentMapping, ReadModel
from streams.views.json import json_value

APPLIED = "-A"
"""Ends the reference of a voucher for what was applied since a payment was posted."""


@dataclass(frozen=True, slots=True)
class Source:
    """A mapping or rule in the version that was used: who set it, when and why."""

    key: str
    version: int
    actor: str
    at: datetime
    comment: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "key": self.key,
            "version": self.version,
            "actor": self.actor,
            "at": self.at.isoformat(),
            "comment": self.comment,
        }


@dataclass(frozen=True, slots=True)
class ExplainedRow:
    """A row as it was sent, with where its amount comes from."""

    row: VoucherRow
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A voucher explained; `differences` names what comes out otherwise than it was sent, normally nothing."""

    reference: str
    currency: str
    differences: tuple[str, ...]
    rows: tuple[ExplainedRow, ...]
    sources: Mapping[str, Source]
    """By key: all mappings and rules that the voucher was made from."""

    @property
    def identical(self) -> bool:
        """Whether the same document and mappings give what was sent."""
        return not self.differences

    def sources_of(self, origin: Origin) -> list[Source]:
        """Return the mappings and rules that led an amount to its row, the deciding one first."""
        return [self.sources[key] for key in origin.keys if key in self.sources]

    def as_json(self) -> dict[str, Any]:
        """Return it for programs: each origin with its mappings in full."""
        return {
            "reference": self.reference,
            "currency": self.currency,
            "identical": self.identical,
            "differences": list(self.differences),
            "rows": [
                {**json_value(one.row), "origins": [self._origin(origin) for origin in one.origins]}
                for one in self.rows
            ],
            "sources": [source.as_json() for source in self.sources.values()],
        }

    def _origin(self, origin: Origin) -> dict[str, Any]:
        side = "debit" if origin.amount > 0 else "credit"
        return {
            "role": origin.role.value,
            "label": origin.label,
            side: format(abs(origin.amount), "f"),
            "sources": [source.as_json() for source in self.sources_of(origin)],
        }


@dataclass(frozen=True, slots=True)
class Sent:
    """A command with the document that it was made from and when it was sent; `posted` if it is in IFS Cloud."""

    command: PostVoucher
    captured: bytes | None
    at: datetime
    posted: bool


def explain(model: ReadModel, sent: Sequence[Sent]) -> list[Explanation]:
    """Explain a record's vouchers, given in the order in which they were sent."""
    found = []
    booked, newest = ZERO, ""
    for one in sent:
        try:
            document = read_document(decode(DocumentCaptured, one.captured))
            found.append(_explained(model, one, document, _booked_before(one.command, document, newest, booked)))
        except (UnreadableError, ValueError) as error:
            found.append(_unexplained(one.command, str(error)))
            continue
        if one.posted:
            booked, newest = document.unapplied, one.command.reference
    return found


def _booked_before(command: PostVoucher, document: LedgerDocument, newest: str, booked: Decimal) -> Decimal:
    """Return the U that a change of it began from: what the voucher `newest` booked, or what the reference attests.

    A change whose two sides were one account made no voucher, but counts as booked. The amount on the receivable, the
    first row, tells where the next one began, and is believed only where the reference, a digest of both U, agrees.
    """
    moved = sum(((row.debit or ZERO) - (row.credit or ZERO) for row in command.rows[:1]), ZERO)
    told = document.unapplied - moved
    attested = applied_reference(document.number, document.document_id, newest, told, document.unapplied)
    return told if command.reference == attested else booked


def _explained(model: ReadModel, sent: Sent, document: LedgerDocument, booked: Decimal) -> Explanation:
    command = sent.command
    chart = ProjectedChart(lambda key: _as_of_then(model, sent, key))
    if command.reference.endswith(APPLIED):
        evaluation = evaluate_applied(
            document, chart, booked=booked, company=command.company, voucher_date=command.voucher_date
        )
        postings = applied_postings(document, booked)
    else:
        payment = record_id(DocumentType.PAYMENT, document.payment_id)
        evaluation = evaluate(document, chart, voucher_date=command.voucher_date, posted=(payment,))
        postings = postings_of(document)
    parts = origins(document, postings, chart, command.rows)
    named = [*command.mapping_versions, *(key for row in parts for origin in row for key in origin.keys)]
    return Explanation(
        reference=command.reference,
        currency=command.currency,
        differences=_differences(command, document, evaluation),
        rows=tuple(ExplainedRow(row, part) for row, part in zip(command.rows, parts, strict=True)),
        sources={key: _source(found) for key in named if (found := chart.source(key))},
    )


def _unexplained(command: PostVoucher, why: str) -> Explanation:
    rows = tuple(ExplainedRow(row, ()) for row in command.rows)
    return Explanation(command.reference, command.currency, (why,), rows, {})


def _as_of_then(model: ReadModel, sent: Sent, key: str) -> CurrentMapping | None:
    """Return a mapping in the version that the command names; it names none for what nobody had set."""
    version = sent.command.mapping_versions.get(key)
    return None if version is None else model.mapping(key, version)


def _change(one: CurrentMapping) -> Change:
    if not isinstance(one.event, Change):
        raise TypeError(f"{one.key} does not say who set it")
    return one.event


def _differences(command: PostVoucher, document: LedgerDocument, evaluation: Evaluation) -> tuple[str, ...]:
    voucher = evaluation.voucher
    if voucher is None:
        return (f"it would not be posted: {evaluation.reason or evaluation.outcome.value}",)
    pairs: dict[str, tuple[object, object]] = {
        "fingerprint": (command.fingerprint, document.fingerprint),
        "company": (command.company, voucher.company),
        "currency": (command.currency, voucher.currency),
        "rate date": (command.rate_date, voucher.rate_date),
        "text": (command.text, voucher.text),
        "rows": (command.rows, voucher.rows),
        "row of the rest": (command.rest_row, voucher.rest_row),
        # What no mapping names came from the settings of then, which the log does not have.
        "voucher type": (command.voucher_type, voucher.voucher_type or command.voucher_type),
        "user group": (command.user_group, voucher.user_group or command.user_group),
        "currency type": (command.currency_type, voucher.currency_type or command.currency_type),
    }
    return tuple(name for name, (sent, derived) in pairs.items() if sent != derived)


def _source(found: CurrentMapping) -> Source:
    change = _change(found)
    return Source(found.key, found.version, change.actor, change.at, change.comment)

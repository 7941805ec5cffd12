"""What a correction would do: the vouchers that it reverses, and the one that it posts instead."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from schemas.audit import Gap, Record
from schemas.base import Status
from schemas.vouchers import VoucherPosted, VoucherRejected, VoucherReversed
from streams.accounting.evaluation import Evaluation
from streams.accounting.voucher import Voucher, swapped
from streams.views.json import json_value


@dataclass(frozen=True, slots=True)
class Correction:
    """What would be reversed and posted for a record, for the two fingerprints that are shown with it."""

    record: Record
    posted_fingerprint: str
    document_fingerprint: str
    """Empty when the document is gone from Zuora."""
    reversed: tuple[VoucherPosted, ...]
    """The vouchers that stand in IFS Cloud; each is repeated with its sides swapped."""
    evaluation: Evaluation
    """Of the document as it is now."""
    moved_to: str | None = None
    """The Zuora account that the document belongs to now, where that is another one."""

    @property
    def new(self) -> Voucher | None:
        """The voucher that is posted once the reversal is in IFS Cloud; None where the document posts no longer."""
        return self.evaluation.voucher

    @property
    def obstacle(self) -> str | None:
        """Why nothing can be done yet: the new state does not translate completely.

        A document that moved to another account is handed to that account's records, and may be held there.
        """
        if self.moved_to:
            return None
        if self.evaluation.outcome is Status.FAILED:
            return self.evaluation.reason
        if self.evaluation.outcome is Status.MAPPING_MISSING:
            return "missing: " + "; ".join(gap_text(gap) for gap in self.evaluation.missing)
        return None

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        new = self.new
        return {
            "id": self.record.id,
            "postedFingerprint": self.posted_fingerprint,
            "documentFingerprint": self.document_fingerprint,
            "movedTo": self.moved_to,
            "reverses": [
                {
                    "reference": one.reference,
                    "voucherDate": one.voucher_date.isoformat(),
                    "currency": one.currency,
                    "rows": [json_value(row) for row in swapped(one.rows)],
                }
                for one in self.reversed
            ],
            "posts": None
            if new is None
            else {
                "company": new.company,
                "voucherDate": new.voucher_date.isoformat(),
                "currency": new.currency,
                "rows": [json_value(row) for row in new.rows],
            },
            "reason": self.evaluation.reason,
            "missing": [json_value(gap) for gap in self.evaluation.missing],
        }


def standing(outcomes: Iterable[VoucherPosted | VoucherRejected]) -> tuple[VoucherPosted, ...]:
    """Return the vouchers that are in IFS Cloud and were not reversed, oldest first; what is a rehearsal is not."""
    posted = [one for one in outcomes if isinstance(one, VoucherPosted) and not one.shadow]
    reversed_ones = {one.reverses_reference for one in posted if isinstance(one, VoucherReversed)}
    found = {one.reference: one for one in posted if not isinstance(one, VoucherReversed)}
    return tuple(one for reference, one in found.items() if reference not in reversed_ones)


def gap_text(gap: Gap) -> str:
    """Return a gap in one line: its kind and what is to be filled in."""
    words = [gap.kind, gap.company, gap.match_on, gap.key, gap.currency, gap.gateway]
    return " ".join(word for word in words if word)

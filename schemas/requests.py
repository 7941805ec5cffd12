"""What people ask for, and the stop button."""

from schemas.base import Date, Model, Time

LONGEST_REASON = 1_000
"""Characters taken of a person, by API and command line; that more are too large only the broker would tell."""


class Request(Model):
    """A person's wish about one record. Key: Zuora account id."""

    record_id: str
    account_id: str
    actor: str
    at: Time
    reason: str


class ReplayRequested(Request):
    """Evaluate the record anew."""

    date: Date | None = None
    """The voucher's date, where the original's period is closed."""
    refetch: bool = False


class CorrectionRequested(Request):
    """Reverse what is posted and post the document as it is now, where it still posts.

    It acts only while the record still has these two fingerprints: the person saw them, and no others.
    """

    date: Date | None = None
    """The reversal's date, where the original's period is closed."""
    posted_fingerprint: str
    document_fingerprint: str
    """Of the newest document; empty when it is gone from Zuora."""


class SettlementRecorded(Request):
    """A person booked the document in IFS by hand."""

    voucher: str
    """What the person calls the voucher, for example `10/M/2026/4711`."""


class PostingPaused(Model):
    """The poster sends nothing for the company (`*`: for any) until resumed. Key: company or `*`."""

    company: str
    actor: str
    at: Time
    reason: str


class PostingResumed(PostingPaused):
    """The poster goes on. Key: company or `*`."""

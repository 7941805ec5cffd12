"""What people ask for, and the stop button."""

from schemas.base import Date, Model, Time


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


class PostingPaused(Model):
    """The poster sends nothing for the company (`*`: for any) until resumed. Key: company or `*`."""

    company: str
    actor: str
    at: Time
    reason: str


class PostingResumed(PostingPaused):
    """The poster goes on. Key: company or `*`."""

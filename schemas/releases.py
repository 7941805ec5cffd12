"""The bookkeeper's words to itself, on topics of our own: what is released next, what went to another account."""

from schemas.base import Model, Time, Whole


class ReleaseNext(Model):
    """Evaluate the next records that wait for `waiting_key`, in the order of their documents. Partition: theirs."""

    waiting_key: str
    """A key that could change their evaluation, for example `account/8ad0…` or `10/tax/VAT20`."""
    after: Whole
    """Offset of the last document already evaluated in this release; -1 at its start."""
    cause: str
    """Id of the event that began the release."""


class HandedOver(Model):
    """A document moved to this account, and nothing of it is left where it was. Key: the new Zuora account id."""

    record_id: str
    from_account_id: str
    fetched_at: Time | None = None
    """Of the document that says so: which of two accounts' partitions has read on further is told by that."""

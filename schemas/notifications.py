"""What Zuora tells us, and what we fetch because of it."""

from typing import Any

from pydantic import Field

from schemas.base import Amount, DocumentType, Model, Text, Time, Whole


class NotificationReceived(Model):
    """Something happened to an object in Zuora. Key: the Zuora object id as it was given (it may be a number)."""

    document_type: DocumentType
    object_id: Text
    """Zuora's id, or the document's number where the callout carries only that."""
    event: Text | None = None
    object_number: Text | None = None
    account_id: Text | None = None
    notification_id: Text | None = None
    """`Zuora-Notification-Id`, the same on every retry of one callout."""
    origin: Text = "webhook"
    """`webhook`, or what else asked for the fetch: `replay`, `backfill`, `release`."""
    received_at: Time
    fields: dict[str, Any] = Field(default_factory=dict)
    """All that the callout carried, unknown keys too."""


class FetchLater(Model):
    """A fetch that found nothing, or an older state, to be tried again; on a topic of our own. Key: object id."""

    notification: NotificationReceived
    notification_event_id: Text
    not_before: Time
    attempt: Whole
    denials: Whole = 0
    """How often Zuora itself said, one time after the other, that a document captured before does not exist."""
    older: Whole = 0
    """How often, one time after the other, Zuora gave a state older by its own date than one captured before."""


def is_older(given: str | None, known: str | None) -> bool:
    """Tell whether Zuora's `updatedDate` of one state of a document is before that of another.

    Those of another form do not compare. They are local time without an offset, so in the hour after the clocks went
    back what is newer looks older.
    """
    return known is not None and given is not None and len(known) == len(given) and given < known


class DocumentCaptured(Model):
    """The full record as fetched from Zuora. Key: Zuora account id. `document` alone is open."""

    record_id: Text
    document_type: DocumentType
    document_id: Text
    document_number: Text | None = None
    account_id: Text
    account_number: Text | None = None
    account_name: Text | None = None
    currency: Text | None = None
    amount: Amount | None = None
    former_account_ids: tuple[Text, ...] = ()
    """Accounts that the document belonged to before; it is told under their keys too."""
    gone: bool = False
    """The document was captured before and is no longer in Zuora; `document` is then empty."""
    updated_date: Text | None = None
    """Zuora's `updatedDate` as it gave it: local time of the tenant, comparable with itself only."""
    received_at: Time
    fetched_at: Time
    document: dict[str, Any]
    """Zuora's header fields as they came, amounts as strings, with `items` or `parts` in full."""

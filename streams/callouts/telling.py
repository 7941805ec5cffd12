"""What a callout tells us, as the event that the collector carries out."""

from datetime import datetime

from schemas.base import record_id
from schemas.notifications import NotificationReceived
from schemas.topics import NOTIFICATION, TopicNames
from streams.callouts.reading import Callout
from streams.log.messages import Message, event_message

PROCESS = "ingress"
"""Who tells of it, whenever its bytes could be read."""


def notification_message(
    names: TopicNames,
    callout: Callout,
    *,
    delivery: str,
    received_at: datetime,
    origin: str = "webhook",
    traceparent: str | None = None,
) -> Message:
    """Return the notification of a callout; `delivery` is its event id, the same for each delivery of it."""
    event = NotificationReceived(
        document_type=callout.document_type,
        object_id=callout.object_id,
        event=callout.event,
        object_number=callout.object_number,
        account_id=callout.account_id,
        notification_id=callout.notification_id,
        origin=origin,
        received_at=received_at,
        fields=callout.fields,
    )
    return event_message(
        names.public(NOTIFICATION),
        callout.object_id,
        event,
        event_id=delivery,
        process=PROCESS,
        subject=record_id(callout.document_type, callout.object_id),
        time=received_at,
        traceparent=traceparent,
    )

"""The stop button: who paused posting, for which company and why, as the log of orders tells it."""

from collections.abc import Iterable

import structlog

from schemas.envelope import decode_any, event_id, utc_text
from schemas.errors import UnreadableError
from schemas.requests import PostingPaused, PostingResumed
from schemas.topics import CONTROL, TopicNames
from streams.log.messages import Message, event_message
from streams.log.reader import LogRecord, Position

EVERY_COMPANY = "*"

log = structlog.get_logger(__name__)


class PauseBook:
    """What is paused now. A pause of every company and one of a single company are lifted each by itself."""

    def __init__(self) -> None:
        self.read_to: dict[Position, int] = {}
        """The offset after the last order taken over, by partition."""
        self._paused: dict[str, PostingPaused] = {}

    def take(self, records: Iterable[LogRecord]) -> list[PostingPaused]:
        """Take over the orders of `connector.control.v1` in their order; return those that changed something."""
        changed = []
        for record in records:
            self.read_to[record.topic, record.partition] = record.offset + 1
            if (event := _read(record)) is not None and self.apply(event):
                changed.append(event)
        return changed

    def apply(self, event: PostingPaused) -> bool:
        """Take over one order; False if it changed nothing."""
        if isinstance(event, PostingResumed):
            return self._paused.pop(event.company, None) is not None
        changed = event.company not in self._paused
        self._paused[event.company] = event
        return changed

    def pause_of(self, company: str) -> PostingPaused | None:
        """Return the pause that holds for a company: that of every company before its own; None if it may post."""
        return self._paused.get(EVERY_COMPANY) or self._paused.get(company)

    @property
    def pause_of_all(self) -> PostingPaused | None:
        """The pause of every company; None if there is none."""
        return self._paused.get(EVERY_COMPANY)

    @property
    def pauses(self) -> list[PostingPaused]:
        """All pauses, that of every company first."""
        return [self._paused[company] for company in sorted(self._paused)]


def control_message(names: TopicNames, event: PostingPaused, process: str) -> Message:
    """Return the message that carries an order to pause or resume; `process` is where it was given, such as `cli`."""
    return event_message(
        names.public(CONTROL),
        event.company,
        event,
        event_id=event_id(type(event).__name__, event.company, event.actor, utc_text(event.at)),
        process=process,
        subject=event.company,
        time=event.at,
    )


def _read(record: LogRecord) -> PostingPaused | None:
    try:
        event = decode_any(record.headers, record.value)
    except UnreadableError as error:
        log.warning("an order to the poster cannot be read", offset=record.offset, why=str(error))
        return None
    return event if isinstance(event, PostingPaused) else None

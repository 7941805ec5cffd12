"""Dead letters as people read them: what could not be read, why, and whether it was sent back."""

from datetime import datetime

from schemas.base import Model, Time
from schemas.errors import UnreadableError
from streams.log.cutting import LEFT_OUT
from streams.log.messages import Origin, header_text

RESENT = "dlq.resent"
"""Header of a dead letter that is parked once more because it was sent back: which one it is."""
RESENT_TO, RESENT_BY, RESENT_AT, RESENT_REASON = (f"{RESENT}-{what}" for what in ("to", "by", "at", "reason"))


class Resent(Model):
    """A dead letter was sent back."""

    letter: str
    """Its id."""
    to: str
    """Where it lies now: topic/partition/offset."""
    actor: str
    at: Time
    reason: str


class DeadLetter(Model):
    """What could not be read, without its bytes."""

    id: str
    """Where it was: topic/partition/offset. What never was in a topic has the place where it is parked."""
    topic: str
    """Full name, as it is on this cluster; of a webhook's callout the one that it was meant for."""
    partition: int
    offset: int
    reason: str
    exception: str | None = None
    time: Time
    """When it was parked."""
    key: str | None = None
    """As text; bytes that are none are replaced."""
    size: int | None = None
    """Bytes of its value; None where they are left out."""
    parked: str
    """Where it is parked: topic/partition/offset."""
    resent: tuple[Resent, ...] = ()

    @property
    def is_callout(self) -> bool:
        """Whether it is a webhook's body, which never was in a topic."""
        return self.offset < 0

    @property
    def is_left_out(self) -> bool:
        """Whether its bytes are where it came from only, since they are as many as a topic takes."""
        return self.size is None


def place_id(topic: str, partition: int, offset: int) -> str:
    """Return how a place in the log is called."""
    return f"{topic}/{partition}/{offset}"


def read_letter(record: Origin, parked_at: datetime) -> DeadLetter | Resent:
    """Read a record of the topic of dead letters.

    Raises:
        UnreadableError: its headers do not say where it came from: it was not parked by us.

    """
    parked = place_id(record.topic, record.partition, record.offset)
    try:
        if letter := header_text(record.headers, RESENT):
            return _resent(record, letter, parked_at)
        return _letter(record, parked, parked_at)
    except ValueError as error:
        raise UnreadableError("its dlq.* headers do not say where it came from") from error


def _letter(record: Origin, parked: str, parked_at: datetime) -> DeadLetter:
    headers = record.headers
    topic = header_text(headers, "dlq.topic") or ""
    partition, offset = (_number(headers, f"dlq.{name}") for name in ("partition", "offset"))
    if not topic:
        raise ValueError("no topic")
    return DeadLetter(
        id=parked if offset < 0 else place_id(topic, partition, offset),
        topic=topic,
        partition=partition,
        offset=offset,
        reason=header_text(headers, "dlq.reason") or "",
        exception=header_text(headers, "dlq.exception"),
        time=_moment(headers, "dlq.time") or parked_at,
        key=None if record.key is None else record.key.decode(errors="replace"),
        size=None if LEFT_OUT in headers else len(record.value or b""),
        parked=parked,
    )


def _resent(record: Origin, letter: str, parked_at: datetime) -> Resent:
    headers = record.headers
    return Resent(
        letter=letter,
        to=header_text(headers, RESENT_TO) or "",
        actor=header_text(headers, RESENT_BY) or "",
        at=_moment(headers, RESENT_AT) or parked_at,
        reason=header_text(headers, RESENT_REASON) or "",
    )


def _number(headers: dict[str, bytes], name: str) -> int:
    number = int(header_text(headers, name) or "")
    if not -1 <= number < 2**63:
        raise ValueError(name)
    return number


def _moment(headers: dict[str, bytes], name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(header_text(headers, name) or "")
    except ValueError:
        return None
    return moment if moment.tzinfo and 1 < moment.year < 9999 else None

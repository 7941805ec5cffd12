"""The keys that the topic tells of: by account, those that are shredded left out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog

from schemas.envelope import decode_any
from schemas.errors import UnreadableError
from schemas.personal import PersonalKey, PersonalKeyErased, PersonalKeySealed
from streams.log.reader import LogRecord, Position
from streams.views.dead_letters import place_id

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A key as it lies wrapped; about 400 bytes, so that a million accounts fit into a worker."""

    key_id: str
    fingerprint: str
    wrapped: bytes
    made_at: datetime


class KeyBook:
    """Folds the topic; `read_to` says how far it was read."""

    def __init__(self) -> None:
        self.read_to: dict[Position, int] = {}
        self._keys: dict[str, dict[str, KeptKey]] = {}

    def take(self, records: Iterable[LogRecord]) -> list[PersonalKeyErased]:
        """Take over records in the order of the topic and return which keys were shredded by them."""
        erased = []
        for record in records:
            self.read_to[record.topic, record.partition] = record.offset + 1
            try:
                event = key_event(record)
            except UnreadableError as error:
                # Nothing is parked: a dead letter is kept forever, and one with a key in it would outlive its erasure.
                place = place_id(record.topic, record.partition, record.offset)
                log.warning("a record of personal keys cannot be read and is passed over", place=place, why=str(error))
                continue
            if isinstance(event, PersonalKeySealed):
                self.add(event)
            elif isinstance(event, PersonalKeyErased):
                self._keys.get(event.account_id, {}).pop(event.key_id, None)
                erased.append(event)
        return erased

    def add(self, event: PersonalKeySealed) -> None:
        """Take over a key."""
        kept = KeptKey(event.key_id, event.key_fingerprint, event.wrapped_key, event.made_at)
        self._keys.setdefault(event.account_id, {})[event.key_id] = kept

    def oldest(self, account_id: str) -> KeptKey | None:
        """Return the key that an account's values are sealed under; None if it has none."""
        kept = self._keys.get(account_id, {}).values()
        return min(kept, key=lambda one: (one.made_at, one.key_id), default=None)

    def of(self, account_id: str) -> list[str]:
        """Return the ids of an account's keys."""
        return sorted(self._keys.get(account_id, {}))

    def all(self) -> list[tuple[str, KeptKey]]:
        """Return every key with its account."""
        return [(account_id, key) for account_id, keys in self._keys.items() for key in keys.values()]


def topic_key(account_id: str, key_id: str) -> str:
    """Return the key of the record that tells of a key."""
    return f"{account_id}/{key_id}"


def key_event(record: LogRecord) -> PersonalKey:
    """Read what a record tells of a key.

    Raises:
        UnreadableError: it is no word about a key, or under another key than its own; the message has nothing of it.

    """
    event = decode_any(record.headers, record.value)
    if not isinstance(event, PersonalKey):
        raise UnreadableError(f"{type(event).__name__} is no word about a personal key")
    if record.key != topic_key(event.account_id, event.key_id).encode():
        raise UnreadableError("it is not under the key of its account and personal key")
    return event

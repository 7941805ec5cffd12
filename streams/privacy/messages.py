"""What is said about keys, as messages: made, wrapped anew, shredded."""

from datetime import datetime

from schemas.base import utc_now
from schemas.envelope import event_id
from schemas.personal import PersonalKey, PersonalKeyErased, PersonalKeySealed
from schemas.topics import PERSONAL_KEY, TopicNames
from streams.log.messages import Message, event_message
from streams.privacy.key_book import KeptKey, topic_key
from streams.privacy.sealing import DataKey
from streams.vault.keys import LocalKeys


def sealed_key(key: DataKey, keys: LocalKeys, made_at: datetime) -> PersonalKeySealed:
    """Return the event that a key was made.

    Raises:
        SettingsError: there is no key of keys to wrap it with.

    """
    return PersonalKeySealed(
        account_id=key.account_id,
        key_id=key.key_id,
        key_fingerprint=keys.fingerprint,
        wrapped_key=keys.wrapped(key.key),
        made_at=made_at,
    )


def opened_key(account_id: str, kept: KeptKey, keys: LocalKeys) -> DataKey:
    """Return a key that can be used.

    Raises:
        SettingsError: the key of keys that wrapped it is not at hand.
        UnreadableError: it was altered.

    """
    return DataKey(account_id, kept.key_id, keys.unwrapped(kept.wrapped, kept.fingerprint))


def key_message(names: TopicNames, event: PersonalKeySealed | PersonalKeyErased, process: str) -> Message:
    """Return an event about a key under the key that makes the next one take its place."""
    return event_message(
        names.public(PERSONAL_KEY),
        topic_key(event.account_id, event.key_id),
        event,
        event_id=event_id(PERSONAL_KEY, event.account_id, event.key_id, _state(event)),
        process=process,
        subject=event.account_id,
        time=utc_now(),
    )


def _state(event: PersonalKey) -> str:
    return event.wrapped_key.hex() if isinstance(event, PersonalKeySealed) else "erased"

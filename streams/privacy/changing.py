"""What people do to the keys: shred those of an account, wrap all of them anew, see what was shredded."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.personal import PersonalKeyErased
from schemas.topics import PERSONAL_KEY, TopicNames
from streams.log.messages import Message
from streams.log.reader import read_to_end
from streams.log.sending import send_all
from streams.privacy.key_book import KeptKey, KeyBook
from streams.privacy.messages import key_message, opened_key, sealed_key
from streams.requests import Word
from streams.settings import Settings
from streams.vault.keys import LocalKeys

PROCESS = "cli"


@dataclass(frozen=True, slots=True)
class Known:
    """What the topic tells: the keys there are, and those that were shredded."""

    book: KeyBook
    erased: list[PersonalKeyErased]


async def known_keys(settings: Settings) -> Known:
    """Read all keys.

    Raises:
        LogUnavailableError: Kafka does not answer.
        TopicsError: the topic does not exist.

    """
    known = Known(KeyBook(), [])
    async for batch in read_to_end(settings.kafka, [_names(settings).public(PERSONAL_KEY)], known.book.read_to):
        known.erased.extend(known.book.take(batch.records))
    return known


async def shred(settings: Settings, account_id: str, word: Word) -> list[str]:
    """Shred all keys of an account and return their ids once Kafka has it; also those made while we did it.

    Raises:
        LogUnavailableError: Kafka does not answer.
        TopicsError: the topic does not exist.
        BrokenOffError: not all was confirmed.

    """
    names, done = _names(settings), list[str]()
    while left := [one for one in (await known_keys(settings)).book.of(account_id) if one not in done]:
        gone = [
            PersonalKeyErased(account_id=account_id, key_id=one, actor=word.actor, reason=word.reason, at=word.at)
            for one in left
        ]
        await _send(settings, [key_message(names, one, PROCESS) for one in gone])
        done += left
    return done


async def wrap_anew(settings: Settings, keys: LocalKeys) -> int:
    """Wrap all personal keys under the newest key of keys, and return how many it were.

    A key that is shredded meanwhile is shredded once more, so that what we send does not bring it back.

    Raises:
        SettingsError: a key of keys that is needed is not at hand; nothing was changed.
        UnreadableError: a personal key was altered; nothing was changed.
        LogError: as `shred`.

    """
    names, before = _names(settings), await known_keys(settings)
    old = [(account, kept) for account, kept in before.book.all() if kept.fingerprint != keys.fingerprint]
    await _send(settings, [_anew(names, account, kept, keys) for account, kept in old])
    ours = {kept.key_id for _, kept in old}
    after = await known_keys(settings)
    back = [one for one in after.erased if one.key_id in ours and one.key_id in after.book.of(one.account_id)]
    await _send(settings, [key_message(names, one, PROCESS) for one in back])
    return len(old)


def _anew(names: TopicNames, account_id: str, kept: KeptKey, keys: LocalKeys) -> Message:
    return key_message(names, sealed_key(opened_key(account_id, kept, keys), keys, kept.made_at), PROCESS)


def _names(settings: Settings) -> TopicNames:
    return TopicNames(settings.kafka.topic_prefix, settings.app_id)


async def _send(settings: Settings, messages: Sequence[Message]) -> None:
    await send_all(settings.kafka, messages, client_id=f"{settings.app_id}-{PROCESS}")

"""The vault on its topic: the last record of each system holds, a record without value takes it out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas.base import utc_now
from schemas.credentials import System
from schemas.envelope import event_id
from schemas.topics import CREDENTIAL, TopicNames
from streams.log.messages import Message, event_message
from streams.log.reader import LogRecord, Position, log_bounds, read_to_end
from streams.log.sending import send_all
from streams.settings import Settings
from streams.vault.keys import KeyOfKeys, LocalKeys
from streams.vault.sealing import Credential, seal, unseal

KEYS = {system.value.encode(): system for system in System}


@dataclass(frozen=True, slots=True)
class Contents:
    """The last record of each system, and how far the topic was read."""

    records: dict[System, LogRecord] = field(default_factory=dict)
    read_to: dict[Position, int] = field(default_factory=dict)

    def with_records(self, records: Iterable[LogRecord]) -> "Contents":
        """Return the contents after these, which come in the order of the topic."""
        newest, read_to = dict(self.records), dict(self.read_to)
        for record in records:
            read_to[record.topic, record.partition] = record.offset + 1
            if (system := KEYS.get(record.key or b"")) is not None:
                newest[system] = record
        return Contents(newest, read_to)

    def held(self) -> dict[System, LogRecord]:
        """Return the records that hold credentials, in the order of the systems."""
        found = {system: self.records.get(system) for system in System}
        return {system: record for system, record in found.items() if record and record.value}


class Vault:
    """Reads and changes what the vault holds."""

    def __init__(self, settings: Settings, keys: KeyOfKeys | None = None) -> None:
        """Use the keys of the settings unless others are given.

        Raises:
            SettingsError: a key of the settings is none.

        """
        self._settings = settings
        self.kafka = settings.kafka
        self.keys = keys or LocalKeys(settings.vault.keys)
        self.topic = TopicNames(settings.kafka.topic_prefix, settings.app_id).public(CREDENTIAL)

    async def contents(self) -> Contents:
        """Read the topic to its present end.

        Raises:
            LogUnavailableError: Kafka does not answer in time.
            TopicsError: the topic does not exist.

        """
        records, end = await self._since({})
        return Contents(Contents().with_records(records).records, end)

    async def credentials(self, contents: Contents) -> dict[System, Credential]:
        """Return all that is held.

        Raises:
            SettingsError: a key that is needed is not at hand.
            UnreadableError: something was altered.

        """
        return {system: await self.opened(system, record) for system, record in contents.held().items()}

    async def opened(self, system: System, record: LogRecord) -> Credential:
        """Return what one record holds; the same errors."""
        return await unseal(system, record.value, self.keys)

    async def put(self, credentials: Mapping[System, Credential], process: str = "cli") -> None:
        """Seal credentials and return when Kafka has them.

        Raises:
            SettingsError: there is no key to seal with.
            LogUnavailableError: Kafka cannot be reached.
            TopicsError: the topic does not exist: it is never made by writing to it, it must be compacted.
            BrokenOffError: some were not confirmed.

        """
        await log_bounds(self.kafka, [self.topic])
        messages = [await self._message(system, one, process) for system, one in credentials.items()]
        await send_all(self.kafka, messages, client_id=f"{self._settings.app_id}-{process}")

    async def rotate(self, actor: str) -> dict[System, Credential]:
        """Seal all that is held anew, under the newest key, and return it.

        Raises:
            SettingsError: a key that is needed is not at hand; nothing was changed.
            UnreadableError: something was altered; nothing was changed.

        """
        contents = await self.contents()
        done = to_seal = await self.credentials(contents)
        end = contents.read_to
        while to_seal:
            to_seal = {system: one.rotated(actor, utc_now()) for system, one in to_seal.items()}
            await self.put(to_seal)
            done = done | to_seal
            # What somebody stored while we sealed what was there holds, and must not be hidden by ours.
            records, end = await self._since(end)
            to_seal = await self._others(records, done)
        return done

    async def _others(
        self, records: Iterable[LogRecord], known: Mapping[System, Credential]
    ) -> dict[System, Credential]:
        """Return the last of these that are not what we know already; ours may lie behind them."""
        found: dict[System, Credential] = {}
        for record in records:
            system = KEYS[record.key or b""]
            if record.value:
                one = await self.opened(system, record)
                if system not in known or not one.is_the_same_as(known[system]):
                    found[system] = one
        return found

    async def _since(self, read_to: Mapping[Position, int]) -> tuple[list[LogRecord], dict[Position, int]]:
        bounds = await log_bounds(self.kafka, [self.topic])
        batches = [batch.records async for batch in read_to_end(self.kafka, [self.topic], read_to, bounds)]
        ours = [record for records in batches for record in records if record.key in KEYS]
        return ours, bounds.end

    async def _message(self, system: System, credential: Credential, process: str) -> Message:
        sealed = await seal(system, credential, self.keys)
        return event_message(
            self.topic,
            system.value,
            sealed,
            # Of the ciphertext: a digest of the secret would let a guess be tried.
            event_id=event_id(CREDENTIAL, system.value, sealed.ciphertext.hex()),
            process=process,
            subject=system.value,
            time=utc_now(),
        )

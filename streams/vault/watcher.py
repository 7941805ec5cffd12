"""Takes up what comes to the vault while a process runs, so that a changed secret needs no restart."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from schemas.credentials import System
from schemas.errors import SettingsError, UnreadableError
from streams import background
from streams.log.following import RETRY_SECONDS, keep_following
from streams.log.reader import LogRecord, follow
from streams.systems.tokens import TokenSource
from streams.vault.current import CurrentCredentials, Pair
from streams.vault.records import Contents, Vault

log = structlog.get_logger(__name__)


class VaultWatcher:
    """Follows the vault and gives each new credential to the tokens of its system.

    What cannot be opened is told in one log line, and the credentials at hand are kept; so they are when the topic
    cannot be followed, and when a system's credentials are taken out of the vault.
    """

    def __init__(
        self,
        vault: Vault,
        contents: Contents,
        current: CurrentCredentials,
        *,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """Go on after `contents`, by which `current` was chosen."""
        self._vault = vault
        self._current = current
        self._read_to = contents.read_to
        self._retry_seconds = retry_seconds
        self._tokens: dict[System, TokenSource] = {}
        self._in_use: dict[System, Pair] = {}

    def serve(self, system: System, tokens: TokenSource) -> TokenSource:
        """Keep the credentials of these tokens up to date, which were made with the current ones; return the tokens.

        Raises:
            SettingsError: the system has no credentials.

        """
        self._in_use[system] = self._current.require(system)
        self._tokens[system] = tokens
        if (why := self._current.troubles.get(system)) is not None:
            log.warning(
                "the vault's credentials cannot be used; those of the environment are", system=system.value, why=why
            )
        return tokens

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the vault for as long as the context is open, where there is anything to serve."""
        if not self._tokens:
            yield
            return
        told = "the vault cannot be followed; what is in use is kept"
        following = keep_following(
            self._follow_on, read_anew=self._read_anew, told=told, retry_seconds=self._retry_seconds
        )
        async with background.running(following):
            yield

    def _read_anew(self) -> None:
        self._read_to = {}

    async def _follow_on(self) -> AsyncGenerator[None, None]:
        new = Contents(read_to=self._read_to)
        async for batch in follow(self._vault.kafka, [self._vault.topic], self._read_to):
            yield
            new = new.with_records(batch.records)
            if batch.behind:
                continue  # only the last of a system holds: those before it may be under keys dropped since
            await self._take_up(new.records)
            self._read_to, new = new.read_to, Contents(read_to=new.read_to)

    async def _take_up(self, records: Mapping[System, LogRecord]) -> None:
        for system, record in records.items():
            if system not in self._tokens:
                continue
            if not record.value:
                log.warning("taken out of the vault; what is in use is kept", system=system.value)
                continue
            try:
                credential = await self._vault.opened(system, record)
            except (SettingsError, UnreadableError) as error:
                log.warning("not taken up from the vault; what is in use is kept", system=system.value, why=str(error))
                continue
            self._use(system, (credential.client_id, credential.client_secret), credential.set_by)

    def _use(self, system: System, given: Pair, set_by: str) -> None:
        if given == self._in_use[system]:  # sealed anew under another key: its tokens stay good
            return
        self._in_use[system] = given
        self._tokens[system].update(*given)
        log.info("taken up from the vault", system=system.value, set_by=set_by)

"""Takes up what comes to the vault while a process runs, so that a changed secret needs no restart."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from schemas.credentials import System
from schemas.errors import LogError, SettingsError, TopicsError, UnreadableError
from streams import background
from streams.log.reader import LogRecord, follow
from streams.systems.tokens import TokenSource
from streams.vault.current import CurrentCredentials, Pair
from streams.vault.records import Contents, Vault

RETRY_SECONDS = 5.0
"""Between two tries to follow the topic; meanwhile the process works on with what it has."""

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
        self._trouble: str | None = None

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
        async with background.running(self._run()):
            yield

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except TopicsError as error:
                self._tell_once(str(error))
                self._read_to = {}  # made anew: what it holds now is read from its beginning
            except LogError as error:
                self._tell_once(str(error))
            except Exception:
                log.exception("following the vault failed; it begins again")
            await asyncio.sleep(self._retry_seconds)

    async def _follow(self) -> None:
        new = Contents(read_to=self._read_to)
        async for batch in follow(self._vault.kafka, [self._vault.topic], self._read_to):
            self._trouble = None
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

    def _tell_once(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("the vault cannot be followed; what is in use is kept", why=trouble)
        self._trouble = trouble

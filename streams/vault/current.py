"""Which credentials hold: those of the vault, else those of the environment, which serve a first start."""

from dataclasses import dataclass, field

from pydantic import SecretStr

from schemas.credentials import System
from schemas.errors import LogError, SettingsError, UnreadableError
from streams.settings import Settings
from streams.vault.records import Contents, Vault
from streams.vault.sealing import Credential

Pair = tuple[str, SecretStr]
"""A client id and its secret."""


@dataclass(frozen=True)
class CurrentCredentials:
    """Settings with the credentials that hold now, and why those of the vault could not be used, where they could not.

    A system whose credentials are nowhere is left without: `require` tells, for who needs it.
    """

    settings: Settings
    troubles: dict[System, str] = field(default_factory=dict)

    def require(self, system: System) -> Pair:
        """Return the credentials of a system.

        Raises:
            SettingsError: there are none; one line with the setting and the command that help.

        """
        group = getattr(self.settings, system.value)
        if group.client_id and group.client_secret and group.client_secret.get_secret_value():
            return group.client_id, group.client_secret
        missing = "CLIENT_SECRET" if group.client_id else "CLIENT_ID"
        why = self.troubles.get(system, "the vault holds none")
        raise SettingsError(
            f"ZIFS_{system.value.upper()}__{missing} is not set, and {why}: "
            f"set it, or store the credentials with `zuora-ifs credentials set {system.value}`"
        )


def without_vault(settings: Settings) -> CurrentCredentials:
    """Return what the environment alone has, where there is no key to open the vault with."""
    return CurrentCredentials(settings, dict.fromkeys(System, "without ZIFS_VAULT__KEYS the vault cannot be opened"))


async def current_credentials(settings: Settings) -> CurrentCredentials:
    """Return the credentials for a command: where Kafka or the topic is not there, those of the environment.

    Raises:
        SettingsError: ZIFS_VAULT__KEYS has a key that is none.

    """
    vault = Vault(settings)
    try:
        return await chosen(settings, vault, await vault.contents())
    except (LogError, SettingsError) as error:
        return CurrentCredentials(settings, dict.fromkeys(System, f"the vault cannot be read: {error}"))


async def chosen(settings: Settings, vault: Vault, contents: Contents) -> CurrentCredentials:
    """Return what holds by these contents; never fails, since the environment may have what the vault cannot give."""
    troubles: dict[System, str] = {}
    for system, record in contents.held().items():
        try:
            settings = _with(settings, system, await vault.opened(system, record))
        except (SettingsError, UnreadableError) as error:
            troubles[system] = str(error)
    return CurrentCredentials(settings, troubles)


def _with(settings: Settings, system: System, credential: Credential) -> Settings:
    group = getattr(settings, system.value)
    given = {"client_id": credential.client_id, "client_secret": credential.client_secret}
    return settings.model_copy(update={system.value: group.model_copy(update=given)})

"""Who may use the console: bearer tokens for programs, a sealed session cookie for people's pages."""

import ipaddress
from collections.abc import Mapping

from agents.console.roles import Identity, Role, role_named
from agents.console.sealing import DRAWN, Seal
from agents.console.tokens import Token, matching, read_tokens
from schemas.errors import SettingsError
from streams.settings import ConsoleSettings

SHORT_CHARACTERS = 20
"""Of a secret that who has a cookie sealed with it could guess; 128 bits drawn at random take 22 in base64."""
SESSION_SECONDS = 12 * 3600
"""A working day; then people sign in again."""


class Access:
    """Knows the tokens, and the roles that single sign-on gives.

    Raises:
        SettingsError: a token or role cannot be read, or nobody could sign in and it would listen on a network.

    """

    def __init__(self, settings: ConsoleSettings) -> None:
        self._tokens = [(token, _token_seal(settings, token)) for token in read_tokens(settings.tokens)]
        self._session_secret = settings.session_secret
        self.roles = read_roles(settings)
        """Of single sign-on: value of the claim to role."""
        self._sign_on = _sign_on_seal(settings) if settings.oidc_issuer else None
        if self.is_open and not is_loopback(settings.host):
            raise SettingsError(
                "ZIFS_CONSOLE__TOKENS is not set: give name:role:token, or set ZIFS_CONSOLE__HOST to 127.0.0.1"
                " to look without a token on this machine alone"
            )

    @property
    def is_open(self) -> bool:
        """Whether nobody has to sign in."""
        return not self._tokens and self._sign_on is None

    def short_secrets(self) -> list[str]:
        """Return which secrets are easy to guess: names of tokens, and the setting that seals sessions."""
        given = {f"the token of {one.identity.name}": one.secret for one, _ in self._tokens}
        given["ZIFS_CONSOLE__SESSION_SECRET"] = self._session_secret
        return [name for name, secret in given.items() if secret and len(secret.get_secret_value()) < SHORT_CHARACTERS]

    @property
    def has_tokens(self) -> bool:
        """Whether people may sign in with a token."""
        return bool(self._tokens)

    @property
    def has_sign_on(self) -> bool:
        """Whether people may sign in at an identity provider."""
        return self._sign_on is not None

    def by_token(self, text: str) -> Identity | None:
        """Return whose token it is; every token is compared, in constant time each."""
        token = matching([token for token, _ in self._tokens], text)
        return token.identity if token else None

    def token_session(self, text: str) -> str | None:
        """Return the cookie's value for who signs in with a token; None if the token is nobody's.

        It needs no store, and ends with its token. It holds for every copy of the console, unless all that they know of
        the token is its digest and ZIFS_CONSOLE__SESSION_SECRET is not set.
        """
        token = matching([token for token, _ in self._tokens], text)
        return next((seal.close({}) for one, seal in self._tokens if one is token), None)

    def sign_on_session(self, identity: Identity) -> str:
        """Return the cookie's value for who came by single sign-on; it ends when its settings change."""
        if self._sign_on is None:
            raise TypeError("there is no single sign-on")
        return self._sign_on.close({"name": identity.name, "role": identity.role.value})

    def by_session(self, value: str) -> Identity | None:
        """Return whose session it is; None when it has ended or was not made here."""
        for token, seal in self._tokens:
            if seal.open(value, SESSION_SECONDS) is not None:
                return token.identity
        signed_on = self._sign_on.open(value, SESSION_SECONDS) if self._sign_on else None
        return Identity(signed_on["name"], Role(signed_on["role"])) if signed_on else None


def read_roles(settings: ConsoleSettings) -> Mapping[str, Role]:
    """Return the roles of `ZIFS_CONSOLE__OIDC_ROLES` by the value of the claim.

    Raises:
        SettingsError: an entry is not `value:role`.

    """
    roles = {}
    for number, text in enumerate(settings.oidc_roles, start=1):
        value, _, word = text.rpartition(":")  # values such as URNs have colons of their own
        if not value:
            raise SettingsError(f"ZIFS_CONSOLE__OIDC_ROLES: entry {number} is not value:role")
        roles[value] = role_named(word, f"ZIFS_CONSOLE__OIDC_ROLES: the role of entry {number} ({value})")
    return roles


def is_loopback(host: str) -> bool:
    """Return whether a host, with or without a port, is this machine alone."""
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 else host
    name = name.partition("]")[0].removeprefix("[")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _token_seal(settings: ConsoleSettings, token: Token) -> Seal:
    # The digest is no key: whoever reads it in the settings must not be able to make a session of it.
    root = settings.session_secret or token.secret
    key = root.get_secret_value().encode() if root else DRAWN
    return Seal(key, "token", token.identity.name, token.identity.role.name, token.digest.hex())


def _sign_on_seal(settings: ConsoleSettings) -> Seal:
    root = settings.session_secret or settings.oidc_client_secret
    key = root.get_secret_value().encode() if root else DRAWN
    named = (settings.oidc_issuer or "", settings.oidc_client_id or "", settings.oidc_role_claim)
    return Seal(key, "single sign-on", *named, *sorted(settings.oidc_roles))

"""The key of keys: a small port, so that a key management service can take the place of keys in the environment."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Protocol

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from schemas.errors import SettingsError, UnreadableError

SETTING = "ZIFS_VAULT__KEYS"
FINGERPRINT_CHARACTERS = 16
"""64 bits of a digest over 256 random ones: enough to tell keys apart, of no use for finding one."""
HOW_TO_MAKE_ONE = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


class KeyOfKeys(Protocol):
    """Wraps data keys; it alone knows the key that does it."""

    @property
    def fingerprint(self) -> str:
        """Of the key that wraps from now on."""

    async def wrap(self, data_key: bytes) -> bytes:
        """Return the data key, readable only by `unwrap`."""

    async def unwrap(self, wrapped: bytes, fingerprint: str) -> bytes:
        """Return the data key that was wrapped under the key with this fingerprint.

        Raises:
            SettingsError: that key is not at hand.
            UnreadableError: the key is, but what is wrapped was altered.

        """


class LocalKeys:
    """Fernet keys from the settings, newest first: the first wraps, all unwrap.

    Without any key it can be made, since a process may need none, but it neither wraps nor unwraps.

    Raises:
        SettingsError: one is no Fernet key; the message says which by its place, never the key.

    """

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        secrets = [key.get_secret_value() for key in keys]
        fernets = [_fernet(secret, place, len(secrets)) for place, secret in enumerate(secrets, 1)]
        self._fernet = MultiFernet(fernets) if fernets else None
        self.fingerprints = tuple(dict.fromkeys(map(fingerprint_of, secrets)))
        """Of all keys, newest first, each once."""

    @property
    def fingerprint(self) -> str:
        """Of the newest key.

        Raises:
            SettingsError: there is none.

        """
        if not self.fingerprints:
            raise SettingsError(f"{SETTING} is not set: the vault's keys, newest first; make one: {HOW_TO_MAKE_ONE}")
        return self.fingerprints[0]

    async def wrap(self, data_key: bytes) -> bytes:
        """Wrap under the newest key.

        Raises:
            SettingsError: there is none.

        """
        return self.wrapped(data_key)

    async def unwrap(self, wrapped: bytes, fingerprint: str) -> bytes:
        """Unwrap with whichever key it was; `KeyOfKeys.unwrap` tells the errors."""
        return self.unwrapped(wrapped, fingerprint)

    def wrapped(self, data_key: bytes) -> bytes:
        """Wrap at once, since the key is at hand: for who cannot wait; the same errors."""
        return self._any(self.fingerprint).encrypt(data_key)

    def unwrapped(self, wrapped: bytes, fingerprint: str) -> bytes:
        """Unwrap at once; the same errors."""
        try:
            return self._any(fingerprint).decrypt(wrapped)
        except InvalidToken:
            raise UnreadableError("the wrapped key was altered") from None

    def _any(self, fingerprint: str) -> MultiFernet:
        if self._fernet is None:
            raise SettingsError(f"{SETTING} is not set, and the vault is sealed under key {fingerprint}")
        if fingerprint not in self.fingerprints:
            ours = ", ".join(self.fingerprints)
            raise SettingsError(f"{SETTING} has no key {fingerprint}, under which the vault is sealed, only {ours}")
        return self._fernet


def fingerprint_of(key: str) -> str:
    """Return what a Fernet key is called in lists and messages."""
    return hashlib.sha256(b"zifs-vault-key\n" + base64.urlsafe_b64decode(key)).hexdigest()[:FINGERPRINT_CHARACTERS]


def _fernet(key: str, place: int, count: int) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        which = f"key {place} of {count}" if count > 1 else "the key"
        raise SettingsError(
            f"{SETTING}: {which} is no Fernet key (32 bytes in URL-safe base64); make one: {HOW_TO_MAKE_ONE}"
        ) from None

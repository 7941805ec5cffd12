"""Envelope encryption of credentials: each has a data key of its own, which the key of keys wraps."""

import secrets
from typing import Self

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from schemas.base import Model, Time
from schemas.credentials import CredentialSealed, System
from schemas.envelope import decode
from schemas.errors import UnreadableError
from streams.vault.keys import KeyOfKeys

DATA_KEY_BITS = 256
NONCE_BYTES = 12
"""96 bits, as NIST SP 800-38D 5.2.1.1 recommends for GCM."""


class Credential(Model):
    """What one system is entered with, who gave it to us, and who sealed it anew since."""

    client_id: str
    client_secret: SecretStr
    set_by: str
    set_at: Time
    rotated_by: str | None = None
    rotated_at: Time | None = None

    def rotated(self, actor: str, at: Time) -> Self:
        """Return it as sealed anew by `actor`."""
        return self.model_copy(update={"rotated_by": actor, "rotated_at": at})

    def is_the_same_as(self, other: "Credential") -> bool:
        """Return whether both were given at once, however often they were sealed anew."""
        unchanging = {"rotated_by": None, "rotated_at": None}
        return self.model_copy(update=unchanging) == other.model_copy(update=unchanging)


async def seal(system: System, credential: Credential, keys: KeyOfKeys) -> CredentialSealed:
    """Encrypt credentials under a new data key, bound to their system.

    Raises:
        SettingsError: there is no key to wrap with.

    """
    fingerprint = keys.fingerprint
    data_key, nonce = AESGCM.generate_key(DATA_KEY_BITS), secrets.token_bytes(NONCE_BYTES)
    # Nothing of it is readable without a key, who and when neither: what is not encrypted could be changed unseen.
    plain = orjson.dumps(
        credential.model_dump(mode="json", by_alias=True)
        | {"clientSecret": credential.client_secret.get_secret_value()}
    )
    return CredentialSealed(
        key_fingerprint=fingerprint,
        wrapped_key=await keys.wrap(data_key),
        nonce=nonce,
        ciphertext=AESGCM(data_key).encrypt(nonce, plain, _bound_to(system, "zifs-vault-1", fingerprint)),
    )


async def unseal(system: System, value: bytes | None, keys: KeyOfKeys) -> Credential:
    """Return the credentials that were sealed for this system; `value` is as it lies on the topic.

    Raises:
        SettingsError: the key that they are sealed under is not at hand.
        UnreadableError: altered, sealed for another system, or not of this format; nothing of the content is named.

    """
    advice = f"store them anew with `zuora-ifs credentials set {system.value}`"
    try:
        sealed = decode(CredentialSealed, value)
        data_key = await keys.unwrap(sealed.wrapped_key, sealed.key_fingerprint)
        bound_to = _bound_to(system, sealed.format, sealed.key_fingerprint)
        return decode(Credential, AESGCM(data_key).decrypt(sealed.nonce, sealed.ciphertext, bound_to))
    except UnreadableError as error:
        raise UnreadableError(f"the vault's credentials of {system.value} cannot be read: {error}; {advice}") from None
    except (InvalidTag, ValueError):  # ValueError: a key or nonce of a length that AES-GCM does not have
        raise UnreadableError(
            f"the vault's credentials of {system.value} were altered, or sealed for another system; {advice}"
        ) from None


def _bound_to(system: System, form: str, fingerprint: str) -> bytes:
    return f"{form}\n{system.value}\n{fingerprint}".encode()

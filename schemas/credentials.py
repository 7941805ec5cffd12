"""The credentials of the two systems, as they lie on the log: ciphertext, and nothing that gives any of it away."""

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict

from schemas.base import Model


class System(StrEnum):
    """A far side that asks for credentials; its name is the key of the record."""

    ZUORA = "zuora"
    IFS = "ifs"


class CredentialSealed(Model):
    """The credentials of one system, sealed. Key: the system; the last one of a key holds.

    AES-256-GCM under a data key of its own, which is wrapped by the key of keys. Format, system and fingerprint are
    authenticated with it, so that it opens under no other name. Bytes are URL-safe base64.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    format: Literal["zifs-vault-1"] = "zifs-vault-1"
    key_fingerprint: str
    """Of the key of keys that wrapped the data key."""
    wrapped_key: bytes
    nonce: bytes
    """96 bits, used once: the data key is used once."""
    ciphertext: bytes

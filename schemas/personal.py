"""The keys under which what is stored of a person is sealed, and how a sealed value is known."""

from typing import Literal

from pydantic import ConfigDict

from schemas.base import Model, Time

SEALED = "zifs-sealed:"
"""A sealed value begins with it; the id of its key and the ciphertext follow, with a colon between."""


def is_sealed(value: object) -> bool:
    """Tell whether a value stands for one that was sealed."""
    return isinstance(value, str) and value.startswith(SEALED)


class PersonalKey(Model):
    """What every event about a key says. Key: `account id/key id`; the last one of a key holds."""

    account_id: str
    key_id: str


class PersonalKeySealed(PersonalKey):
    """A key of an account, wrapped by the key of keys. Bytes are URL-safe base64."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    format: Literal["zifs-personal-1"] = "zifs-personal-1"
    key_fingerprint: str
    """Of the key of keys that wrapped it."""
    wrapped_key: bytes
    made_at: Time
    """Of several keys of an account the oldest is sealed with, so that all who seal choose the same."""


class PersonalKeyErased(PersonalKey):
    """A key was shredded: this takes its place, for ever, and says who wanted it and why."""

    actor: str
    reason: str
    at: Time

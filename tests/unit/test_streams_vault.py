"""The vault's ciphertext: what opens it, what does not, and what it gives away."""

import base64
import json
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from schemas.base import utc_now
from schemas.credentials import CredentialSealed, System
from schemas.envelope import decode, encode
from schemas.errors import ConnectorError, SettingsError, UnreadableError
from streams.settings import Settings
from streams.vault.current import CurrentCredentials, without_vault
from streams.vault.keys import LocalKeys, fingerprint_of
from streams.vault.sealing import Credential, seal, unseal

SECRET = "planted-5ecret"
CREDENTIAL = Credential(client_id="billing-client", client_secret=SecretStr(SECRET), set_by="anna", set_at=utc_now())


def new_key() -> str:
    return Fernet.generate_key().decode()


def keys_of(*keys: str) -> LocalKeys:
    return LocalKeys([SecretStr(key) for key in keys])


async def sealed_value(keys: LocalKeys, system: System = System.ZUORA) -> bytes:
    return encode(await seal(system, CREDENTIAL, keys))


def changed(value: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(value) | fields).encode()


def flipped(text: str) -> str:
    """Return base64 of the same length with one bit of its bytes changed."""
    content = bytearray(base64.urlsafe_b64decode(text))
    content[len(content) // 2] ^= 1
    return base64.urlsafe_b64encode(bytes(content)).decode()


async def test_what_was_sealed_opens_with_the_same_key() -> None:
    keys = keys_of(new_key())

    assert await unseal(System.ZUORA, await sealed_value(keys), keys) == CREDENTIAL


async def test_the_value_names_its_format_and_key_and_gives_nothing_else_away() -> None:
    key = new_key()
    value = await sealed_value(keys_of(key))
    told = json.loads(value)

    assert set(told) == {"format", "keyFingerprint", "wrappedKey", "nonce", "ciphertext"}
    assert (told["format"], told["keyFingerprint"]) == ("zifs-vault-1", fingerprint_of(key))
    raw = b"".join(base64.urlsafe_b64decode(told[name]) for name in ("wrappedKey", "nonce", "ciphertext"))
    for readable in (value, raw):
        for word in (SECRET, "billing-client", "anna", key):
            assert word.encode() not in readable


async def test_each_sealing_has_a_data_key_and_nonce_of_its_own() -> None:
    keys = keys_of(new_key())
    first, second = [decode(CredentialSealed, await sealed_value(keys)) for _ in range(2)]

    assert await keys.unwrap(first.wrapped_key, first.key_fingerprint) != await keys.unwrap(
        second.wrapped_key, second.key_fingerprint
    )
    assert first.nonce != second.nonce
    assert first.ciphertext != second.ciphertext


async def test_another_key_does_not_open_it_and_the_line_names_the_setting_and_the_missing_key() -> None:
    key, other = new_key(), new_key()
    value = await sealed_value(keys_of(key))

    with pytest.raises(SettingsError) as caught:
        await unseal(System.ZUORA, value, keys_of(other))
    assert str(caught.value) == (
        f"ZIFS_VAULT__KEYS has no key {fingerprint_of(key)}, under which the vault is sealed, "
        f"only {fingerprint_of(other)}"
    )


async def test_without_any_key_it_neither_seals_nor_opens() -> None:
    value = await sealed_value(keys_of(new_key()))

    with pytest.raises(SettingsError, match=r"^ZIFS_VAULT__KEYS is not set"):
        await unseal(System.ZUORA, value, keys_of())
    with pytest.raises(SettingsError, match=r"^ZIFS_VAULT__KEYS is not set"):
        await seal(System.ZUORA, CREDENTIAL, keys_of())


@pytest.mark.parametrize(
    "wrong",
    ["", "short", "x" * 44, new_key()[:-2], "é" * 44],
    ids=["empty", "short", "no base64", "cut off", "not ASCII"],
)
def test_a_wrong_key_is_named_by_its_place_and_never_shown(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"^ZIFS_VAULT__KEYS: key 2 of 2 is no Fernet key") as caught:
        keys_of(new_key(), wrong)
    assert not wrong or wrong not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_ciphertext_of_one_system_does_not_open_for_the_other() -> None:
    keys = keys_of(new_key())
    value = await sealed_value(keys, System.ZUORA)

    with pytest.raises(UnreadableError, match="credentials of ifs were altered, or sealed for another system"):
        await unseal(System.IFS, value, keys)


@pytest.mark.parametrize("field", ["wrappedKey", "nonce", "ciphertext"])
async def test_one_changed_bit_is_noticed(field: str) -> None:
    keys = keys_of(new_key())
    value = await sealed_value(keys)

    with pytest.raises(UnreadableError, match=r"zuora .*altered.*`zuora-ifs credentials set zuora`") as caught:
        await unseal(System.ZUORA, changed(value, **{field: flipped(json.loads(value)[field])}), keys)
    assert SECRET not in str(caught.value)


async def test_the_fingerprint_is_bound_to_the_ciphertext() -> None:
    first, second = new_key(), new_key()
    value = changed(await sealed_value(keys_of(first)), keyFingerprint=fingerprint_of(second))

    with pytest.raises(UnreadableError, match="altered"):
        await unseal(System.ZUORA, value, keys_of(first, second))


@pytest.mark.parametrize(
    "value",
    [None, b"", b"null", b"[]", b'{"format": "zifs-vault-1"}', b"\xff\x00", b"[" * 100_000],
)
async def test_what_is_no_sealed_credential_is_unreadable(value: bytes | None) -> None:
    with pytest.raises(UnreadableError, match="the vault's credentials of ifs cannot be read"):
        await unseal(System.IFS, value, keys_of(new_key()))


async def test_a_later_format_is_refused_by_its_name_and_not_guessed_at() -> None:
    keys = keys_of(new_key())

    with pytest.raises(UnreadableError, match="format: Input should be 'zifs-vault-1'"):
        await unseal(System.ZUORA, changed(await sealed_value(keys), format="zifs-vault-2"), keys)


@pytest.mark.parametrize("length", [0, 7, 129])
async def test_a_nonce_of_another_length_is_unreadable(length: int) -> None:
    keys = keys_of(new_key())
    nonce = base64.urlsafe_b64encode(bytes(length)).decode()

    with pytest.raises(UnreadableError, match="altered"):
        await unseal(System.ZUORA, changed(await sealed_value(keys), nonce=nonce), keys)


async def test_a_new_key_in_front_seals_while_the_old_one_still_opens() -> None:
    old, new = new_key(), new_key()
    before = await sealed_value(keys_of(old))
    both = keys_of(new, old)
    after = await sealed_value(both)

    assert both.fingerprints == (fingerprint_of(new), fingerprint_of(old))
    assert await unseal(System.ZUORA, before, both) == CREDENTIAL
    assert await unseal(System.ZUORA, after, keys_of(new)) == CREDENTIAL
    with pytest.raises(SettingsError):
        await unseal(System.ZUORA, after, keys_of(old))


async def test_neither_credentials_nor_keys_show_a_secret() -> None:
    key = new_key()
    keys = keys_of(key)
    sealed = await seal(System.ZUORA, CREDENTIAL, keys)
    shown = [repr(one) + str(one) + repr(getattr(one, "__dict__", "")) for one in (CREDENTIAL, keys, sealed)]
    shown += [CREDENTIAL.model_dump_json(), str(CREDENTIAL.model_dump())]

    for text in shown:
        assert SECRET not in text
        assert key not in text


async def test_credentials_sealed_anew_are_the_same_and_others_are_not() -> None:
    rotated = CREDENTIAL.rotated("ben", utc_now())
    keys = keys_of(new_key())

    assert await unseal(System.IFS, encode(await seal(System.IFS, rotated, keys)), keys) == rotated
    assert (rotated.set_by, rotated.rotated_by) == ("anna", "ben")
    assert rotated.is_the_same_as(CREDENTIAL)
    assert not CREDENTIAL.model_copy(update={"client_secret": SecretStr("other")}).is_the_same_as(rotated)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "CLIENT_ID"),
        ({"client_id": "a"}, "CLIENT_SECRET"),
        ({"client_id": "a", "client_secret": ""}, "CLIENT_SECRET"),
    ],
)
def test_credentials_that_are_nowhere_are_one_line_with_setting_and_command(
    given: dict[str, str], missing: str
) -> None:
    settings = Settings.model_validate({"ifs": given})

    with pytest.raises(ConnectorError) as caught:
        CurrentCredentials(settings).require(System.IFS)
    assert str(caught.value) == (
        f"ZIFS_IFS__{missing} is not set, and the vault holds none: "
        "set it, or store the credentials with `zuora-ifs credentials set ifs`"
    )
    with pytest.raises(SettingsError, match="without ZIFS_VAULT__KEYS the vault cannot be opened"):
        without_vault(settings).require(System.IFS)

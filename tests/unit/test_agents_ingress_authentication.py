"""Who may call: tables of headers and what is made of them."""

import base64
import hashlib
import hmac
from typing import Any

import pytest
from structlog.testing import capture_logs

from agents.ingress.authentication import Authentication, authentication
from schemas.errors import SettingsError
from streams.settings import IngressSettings

BODY = b'{"InvoiceId": "1"}'


def methods(**settings: Any) -> Authentication:
    return authentication(IngressSettings.model_validate(settings))


def basic(pair: str, scheme: str = "Basic", encoding: str = "utf-8") -> str:
    return f"{scheme} {base64.b64encode(pair.encode(encoding)).decode()}"


def digest(secret: str = "s", algorithm: str = "sha256", body: bytes = BODY) -> bytes:
    return hmac.digest(secret.encode(), body, algorithm)


@pytest.mark.parametrize(
    ("authorization", "known"),
    [
        (basic("zuora:secret"), True),
        (basic("zuora:old:with:colons"), True),
        (basic("zuora:secret", "basic"), True),
        (basic("zuora:secret", "BASIC "), True),
        (basic("zuora:grün"), True),
        (basic("zuora:grün", encoding="latin-1"), True),
        (basic("zuora:Secret"), False),
        (basic("Zuora:secret"), False),
        (basic("zuora:"), False),
        (basic("zuora"), False),
        (basic(""), False),
        ("", False),
        ("Basic", False),
        ("Basic !!!", False),
        ("Basic ÄÖÜ", False),
        ("Bearer " + base64.b64encode(b"zuora:secret").decode(), False),
        ("zuora:secret", False),
    ],
)
def test_basic_credentials(authorization: str, known: bool) -> None:  # noqa: FBT001 - a table's column
    door = methods(basic_username="zuora", basic_password="secret,old:with:colons,grün")
    assert door.knows_caller({"Authorization": authorization}) is known
    assert door.challenge == 'Basic realm="zuora-ifs"'


@pytest.mark.parametrize(
    ("signature", "trusted"),
    [
        (digest().hex(), True),
        (digest().hex().upper(), True),
        (" " + digest().hex(), True),
        ("sha256=" + digest().hex(), True),
        ("SHA-256=" + digest().hex(), True),
        (digest("new").hex(), True),
        ("sha512=" + digest().hex(), False),
        (digest(algorithm="sha512").hex(), False),
        (digest("other").hex(), False),
        (digest(body=BODY + b"\n").hex(), False),
        (digest().hex()[:-1], False),
        (base64.b64encode(digest()).decode(), False),
        ("sha256=", False),
        ("", False),
        ("ß", False),
    ],
)
def test_hex_signatures(signature: str, trusted: bool) -> None:  # noqa: FBT001 - a table's column
    assert methods(hmac_secret="new,s").trusts_body({"X-Zuora-Signature": signature}, BODY) is trusted


@pytest.mark.parametrize("algorithm", ["sha1", "sha224", "SHA-256", "HmacSHA384", "sha512"])
@pytest.mark.parametrize("prefix", ["", "{}="])
def test_base64_signatures_of_every_algorithm(algorithm: str, prefix: str) -> None:
    name = algorithm.lower().replace("-", "").removeprefix("hmac")
    value = prefix.format(name) + base64.b64encode(digest(algorithm=name)).decode()
    door = methods(hmac_secret="s", hmac_algorithm=algorithm, hmac_encoding="base64", hmac_header="X-Mine")
    assert door.trusts_body({"X-Mine": value}, BODY)
    assert not door.trusts_body({"X-Mine": value}, BODY + b" ")


def test_the_documented_example_of_zuora_is_trusted() -> None:
    body = (
        b'{"event": "InvoicePosted", "objectType": "Invoice", "objectId": "8ad08d2989bd1f2c0189bd5a7e3a2001", '
        b'"objectNumber": "INV00004711", "accountId": "8ad09e2b86f1c1a90186f2a6c0d41001", "accountNumber": "A00000123"}'
    )
    signature = "sha256=a681104587a78cf815d46cde03626a80bb96a9e247f29aa0bcc0ae9bcbf0ad95"
    assert methods(hmac_secret="example-secret").trusts_body({"X-Zuora-Signature": signature}, body)


def test_where_both_are_set_both_are_demanded() -> None:
    door = methods(basic_username="zuora", basic_password="secret", hmac_secret="s")
    assert door.knows_caller({"Authorization": basic("zuora:secret")})
    assert not door.knows_caller({})
    assert door.trusts_body({"X-Zuora-Signature": digest().hex()}, BODY)
    assert not door.trusts_body({}, BODY)


def test_anonymous_callers_are_allowed_only_on_a_clear_word() -> None:
    assert methods(allow_anonymous=True).knows_caller({})
    assert not methods(allow_anonymous=True, hmac_secret="s").trusts_body({}, BODY)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "ZIFS_INGRESS__BASIC_USERNAME"),
        ({"hmac_secret": "", "basic_password": " , "}, "ZIFS_INGRESS__ALLOW_ANONYMOUS"),
        ({"basic_username": "zuora"}, "ZIFS_INGRESS__BASIC_PASSWORD is not"),
        ({"basic_password": "secret", "allow_anonymous": True}, "ZIFS_INGRESS__BASIC_USERNAME is not"),
        ({"basic_username": "zu:ora", "basic_password": "secret"}, "colon"),
        ({"hmac_secret": "s", "hmac_algorithm": "MD5"}, "ZIFS_INGRESS__HMAC_ALGORITHM: md5 is refused"),
        ({"hmac_secret": "s", "hmac_algorithm": "crc32"}, "ZIFS_INGRESS__HMAC_ALGORITHM: crc32 is refused"),
        ({"hmac_secret": "s", "hmac_header": " "}, "ZIFS_INGRESS__HMAC_HEADER"),
    ],
)
def test_unsafe_settings_are_refused_in_a_line_that_names_them(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        methods(**settings)
    assert "secret" not in str(refused.value).replace("HMAC_SECRET", "")


def test_sha1_is_accepted_with_a_warning() -> None:
    with capture_logs() as logs:
        methods(hmac_secret="s", hmac_algorithm="SHA-1")
    assert [(line["log_level"], "weak" in line["event"]) for line in logs] == [("warning", True)]


def test_no_secret_shows_in_what_python_prints() -> None:
    password = hashlib.sha256(b"secret").hexdigest()
    door = methods(basic_username="zuora", basic_password=password, hmac_secret=password)
    assert password not in repr(door)

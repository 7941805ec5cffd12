"""Settings from the environment: lists of secrets, and what Kafka's need each other for."""

import pytest
from pydantic import SecretStr

from schemas.errors import SettingsError
from streams.log.connection import connection_options
from streams.settings import KafkaSettings, load_settings


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("one", ["one"]),
        ("new, old,", ["new", "old"]),
        ('["new","old"]', ["new", "old"]),
        ('["with, a comma"]', ["with, a comma"]),
        ("[not a list, but two secrets]", ["[not a list", "but two secrets]"]),
    ],
)
def test_secrets_are_a_list_for_rotation(monkeypatch: pytest.MonkeyPatch, text: str, secrets: list[str]) -> None:
    monkeypatch.setenv("ZIFS_INGRESS__HMAC_SECRET", text)

    assert [secret.get_secret_value() for secret in load_settings().ingress.hmac_secret] == secrets


def test_a_list_of_something_else_is_named_without_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZIFS_INGRESS__BASIC_PASSWORD", '["hunter2", {"a": "hunter3"}]')

    with pytest.raises(SettingsError, match="ZIFS_INGRESS__BASIC_PASSWORD") as caught:
        load_settings()
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    ("username", "password", "missing"),
    [(None, None, "SASL_USERNAME"), ("zifs", None, "SASL_PASSWORD"), ("zifs", SecretStr(""), "SASL_PASSWORD")],
)
def test_sasl_without_credentials_names_the_setting_that_is_missing(
    username: str | None, password: SecretStr | None, missing: str
) -> None:
    kafka = KafkaSettings(
        bootstrap_servers="kafka:9092",
        security_protocol="SASL_PLAINTEXT",
        sasl_username=username,
        sasl_password=password,
    )

    with pytest.raises(SettingsError, match=f"ZIFS_KAFKA__{missing} is not set"):
        connection_options(kafka)


def test_sasl_is_passed_on_whole() -> None:
    kafka = KafkaSettings(
        bootstrap_servers="a:1,b:2",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="zifs",
        sasl_password=SecretStr("secret"),
    )

    assert connection_options(kafka) == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "zifs",
        "sasl_plain_password": "secret",
    }

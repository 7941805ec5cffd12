"""Connection settings in the words of aiokafka, and what is said of those that cannot be."""

from typing import Any

import pytest

from schemas.errors import SettingsError
from streams.log.bearer_tokens import BearerTokens
from streams.log.connection import connection_options
from streams.settings import KafkaSettings

SASL = {"bootstrap_servers": "one:9093,two:9093", "security_protocol": "SASL_PLAINTEXT"}
OAUTH = SASL | {
    "sasl_mechanism": "OAUTHBEARER",
    "sasl_oauth_token_url": "https://identity.example/token",
    "sasl_oauth_client_id": "worker",
    "sasl_oauth_client_secret": "hunter2",
}


def options(**settings: Any) -> dict[str, Any]:
    return connection_options(KafkaSettings.model_validate(settings))


def test_a_name_and_a_password_without_a_mechanism_are_plain() -> None:
    assert options(**SASL, sasl_username="u", sasl_password="p") == {
        "bootstrap_servers": ["one:9093", "two:9093"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_oauthbearer_takes_tokens_and_no_password() -> None:
    found = options(**OAUTH)

    assert isinstance(found["sasl_oauth_token_provider"], BearerTokens)
    assert "sasl_plain_password" not in found
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "ZIFS_KAFKA__BOOTSTRAP_SERVERS is not set"),
        (SASL, "ZIFS_KAFKA__SASL_USERNAME is not set"),
        (SASL | {"sasl_username": "u"}, "ZIFS_KAFKA__SASL_PASSWORD is not set"),
        (OAUTH | {"sasl_oauth_token_url": ""}, "ZIFS_KAFKA__SASL_OAUTH_TOKEN_URL is not set"),
        (OAUTH | {"sasl_oauth_client_id": None}, "ZIFS_KAFKA__SASL_OAUTH_CLIENT_ID is not set"),
        (OAUTH | {"sasl_oauth_client_secret": ""}, "ZIFS_KAFKA__SASL_OAUTH_CLIENT_SECRET is not set"),
        (
            {"bootstrap_servers": "b:1", "security_protocol": "SSL", "ssl_cafile": "/nowhere/authority.pem"},
            "SSL_CAFILE, SSL_CERTFILE or SSL_KEYFILE cannot be used",
        ),
    ],
)
def test_what_is_missing_is_named_in_one_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        options(**settings)

    assert "\n" not in str(refused.value)

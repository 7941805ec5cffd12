"""Connection settings in the words of aiokafka: one place for security, for every client including Faust's."""

import ssl
from typing import Any

from schemas.errors import SettingsError
from streams.log.bearer_tokens import BearerTokens
from streams.settings import KafkaSettings

_LARGEST_PORT, _LONGEST_PORT = 65_535, 5


def bootstrap_servers(kafka: KafkaSettings) -> str:
    """Return the bootstrap servers.

    Raises:
        SettingsError: none are set, or one of a port that cannot be.

    """
    if not kafka.bootstrap_servers:
        raise SettingsError("ZIFS_KAFKA__BOOTSTRAP_SERVERS is not set: name the Kafka brokers as host:port")
    for server in kafka.bootstrap_servers.split(","):
        port = server.strip().rpartition(":")[2]
        if port.isdecimal() and (len(port) > _LONGEST_PORT or int(port) > _LARGEST_PORT):
            raise SettingsError(f"ZIFS_KAFKA__BOOTSTRAP_SERVERS: there is no port {port[: _LONGEST_PORT + 1]}")
    return kafka.bootstrap_servers


def connection_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return keyword arguments for any aiokafka client: servers, TLS and SASL.

    Raises:
        SettingsError: a setting is missing, or a certificate cannot be used.

    """
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap_servers(kafka).split(","),
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = _tls_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        options |= _sasl_options(kafka)
    return options


def _sasl_options(kafka: KafkaSettings) -> dict[str, Any]:
    if kafka.sasl_mechanism == "OAUTHBEARER":
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": _bearer_tokens(kafka)}
    username, password = kafka.sasl_username, kafka.sasl_password
    if not username or not password or not password.get_secret_value():
        missing = "SASL_PASSWORD" if username else "SASL_USERNAME"
        raise SettingsError(f"ZIFS_KAFKA__{missing} is not set, which {kafka.security_protocol} needs")
    return {
        "sasl_mechanism": kafka.sasl_mechanism or "PLAIN",
        "sasl_plain_username": username,
        "sasl_plain_password": password.get_secret_value(),
    }


def _bearer_tokens(kafka: KafkaSettings) -> BearerTokens:
    url, client_id, secret = kafka.sasl_oauth_token_url, kafka.sasl_oauth_client_id, kafka.sasl_oauth_client_secret
    if not url or not client_id or not secret or not secret.get_secret_value():
        missing = "TOKEN_URL" if not url else "CLIENT_SECRET" if client_id else "CLIENT_ID"
        raise SettingsError(f"ZIFS_KAFKA__SASL_OAUTH_{missing} is not set, which OAUTHBEARER needs")
    return BearerTokens(url, client_id, secret, kafka.sasl_oauth_scope or None)


def _tls_context(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(kafka.ssl_cafile) if kafka.ssl_cafile else None)
        if kafka.ssl_certfile:
            context.load_cert_chain(str(kafka.ssl_certfile), str(kafka.ssl_keyfile) if kafka.ssl_keyfile else None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"ZIFS_KAFKA__SSL_CAFILE, SSL_CERTFILE or SSL_KEYFILE cannot be used: {error}") from error
    return context

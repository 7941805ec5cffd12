"""What Kafka's noes mean for the person who must act: who we are is not believed, or what we want is not granted."""

import asyncio
import ssl
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from schemas.errors import LogDeniedError, LogUnavailableError, UnauthorizedError
from streams.log.connection import bootstrap_servers, connection_options
from streams.settings import KafkaSettings

ASK_SECONDS = 5.0
ACLS = "`zuora-ifs topics acls` lists the rights of each process"
_KINDS = {
    TopicAuthorizationFailedError: "topic",
    GroupAuthorizationFailedError: "consumer group",
    ClusterAuthorizationFailedError: "cluster",
}


def said(error: BaseException) -> str:
    """Return the name of an error, and which right is missing if that is what it says."""
    name = type(error).__name__
    kind = next((kind for type_, kind in _KINDS.items() if isinstance(error, type_)), None)
    return f"{name}: a right to the {kind}{_names(error)} is missing; {ACLS}" if kind else name


def denial(error: BaseException) -> LogDeniedError | None:
    """Return a missing right in our words; None if the error is about something else."""
    return LogDeniedError(f"Kafka refuses: {said(error)}") if isinstance(error, tuple(_KINDS)) else None


def hidden(kafka: KafkaSettings, topics: list[str]) -> LogDeniedError:
    """Return that topics, whether they are there or not, cannot be seen."""
    return LogDeniedError(f"Kafka does not let {_who(kafka)} see {', '.join(topics)}: grant it; {ACLS}")


async def why_unreachable(kafka: KafkaSettings, error: BaseException) -> LogUnavailableError:
    """Ask a broker once more to learn why it cannot be reached: aiokafka logs the reason and raises another error."""
    reason: BaseException = error
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await _ask(kafka)
    except (KafkaError, OSError, TimeoutError) as found:
        reason = found
    where = bootstrap_servers(kafka)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return LogDeniedError(
            f"the certificate of Kafka at {where} is not trusted ({reason.verify_message}): "
            "ZIFS_KAFKA__SSL_CAFILE is to name the authority that signed it"
        )
    if isinstance(reason, UnsupportedSaslMechanismError):
        return LogDeniedError(
            f"Kafka at {where} does not offer ZIFS_KAFKA__SASL_MECHANISM {kafka.sasl_mechanism or 'PLAIN'}"
        )
    if isinstance(reason, SaslAuthenticationFailed | IllegalSaslStateError):
        return LogDeniedError(f"Kafka at {where} refuses the credentials of {_who(kafka)}: {_credentials(kafka)}")
    if isinstance(reason, AuthenticationFailedError):
        denied = isinstance(reason.__cause__, UnauthorizedError)
        return (LogDeniedError if denied else LogUnavailableError)(str(reason.args[0]))
    return LogUnavailableError(
        f"Kafka cannot be reached at {where} ({type(reason).__name__}): "
        "is it running, are address, security protocol and credentials right?"
    )


async def _ask(kafka: KafkaSettings) -> None:
    options: dict[str, Any] = connection_options(kafka)
    host, port, _ = collect_hosts(options.pop("bootstrap_servers"))[0]
    connection = await create_conn(host, port, request_timeout_ms=int(ASK_SECONDS * 1000), **options)
    try:
        if not (await connection.send(MetadataRequest([]))).brokers:
            # Without a token that may be refused (`require_brokers`) it has just started, and knows not even itself.
            raise IllegalSaslStateError if kafka.sasl_mechanism == "OAUTHBEARER" else KafkaConnectionError("no brokers")
    finally:
        connection.close()


def require_brokers(client: Any) -> None:
    """Check that a client of aiokafka that has started knows any broker.

    A refused token of OAUTHBEARER is told inside an answer of success (RFC 7628 3.2.2), which aiokafka does not look
    into; what the broker says next it takes for a cluster of no brokers.

    Raises:
        KafkaConnectionError: it knows none.

    """
    if not client.cluster.brokers():
        raise KafkaConnectionError("no brokers")


def _names(error: BaseException) -> str:
    """Topics and groups that an error of aiokafka is about: names, never payload."""
    names = error.args[0] if error.args else ""
    listed = sorted(map(str, names)) if isinstance(names, set | frozenset | list | tuple) else [str(names)]
    return f" {', '.join(listed)}" if any(listed) else ""


def _who(kafka: KafkaSettings) -> str:
    if kafka.security_protocol.startswith("SASL"):
        return (kafka.sasl_oauth_client_id if kafka.sasl_mechanism == "OAUTHBEARER" else kafka.sasl_username) or "us"
    return "the client certificate" if kafka.ssl_certfile else "anonymous clients"


def _credentials(kafka: KafkaSettings) -> str:
    if kafka.sasl_mechanism == "OAUTHBEARER":
        return "the token is not good for these brokers (issuer, audience, scope or keys)"
    return "correct ZIFS_KAFKA__SASL_USERNAME, SASL_PASSWORD or SASL_MECHANISM"

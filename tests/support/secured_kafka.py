"""A broker with TLS, SASL and ACLs: every mechanism on one listener, and nothing allowed that is not granted."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest, DescribeAclsRequest_v1
from cryptography.hazmat.primitives import serialization

from deploy.kafka.ports import free_port
from streams.log.topics import admin_client
from streams.settings import KafkaSettings
from tests.support.brokers import KafkaProcess
from tests.support.identity_provider import AUDIENCE, ISSUER, IdentityProvider
from tests.support.waiting import eventually

PASSWORD = "brokers-know-this-one"
PLAIN_USERS = ("setup", "ingress", *(f"lesser{number}" for number in range(10)))
SCRAM_USERS = ("worker", "console", "cli")
# Kafka's own numbers (org.apache.kafka.common.acl.AclOperation, ResourceType, PatternType, AclPermissionType).
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
RESOURCES = {"Topic": 2, "Group": 3}
ANY, LITERAL, ALLOW = 1, 3, 3


class ManyAcls(CreateAclsRequest):  # type: ignore[misc]
    """Makes many rights at once; aiokafka's own makes one."""

    def __init__(self, rights: list[tuple[Any, ...]]) -> None:
        self._rights = rights

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._rights)


class AllAcls(DescribeAclsRequest):  # type: ignore[misc]
    """Asks for every right there is; aiokafka misreads the answer of the newest version."""

    def __init__(self) -> None:
        super().__init__(ANY, None, ANY, None, None, ANY, ANY)

    def build(self, _: Any) -> Any:
        return super().build(DescribeAclsRequest_v1)


@dataclass
class SecuredKafka:
    """Where the broker is, and how each client gets in; `inside` is everything's own listener, which may do all."""

    inside: KafkaSettings
    servers: str
    cafile: Path
    provider: IdentityProvider
    log_file: Path

    def denied(self, name: str) -> list[str]:
        """Return what the broker has refused so far that has `name` in its name."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        return [line for line in lines if " is Denied " in line and name in line]

    def settings(self, user: str, mechanism: str = "PLAIN", **changed: Any) -> KafkaSettings:
        """Return how a user gets in from outside."""
        own: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": mechanism,
            "ssl_cafile": self.cafile,
            "partitions": 2,
            "replication_factor": 1,
        }
        if mechanism == "OAUTHBEARER":
            own |= {
                "sasl_oauth_token_url": f"{self.provider.url}".replace("/keys", "/token"),
                "sasl_oauth_client_id": user,
                "sasl_oauth_client_secret": PASSWORD,
            }
        else:
            own |= {"sasl_username": user, "sasl_password": PASSWORD}
        return KafkaSettings.model_validate(own | changed)

    async def grant(self, acls: Iterable[Mapping[str, str]]) -> None:
        """Grant rights, as `topics acls --json` lists them."""
        rights = [
            (
                RESOURCES[acl["resourceType"]],
                acl["resourceName"],
                LITERAL,
                acl["principal"],
                acl["host"],
                OPERATIONS[acl["operation"]],
                ALLOW,
            )
            for acl in acls
        ]
        async with admin_client(self.inside) as admin:
            answer = await admin._send_request(ManyAcls(rights))
            assert {code for code, _ in answer.creation_responses} == {0}, answer

            async def in_force() -> set[tuple[Any, ...]]:
                found = await admin._send_request(AllAcls())
                return {(kind, name, pattern, *acl) for kind, name, pattern, acls in found.resources for acl in acls}

            # The controller answers when it has written them down, the broker knows them a moment later.
            await eventually(in_force, lambda found: found >= set(rights))


def environment(kafka: KafkaSettings) -> dict[str, str]:
    """Return settings as a process reads them."""
    told = {name: getattr(value, "get_secret_value", lambda value=value: value)() for name, value in kafka if value}
    return {f"ZIFS_KAFKA__{name.upper()}": str(value) for name, value in told.items()}


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Run such a broker for as long as this is open."""
    provider, port = IdentityProvider(), free_port("127.0.0.1")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    key_set = folder / "keys.json"
    key_set.write_text(json.dumps({"keys": provider.published}))
    (folder / "broker.pem").write_bytes(_key_and_chain(authority))
    (folder / "further.properties").write_text(_properties(folder))
    options = ["--sasl-port", str(port), "--properties", str(folder / "further.properties")]
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        for user in SCRAM_USERS:
            options += ["--add-scram", f"{mechanism}=[name={user},password={PASSWORD}]"]
    broker = KafkaProcess(folder / "kafka", options=options)
    with pytest.MonkeyPatch.context() as patch:
        # Kafka reads keys from nowhere that its own command line does not allow.
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={key_set.as_uri()}"
        patch.setenv("JAVA_TOOL_OPTIONS", f"{allowed} -Dorg.apache.kafka.sasl.oauthbearer.allowed.files={key_set}")
        broker.start()
    try:
        inside = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, partitions=2, replication_factor=1)
        yield SecuredKafka(
            inside, f"127.0.0.1:{port}", folder / "authority.pem", provider, broker.data_dir / "kafka.log"
        )
    finally:
        broker.stop()


def _key_and_chain(authority: trustme.CA) -> bytes:
    """Return a PEM key store as Kafka takes it: the key in PKCS #8."""
    issued = authority.issue_cert("127.0.0.1")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return pem + b"".join(blob.bytes() for blob in issued.cert_chain_pems)


def _properties(folder: Path) -> str:
    modules = "org.apache.kafka.common.security"
    users = " ".join(f'user_{user}="{PASSWORD}"' for user in PLAIN_USERS)
    listener = "listener.name.sasl_ssl"
    settings = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # The listener inside, on this machine alone, is the controller's and this test's.
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        f"{listener}.ssl.keystore.type": "PEM",
        f"{listener}.ssl.keystore.location": folder / "broker.pem",
        f"{listener}.plain.sasl.jaas.config": f"{modules}.plain.PlainLoginModule required {users};",
        f"{listener}.scram-sha-256.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        f"{listener}.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        f"{listener}.oauthbearer.sasl.jaas.config": f"{modules}.oauthbearer.OAuthBearerLoginModule required;",
        f"{listener}.oauthbearer.sasl.server.callback.handler.class": (
            f"{modules}.oauthbearer.OAuthBearerValidatorCallbackHandler"
        ),
        "sasl.oauthbearer.jwks.endpoint.url": (folder / "keys.json").as_uri(),
        "sasl.oauthbearer.expected.issuer": ISSUER,
        "sasl.oauthbearer.expected.audience": AUDIENCE,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())

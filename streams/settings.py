"""Settings of every process, read once at the edge from the environment or a `.env` file.

Prefix `ZIFS_`, groups nested with `__`: `ZIFS_KAFKA__BOOTSTRAP_SERVERS`. A wrong or missing one is a
`SettingsError` of one line.
"""

import contextlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSettingError

from schemas.errors import SettingsError

Port = Annotated[int, Field(ge=0, le=65535)]


class Group(BaseModel):
    """A small group of settings; unknown names are refused so that a typing error is not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _secrets(value: object) -> object:
    """Return several secrets, so that a new one can be added before the old one goes.

    Separated by commas, or a JSON list where a secret has a comma of its own.
    """
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _listed(value: object) -> object:
    """Return what is separated by commas as a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class KafkaSettings(Group):
    """How to reach Kafka, and how topics are made."""

    bootstrap_servers: str | None = None
    """`host:port`, comma-separated."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_oauth_token_url: str | None = None
    """Where tokens of OAUTHBEARER are fetched with client credentials (RFC 6749 4.4)."""
    sasl_oauth_client_id: str | None = None
    sasl_oauth_client_secret: SecretStr | None = None
    sasl_oauth_scope: str | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    partitions: Annotated[int, Field(ge=1, le=1000)] = 12
    """Partitions of every keyed topic; never changed in place."""
    replication_factor: Annotated[int, Field(ge=1, le=7)] = 3
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$", max_length=100)] = ""
    """Put before every topic's name as it is."""


class TlsSettings(Group):
    """Of a door that speaks TLS itself; both files or none."""

    tls_certfile: Path | None = None
    """The chain in PEM, the server's own certificate first."""
    tls_keyfile: Path | None = None


class IngressSettings(TlsSettings):
    """The webhook's door."""

    host: str = "0.0.0.0"
    port: Port = 8080
    trusted_proxies: Annotated[list[IPvAnyNetwork], NoDecode, Field(default_factory=list)]
    """Addresses and networks, comma-separated, whose `X-Forwarded-*` headers are believed."""
    basic_username: str | None = None
    basic_password: Annotated[list[SecretStr], NoDecode, Field(default_factory=list)]
    """One or more, comma-separated, for rotation."""
    hmac_secret: Annotated[list[SecretStr], NoDecode, Field(default_factory=list)]
    """One or more, comma-separated, for rotation."""
    hmac_header: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$")] = "X-Zuora-Signature"
    hmac_algorithm: str = "sha256"
    hmac_encoding: Literal["hex", "base64"] = "hex"
    jwt_jwks_url: str | None = None
    """Where the identity provider publishes its keys (RFC 7517)."""
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_algorithms: str = "RS256"
    """One or more, comma-separated; asymmetric ones only."""
    jwt_required_scope: str | None = None
    jwt_required_claim: Annotated[str, Field(pattern=r"^[^=]+=.+$")] | None = None
    """`name=value`; a claim that is a list must hold the value."""
    allow_anonymous: bool = False
    max_body_bytes: Annotated[int, Field(ge=1024)] = 262_144
    requests_per_minute_per_source: Annotated[int, Field(ge=0)] = 60_000
    """0: no limit. What one process can answer: Zuora calls from few addresses, or all from a proxy's."""
    failures_per_minute_per_source: Annotated[int, Field(ge=0)] = 60
    """Refused credentials, signatures and tokens; 0: no limit."""

    _split = field_validator("basic_password", "hmac_secret", mode="before")(_secrets)
    _networks = field_validator("trusted_proxies", mode="before")(_listed)


class ConsoleSettings(TlsSettings):
    """The console's door."""

    host: str = "0.0.0.0"
    port: Port = 8081
    trusted_proxies: Annotated[list[IPvAnyNetwork], NoDecode, Field(default_factory=list)]
    """Addresses and networks, comma-separated, whose `X-Forwarded-*` headers are believed."""
    tokens: Annotated[list[SecretStr], NoDecode, Field(default_factory=list)]
    """`name:role:token` or `name:role:sha256:digest`, comma-separated; roles viewer, mapper, operator, admin."""
    session_secret: SecretStr | None = None
    """Sessions are sealed with it. None: with the token or client secret itself, or where only a digest is known, with
    what each process draws at its start."""
    base_url: str | None = None
    """Where people reach the console, such as https://ledger.example.com; single sign-on comes back there."""
    oidc_issuer: str | None = None
    """The identity provider of single sign-on, as its discovery document names it."""
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_scopes: str = "openid profile email"
    """Separated by spaces; `openid` is among them."""
    oidc_role_claim: str = "roles"
    """The claim of the ID token that roles are found in; dots lead into objects (`realm_access.roles`)."""
    oidc_roles: Annotated[list[str], NoDecode, Field(default_factory=list)]
    """`value:role`, comma-separated: which value of the claim gives which role; the highest counts."""

    _split = field_validator("tokens", "oidc_roles", mode="before")(_secrets)
    _networks = field_validator("trusted_proxies", mode="before")(_listed)


class WorkerSettings(TlsSettings):
    """The worker's health and metrics, and how soon it is missed."""

    host: str = "0.0.0.0"
    port: Port = 8082
    session_seconds: Annotated[float, Field(ge=1, le=300)] = 12
    """A worker that was killed is missed after this, and its partitions are handed over; within the broker's limits."""


class ZuoraSettings(Group):
    """How to reach Zuora, and how hard."""

    base_url: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    requests_per_minute: Annotated[int, Field(ge=1)] = 50_000
    concurrency: Annotated[int, Field(ge=1, le=200)] = 40


class IfsSettings(Group):
    """How to reach IFS Cloud, how hard, and what its vouchers look like."""

    base_url: str | None = None
    """Scheme and host, for example https://acme.ifs.cloud."""
    realm: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    projection: str = "VoucherHandling"
    posting: Literal["voucher-set", "entry-assistant"] = "voucher-set"
    """How vouchers get in: one POST to the projection's set, or the voucher entry assistant that IFS ships."""
    requests_per_minute: Annotated[int, Field(ge=1)] = 1_000
    batch_size: Annotated[int, Field(ge=1, le=200)] = 1
    voucher_type: str = "M"
    user_group: str | None = None
    currency_type: str = "1"
    rows_property: str = "VoucherPostingArray"
    etag: Literal["required", "if-given"] = "required"
    gl_projection: str = "GLVoucherRowsAnalysis"
    gl_entity_set: str = "GenLedVoucherRowSet"
    settle_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    """How long after a lost answer absence may be concluded."""
    mode: Literal["live", "shadow"] = "live"


class VaultSettings(Group):
    """The encrypted vault of credentials."""

    keys: Annotated[list[SecretStr], NoDecode, Field(default_factory=list)]
    """Fernet keys, comma-separated, newest first."""

    _split = field_validator("keys", mode="before")(_secrets)


class PrivacySettings(Group):
    """What is personal beside what the table of `streams.privacy.fields` has."""

    fields: Annotated[list[str], NoDecode, Field(default_factory=list)]
    """Further names of Zuora's fields, custom ones above all, comma-separated."""

    _split = field_validator("fields", mode="before")(_secrets)


class Settings(BaseSettings):
    """All settings of all processes; each reads the groups that it needs."""

    model_config = SettingsConfigDict(
        env_prefix="ZIFS_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    app_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,60}$")] = "zuora-ifs"
    """Consumer groups are `{app id}-collector`, `-bookkeeper`, `-poster`; our own topics start with it."""
    data_dir: Path = Path("data")
    """Local state: the broker's log, read models, RocksDB."""
    log_format: Literal["console", "json"] = "console"
    four_eyes: bool = False
    """Changes of mappings, rules and companies take effect when another person approves them in the console."""
    kafka: KafkaSettings = KafkaSettings()
    ingress: IngressSettings = Field(default_factory=lambda: IngressSettings.model_validate({}))
    console: ConsoleSettings = Field(default_factory=lambda: ConsoleSettings.model_validate({}))
    worker: WorkerSettings = WorkerSettings()
    zuora: ZuoraSettings = ZuoraSettings()
    ifs: IfsSettings = IfsSettings()
    privacy: PrivacySettings = Field(default_factory=lambda: PrivacySettings.model_validate({}))
    vault: VaultSettings = Field(default_factory=lambda: VaultSettings.model_validate({}))


def load_settings() -> Settings:
    """Read the settings of this process.

    Raises:
        SettingsError: one line that names the first wrong setting and what is wrong with it, without its value.

    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "ZIFS_" + "__".join(str(part).upper() for part in first["loc"])
        raise SettingsError(f"{name}: {first['msg']}") from None
    except (UnreadableSettingError, RecursionError):
        raise SettingsError(
            "a ZIFS_ variable of a whole group is not JSON: set its parts, such as ZIFS_KAFKA__…"
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(f".env is not UTF-8 at byte {error.start}") from None

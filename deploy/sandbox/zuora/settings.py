"""Settings of the Zuora sandbox, with the values that Zuora itself documents as defaults."""

import datetime as dt
from dataclasses import dataclass, field


@dataclass
class ZuoraSettings:
    """How strict, how fast and how forgetful the sandbox is."""

    client_id: str = "zuora-client"
    client_secret: str = field(default="zuora-secret", repr=False)
    #: Life of an access token in seconds (Zuora: 3600).
    token_seconds: float = 3600.0
    #: Requests a minute, as a sliding window (Zuora production: 50,000); 0 for no limit.
    requests_per_minute: int = 50_000
    #: The window in seconds; tests shorten it.
    window_seconds: float = 60.0
    #: Requests under way at once (Zuora default class: 40); 0 for no limit.
    concurrency: int = 40
    #: What `Retry-After` says when too many are under way (Zuora: 120).
    concurrency_retry_seconds: int = 120
    #: Time before every answer.
    latency_ms: float = 0.0
    #: A document created now is 404 for so long.
    lag_seconds: float = 0.0
    #: `refuse` answers 400 to a /v1 request without `Zuora-Version`; `record` only counts it, and its errors come as
    #: HTTP 200 with success:false, as tenants before 2024-05-20 do.
    missing_version: str = "refuse"
    #: How amounts of invoice items are written: `numbers`, `strings`, or `mixed` (some so, some so).
    item_amounts: str = "mixed"
    seed: int = 1
    #: The date of documents when none is asked for.
    business_date: dt.date = field(default_factory=lambda: dt.datetime.now(dt.UTC).date())
    #: Accounts generated at start.
    accounts: int = 0

    callout_url: str = ""
    callout_username: str = ""
    callout_password: str = field(default="", repr=False)
    #: True sends credentials at once; False waits for the 401 challenge, Zuora's default.
    callout_preemptive: bool = False
    callout_hmac_secret: str = field(default="", repr=False)
    callout_hmac_header: str = "X-Zuora-Signature"
    callout_hmac_algorithm: str = "sha256"
    #: `hex` or `base64`.
    callout_hmac_encoding: str = "hex"
    #: Put before the signature, `sha256=` for instance.
    callout_hmac_prefix: str = ""
    #: `json` (one object), `params` (keys named after the object, such as InvoiceId) or `xml`.
    callout_body: str = "json"
    #: `ids` or `numbers` in the field that names the object.
    callout_identifiers: str = "ids"
    #: Zuora gives up after 10 s to connect and 15 s to transfer.
    callout_timeout_seconds: float = 25.0
    #: Zuora: 3, at most 5.
    callout_attempts: int = 3
    #: Zuora: 30 minutes between attempts; a sandbox is in more of a hurry.
    callout_retry_seconds: float = 5.0
    #: Callouts under way at once.
    callout_concurrency: int = 20
    #: Shares (0..1) of notifications that are sent twice, or never.
    callout_duplicates: float = 0.0
    callout_drops: float = 0.0
    #: Each notification waits a random time up to this many seconds, so their order is lost.
    callout_shuffle_seconds: float = 0.0

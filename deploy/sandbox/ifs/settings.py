"""Settings of the IFS Cloud sandbox."""

from dataclasses import dataclass, field


@dataclass
class IfsSettings:
    """How strict, how fast and how generous the sandbox is."""

    client_id: str = "ifs-client"
    client_secret: str = field(default="ifs-secret", repr=False)
    #: Namespace in the token path `/auth/realms/{realm}/…`.
    realm: str = "sandbox"
    #: Life of an access token in seconds (IFS: 180).
    token_seconds: float = 180.0
    #: Requests a minute, as a sliding window over all projections; 0 for no limit. Token calls are not counted.
    requests_per_minute: int = 1000
    #: The window in seconds; tests shorten it.
    window_seconds: float = 60.0
    latency_ms: float = 0.0
    #: The IFS user that the client acts as.
    user: str = "BILLCONN"
    #: Name of the property that carries a voucher's rows.
    rows_property: str = "VoucherPostingArray"
    #: `required`: a POST to the set needs If-Match (428 without); `if-given`: only a wrong one is refused; `ignored`.
    etag: str = "required"
    #: Whose vouchers change the set's tag: `company` or `tenant`.
    etag_scope: str = "company"
    #: Status that new vouchers get: `Approved` or `AwaitingApproval` (the latter is not taken by the GL update).
    voucher_status: str = "Approved"
    #: HTTP status of business errors: `400`, `500`, or `mixed` (by error number, as seen in the field).
    business_error_status: str = "mixed"
    #: More elements than this in one answer is an internal error.
    most_elements: int = 5000
    #: Elements per page that the server itself cuts (`@odata.nextLink`); 0 for none.
    server_page_size: int = 0
    #: Whether `$batch` is offered.
    batch: bool = True

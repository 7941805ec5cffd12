"""Who a caller is: tables of headers, peers and trusted networks."""

from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from agents.proxies import Caller, caller

OURS = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]


def asked(peer: str, *headers: tuple[str, str]) -> Caller:
    request = make_mocked_request("POST", "/", headers=CIMultiDict(headers)).clone(remote=peer)
    return caller(request, OURS)


def forwarded(words: str, scheme: str | None = None) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", words), *([("X-Forwarded-Proto", scheme)] if scheme else [])]


@pytest.mark.parametrize(
    ("peer", "headers", "source", "secure"),
    [
        ("192.0.2.1", [], "192.0.2.1", False),
        ("192.0.2.1", forwarded("198.51.100.7", "https"), "192.0.2.1", False),
        ("10.0.0.1", forwarded("198.51.100.7", "https"), "198.51.100.7", True),
        ("10.0.0.1", forwarded("198.51.100.7", "http"), "198.51.100.7", False),
        ("10.0.0.1", forwarded("198.51.100.7"), "198.51.100.7", False),
        ("10.0.0.1", [], "10.0.0.1", False),
        ("10.0.0.1", [("X-Forwarded-Proto", "https")], "10.0.0.1", True),
        # What stands before the first address that is not ours, anybody may have written.
        ("10.0.0.1", forwarded("1.1.1.1, 198.51.100.7", "https, http"), "198.51.100.7", False),
        ("10.0.0.1", forwarded("198.51.100.7, 10.2.2.2", "https, http"), "198.51.100.7", True),
        ("10.0.0.1", forwarded("198.51.100.7, 10.2.2.2", "https"), "198.51.100.7", True),
        ("10.0.0.1", forwarded("10.3.3.3, 10.2.2.2", "HTTPS"), "10.3.3.3", True),
        ("10.0.0.1", [*forwarded("1.1.1.1"), *forwarded("198.51.100.7")], "198.51.100.7", False),
        ("10.0.0.1", forwarded("198.51.100.7:5678"), "198.51.100.7", False),
        ("10.0.0.1", forwarded("[2001:db9::1]:5678"), "2001:db9::1", False),
        ("10.0.0.1", forwarded("::ffff:198.51.100.7"), "198.51.100.7", False),
        ("::ffff:10.0.0.1", forwarded("198.51.100.7"), "198.51.100.7", False),
        ("2001:db8::5", forwarded("198.51.100.7"), "198.51.100.7", False),
        # What cannot be read is no reason to refuse a callout, which would not come again.
        ("10.0.0.1", forwarded("198.51.100.7, unknown"), "10.0.0.1", False),
        ("10.0.0.1", forwarded("unknown, 10.2.2.2"), "10.2.2.2", False),
        ("10.0.0.1", forwarded(" , ,"), "10.0.0.1", False),
        ("", forwarded("198.51.100.7"), "unknown", False),
    ],
)
def test_the_source_is_the_nearest_address_that_is_not_ours(
    peer: str,
    headers: list[tuple[str, str]],
    source: str,
    secure: bool,  # noqa: FBT001 - a table's column
) -> None:
    assert asked(peer, *headers) == Caller(source, secure)


def test_without_trusted_networks_nobody_is_believed() -> None:
    request = make_mocked_request("POST", "/", headers=dict(forwarded("198.51.100.7", "https")))

    assert caller(request.clone(remote="127.0.0.1"), []) == Caller("127.0.0.1", secure=False)

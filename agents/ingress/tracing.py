"""Where a trace begins: with the caller's, or with a new one (W3C Trace Context, section 3.2)."""

import re
from collections.abc import Mapping

from streams.log.messages import new_traceparent

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def trace_of(headers: Mapping[str, str]) -> str:
    """Return the request's `traceparent` if it is valid, else a new one."""
    given = headers.get("traceparent", "").strip()
    if _TRACEPARENT.fullmatch(given):
        return given
    return new_traceparent()

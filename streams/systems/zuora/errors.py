"""What Zuora's ways of saying no mean: one table of its categories, one function that applies it.

A reason's code is a resource (six digits) and a category (two): 50000040 is "not found". Below Zuora-Version
2024-05-20, and for some tenants still, an error comes as 200 with `success: false`, so a body is looked at whatever
its status.
"""

from collections.abc import Mapping
from typing import Any

from schemas.errors import (
    FarSideError,
    ForbiddenError,
    NotFoundError,
    RefusedError,
    TroubleError,
    UnauthorizedError,
    UnreadableError,
)
from streams.systems.retry import LONGEST_RETRY_AFTER_SECONDS, retry_after_seconds
from streams.systems.session import Answer

LONGEST_WORDS = 300
"""Characters of Zuora's words that go into events and logs."""
SIGN_IN_FIRST = "90000011"
"""Code of "this resource is protected, please sign in first", also seen in a 200."""

CATEGORIES: dict[str, type[FarSideError]] = {
    "10": ForbiddenError,  # permission
    "11": UnauthorizedError,
    "20": RefusedError,  # value
    "21": RefusedError,  # unknown field
    "22": RefusedError,  # missing field
    "23": RefusedError,  # missing parameter
    "27": RefusedError,  # query parameter
    "30": RefusedError,  # business rule
    "40": NotFoundError,
    "45": RefusedError,  # method
    "50": TroubleError,  # locked
    "60": TroubleError,  # internal
    "61": TroubleError,  # temporary
    "70": TroubleError,  # limit
    "90": RefusedError,  # malformed
    "99": TroubleError,  # integration
}
STATUSES: dict[int, type[FarSideError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    408: TroubleError,
    409: TroubleError,
    429: TroubleError,
}


_OF_ZUORA = frozenset({"success", "Success", "reasons", "records"})
"""One of these is in every 404 of Zuora's; gateways answer in JSON too, such as `{"message": "no Route matched"}`."""


class NoSuchObjectError(NotFoundError):
    """Zuora itself says that there is no such object: not a proxy, not a wrong address."""


class AnotherDocumentError(NotFoundError):
    """What was answered is not what was asked for, as by a mixed-up cache; what was asked for was not found."""


def refuses_token(answer: Answer) -> bool:
    """Tell a 401 in either of its forms: the status, or the code in the body of a 200."""
    if answer.status != 200:
        return answer.status == 401
    return SIGN_IN_FIRST.encode() in answer.body and SIGN_IN_FIRST in _codes(_object(answer))


def checked(answer: Answer) -> dict[str, Any]:
    """Return the JSON object of a good answer.

    Raises:
        NoSuchObjectError, ForbiddenError, RefusedError: what a person must know, in Zuora's words.
        TroubleError: limits (with the wait that Zuora asks for), its own faults, and what is not from Zuora at all.

    """
    body = _object(answer)
    if answer.status == 200 and body is not None and _success(body):
        return body
    raise _error(answer, body)


def _error(answer: Answer, body: dict[str, Any] | None) -> FarSideError:
    kind, codes = _kind(answer.status, body), _codes(body)
    said = _said(answer.status, body)
    if kind is TroubleError:
        wait = _least_wait(answer.headers) if answer.status == 429 or _category(codes) == "70" else None
        return TroubleError(said, status=answer.status, retry_after=wait or retry_after_seconds(answer.headers))
    if kind is RefusedError:
        return RefusedError(said, status=answer.status, code=codes[0] if codes else None)
    if kind is NotFoundError and body is not None and not _OF_ZUORA.isdisjoint(body):
        return NoSuchObjectError(said, status=answer.status)
    return kind(said, status=answer.status)


def _kind(status: int, body: dict[str, Any] | None) -> type[FarSideError]:
    """Weigh status and category: limits and faults are passing whatever category they carry."""
    if status >= 500 or status in (408, 429):
        return TroubleError
    if (category := _category(_codes(body))) in CATEGORIES:
        return CATEGORIES[category]
    if status == 200:
        # Without a body of Zuora's it is some proxy's page; with one it is a no for a reason we do not know.
        return TroubleError if body is None else RefusedError
    # A redirect or other answer that Zuora does not give: the address is wrong, which is not the record's fault.
    return STATUSES.get(status, RefusedError if 400 <= status < 500 else TroubleError)


def _object(answer: Answer) -> dict[str, Any] | None:
    try:
        body = answer.json()
    except UnreadableError:
        return None
    return body if isinstance(body, dict) else None


def _success(body: Mapping[str, Any]) -> bool:
    """Older calls say `Success`, object queries say nothing unless there are reasons."""
    success = body.get("success", body.get("Success", "reasons" not in body))
    return str(success).lower() != "false"


def _reasons(body: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    reasons = (body or {}).get("reasons")
    return [reason for reason in reasons if isinstance(reason, dict)] if isinstance(reasons, list) else []


def _codes(body: Mapping[str, Any] | None) -> list[str]:
    return [str(reason.get("code", "")) for reason in _reasons(body)]


def _category(codes: list[str]) -> str:
    """Return the last two digits of the first code; the rate limit's whole code is 70."""
    return codes[0][-2:] if codes and codes[0].isdecimal() else ""


def _words(body: Mapping[str, Any]) -> str:
    messages = [str(reason.get("message", "")) for reason in _reasons(body)] or [str(body.get("message", ""))]
    return " ".join("; ".join(filter(None, messages)).split())[:LONGEST_WORDS]


def _said(status: int, body: Mapping[str, Any] | None) -> str:
    if body is not None:
        return f"Zuora: {_words(body)}" if _words(body) else f"Zuora answered {status} without a reason"
    hint = "; is ZIFS_ZUORA__BASE_URL right?" if status < 500 and status not in (401, 429) else ""
    return f"Zuora answered {status} with something that is not Zuora's JSON{hint}"


def _least_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait after a 429: `Retry-After` where too many ran at once, else `RateLimit-Reset`.

    Every answer tells when the minute ends; that is the wait only where nothing of the minute remains.
    """
    asked = retry_after_seconds(headers)
    reset = headers.get("RateLimit-Reset", "").strip()
    if headers.get("RateLimit-Remaining", "0").strip() != "0" or not (reset.isascii() and reset.isdigit()):
        return asked
    return min(max(float(reset), asked or 0.0), LONGEST_RETRY_AFTER_SECONDS)

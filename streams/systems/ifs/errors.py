"""What an answer of IFS Cloud means: one function judges it, one table says what may be done next.

Errors look like `{"error": {"code", "message", "details": [{"message": "ORA-20110: Voucher.PERCLOSED: text"}]}}`, but
details may be missing, 401 and 403 may be plain text, and gateways answer with HTML or nothing. The HTTP status alone
does not tell a passing fault from a refusal: business errors come under 400 and 500 alike.
"""

import re
from dataclasses import dataclass
from enum import Enum

from schemas.errors import (
    FarSideError,
    ForbiddenError,
    NotFoundError,
    PreconditionError,
    RefusedError,
    SettingsError,
    TroubleError,
    UnauthorizedError,
    UncertainError,
    UnreadableError,
)
from streams.systems.ifs.refusals import DATABASE, Explanation, explain
from streams.systems.retry import retry_after_seconds
from streams.systems.session import Answer

LONGEST_WORDS, LONGEST_CODE = 500, 100
"""Characters of IFS's words that go into events and logs."""


class Verdict(Enum):
    """What an answer means for the request that it answers."""

    DONE = "done"
    STALE = "stale"
    """Not done: the tag is old. Read again and decide again."""
    BUSY = "busy"
    """Not done: locked, overloaded or over the limit. The same again later."""
    DATABASE = "database-error"
    """Not done: the database rolled back. A few tries, then a person."""
    UNCERTAIN = "uncertain"
    """Perhaps done. Only a look-up can tell."""
    DUPLICATE = "duplicate"
    """Not done because it is there already: look whether it is ours."""
    UNAUTHORIZED = "unauthorized"
    """Not done: the token was refused, also a fresh one."""
    TAG_DEMANDED = "tag-demanded"
    """Not done: IFS demands an If-Match that we had none for."""
    REFUSED = "refused"
    """Not done, and never will be as it is: a person must act."""


BY_NUMBER: dict[int, Verdict] = {
    20112: Verdict.DUPLICATE,
    20113: Verdict.BUSY,  # FND_LOCKED, "please retry"
    20114: Verdict.STALE,  # FND_MODIFIED: changed between the tag's check and the row's lock
    1722: Verdict.REFUSED,  # not a number: no try will change that
    # IFS lost its own connection to the database, so it does not know either whether the commit went through.
    1092: Verdict.UNCERTAIN,  # the instance ended
    3113: Verdict.UNCERTAIN,  # end-of-file on communication channel
    3135: Verdict.UNCERTAIN,  # connection lost contact
    12570: Verdict.UNCERTAIN,  # network session: reading
    12571: Verdict.UNCERTAIN,  # network session: writing
    17002: Verdict.UNCERTAIN,  # I/O error of the driver
    17410: Verdict.UNCERTAIN,  # no more data to read from socket
    25408: Verdict.UNCERTAIN,  # can not safely replay call
}
BY_CODE: dict[str, Verdict] = {
    "MI_MODIFIED_ERROR": Verdict.BUSY,  # projection metadata renewed after a deployment; passes in seconds
    "ODP_MISSING_PRECONDITION": Verdict.TAG_DEMANDED,
    "ODP_OPERATION_TIMEOUT": Verdict.UNCERTAIN,
    # Requests that the projection does not take, whatever the status: some of these come as 500.
    "ODP_ILLEGAL_STATE": Verdict.REFUSED,
    "ODP_NOT_IMPLEMENTED": Verdict.REFUSED,
    "ODP_DESERIALIZATION_ERROR": Verdict.REFUSED,
    "ODP_UNSUPPORTED_URL": Verdict.REFUSED,
    "ODP_RESOURCE_NOTFOUND": Verdict.REFUSED,
    "MI_METADATA_NOTFOUND": Verdict.REFUSED,
    "EXPRESSION_PROPERTY_NOT_IN_TYPE": Verdict.REFUSED,
    "INVALID_VALUE_FOR_PROPERTY": Verdict.REFUSED,
    "CSRF_ERROR": Verdict.REFUSED,
}
BY_KEY: dict[str, Verdict] = {
    "VOUCHERISEXIST": Verdict.DUPLICATE,
    "FND_LOCKED": Verdict.BUSY,
    "FND_MODIFIED": Verdict.STALE,
}
BY_STATUS: dict[int, Verdict] = {
    401: Verdict.UNAUTHORIZED,
    408: Verdict.UNCERTAIN,
    412: Verdict.STALE,
    423: Verdict.BUSY,
    428: Verdict.TAG_DEMANDED,
    429: Verdict.BUSY,
    503: Verdict.BUSY,
    500: Verdict.UNCERTAIN,
    502: Verdict.UNCERTAIN,
    504: Verdict.UNCERTAIN,
    501: Verdict.REFUSED,
}
_BUSINESS_NUMBERS = range(20_000, 21_000)
"""Raised by IFS's own rules (Oracle leaves them to applications); all others are the database's, such as ORA-30006."""

_ORA = re.compile(r"ORA-(?P<number>\d{4,5}):\s*(?:(?P<lu>\w+)\.(?P<key>\w+):\s*)?(?P<text>[^\n]*)")
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer means; `code` is such as `ORA-20110 UserGroupPeriod.USRGRPPER`, `words` are IFS's own."""

    verdict: Verdict
    status: int | None
    words: str
    explanation: Explanation
    code: str | None = None
    retry_after: float | None = None


def judge(answer: Answer) -> Judgement:
    """Tell what an answer means; the only place where IFS's answers become ours."""
    is_good = 200 <= answer.status < 300
    if is_good and not _tells_error(answer):
        return Judgement(Verdict.DONE, answer.status, "", explain(key=None, number=None, status=answer.status))
    code, message, details = _parts(answer)
    found = next((match for text in (*details, message) if (match := _ORA.search(text))), None)
    number = int(found["number"]) if found else None
    key = found["key"] if found else None
    # An error under a good status may have come up when all was done: no code proves there that nothing was.
    verdict = Verdict.UNCERTAIN if is_good else _verdict(answer.status, code, number, key)
    explanation = explain(key=key, number=number, status=answer.status)
    return Judgement(
        verdict,
        answer.status,
        _words(details, message, answer.status),
        DATABASE if verdict is Verdict.DATABASE else explanation,
        _code(found) or (code[:LONGEST_CODE] if code else None),
        retry_after_seconds(answer.headers),
    )


def lost(error: FarSideError) -> Judgement:
    """Return the judgement of a write without an answer: lost on the way (`UncertainError`), or never sent."""
    if isinstance(error, UncertainError):
        verdict = Verdict.UNCERTAIN
    else:
        verdict = Verdict.BUSY if error.retriable else Verdict.REFUSED
    explanation = explain(key=None, number=None, status=0)
    return Judgement(verdict, error.status, str(error), explanation, retry_after=error.retry_after)


def read_error(judgement: Judgement, what: str) -> FarSideError | SettingsError:
    """Return the error of a read that was not answered: `what` says what was asked, for the person who must act."""
    told = f"IFS {what}: {judgement.status} {judgement.code or ''} {judgement.words}".replace("  ", " ").strip()
    match judgement:
        case Judgement(verdict=Verdict.UNAUTHORIZED):
            return UnauthorizedError(told, status=judgement.status)
        case Judgement(verdict=Verdict.BUSY | Verdict.UNCERTAIN | Verdict.DATABASE):
            return TroubleError(told, status=judgement.status, retry_after=judgement.retry_after)
        case Judgement(verdict=Verdict.STALE):
            return PreconditionError(told, status=judgement.status)
        case Judgement(status=403):
            return ForbiddenError(told, status=403)
        case Judgement(status=404):
            return NotFoundError(told, status=404)
    return RefusedError(told, status=judgement.status, code=judgement.code)


def _verdict(status: int, code: str | None, number: int | None, key: str | None) -> Verdict:
    if key in BY_KEY:
        return BY_KEY[key]
    if number is not None:
        other = Verdict.REFUSED if number in _BUSINESS_NUMBERS else Verdict.DATABASE
        return BY_NUMBER.get(number, other)
    if code in BY_CODE:
        return BY_CODE[code]
    # 5xx that nobody told us about may come from anything on the way: only a look-up can tell.
    # So may a redirect: to a page that says "sign in", or to what was just done.
    is_refusal = 400 <= status < 500
    return BY_STATUS.get(status, Verdict.REFUSED if is_refusal else Verdict.UNCERTAIN)


def _parts(answer: Answer) -> tuple[str | None, str, list[str]]:
    """Return code, message and details' messages, whatever shape the body has."""
    try:
        body = answer.json()
    except UnreadableError:
        return None, _plain(answer.body), []
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str):
        return None, error, []
    if not isinstance(error, dict):
        return None, _plain(answer.body), []
    details = error.get("details")
    told = [str(detail.get("message") or "") for detail in details or () if isinstance(detail, dict)]
    return _text(error.get("code")), _text(error.get("message")) or "", [text for text in told if text]


def _tells_error(answer: Answer) -> bool:
    """Tell an error under a good status: it came up after that was sent, or a gateway gives all errors so.

    With an empty list beside it, that would be taken for a proof that there is no voucher.
    """
    if b'"error"' not in answer.body:
        return False
    try:
        body = answer.json()
    except UnreadableError:
        return False
    return isinstance(body, dict) and bool(body.get("error"))


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and value != "" else None


def _plain(body: bytes) -> str:
    """Return the words of a page of HTML or of plain text, on one line."""
    text = body[:20_000].decode("utf-8", errors="replace")
    text = re.sub(r"(?is)<(script|style|head)\b.*?</\1>", " ", text)
    return " ".join(_TAG.sub(" ", text).split())


def _words(details: list[str], message: str, status: int) -> str:
    words = details[0] if details else message
    return words[:LONGEST_WORDS] or f"answered {status} without a word"


def _code(found: re.Match[str] | None) -> str | None:
    if not found:
        return None
    return f"ORA-{found['number']}" + (f" {found['lu']}.{found['key']}" if found["key"] else "")

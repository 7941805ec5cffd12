"""`$batch` as IFS documents it: multipart/mixed, parts in order, a change set is one transaction, no reads inside it.

Tags of a change set are checked against the state at its start: all its vouchers may carry the tag that was read
before.
Parts after a failed one are not run unless `Prefer: odata.continue-on-error` asks for it (OData 4.01 11.7.7).
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from aiohttp import web

from deploy.sandbox.exact import Json, dumps
from deploy.sandbox.ifs import booking
from deploy.sandbox.ifs.errors import OdataError
from deploy.sandbox.ifs.ledger import Voucher
from deploy.sandbox.ifs.state import BOOKING_FAULTS, SANDBOX, IfsSandbox

_LINE = re.compile(rb"^(GET|POST|PATCH|PUT|DELETE) (\S+) HTTP/1\.1$")
_REASONS = {200: "OK", 201: "Created", 204: "No Content"}


@dataclass(frozen=True)
class Part:
    """One request of a batch."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    content_id: str = ""


@dataclass(frozen=True)
class ChangeSet:
    """Requests that are booked together or not at all."""

    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """The answer to one part."""

    status: int
    body: Json | None
    headers: dict[str, str] = field(default_factory=dict)
    content_id: str = ""


async def post_batch(request: web.Request) -> web.StreamResponse:
    """Answer `POST …/$batch`: 200 with one part for every request, and for a failed change set one in all."""
    sandbox = request.app[SANDBOX]
    if not sandbox.settings.batch:
        raise OdataError(501, "ODP_NOT_IMPLEMENTED", "$batch is not offered")
    operations = read_batch(await request.read(), request.headers.get("Content-Type", ""))
    sandbox.counts["batches"] += 1
    fault = sandbox.faults.take("POST", request.path, BOOKING_FAULTS)
    if fault is not None and fault.kind == "other-writer":
        for company in sandbox.companies:
            booking.write_as_other(sandbox, company)
    if fault is not None and fault.kind == "commit-late":
        return await booking.late(sandbox, request, fault, _booking_of(sandbox, request, operations))
    answers = _run_all(sandbox, request, operations)
    if fault is not None and fault.kind == "commit-then-drop":
        return booking.drop(request)
    if fault is not None and fault.kind == "commit-then-504":
        raise booking.timed_out(fault.seconds)
    return _written(answers)


def read_batch(raw: bytes, content_type: str) -> list[Part | ChangeSet]:
    """Take a batch apart. Raises OdataError 400 for what is no batch."""
    boundary = _boundary(content_type)
    if boundary is None:
        raise OdataError(415, "ODP_DESERIALIZATION_ERROR", "The content type must be multipart/mixed with a boundary")
    operations: list[Part | ChangeSet] = []
    for section in _sections(raw, boundary):
        headers, body = _head_and_body(section)
        inner = _boundary(headers.get("content-type", ""))
        if inner is None:
            operations.append(_part(headers, body))
        else:
            operations.append(ChangeSet([_part(*_head_and_body(each)) for each in _sections(body, inner)]))
    return operations


def _boundary(content_type: str) -> bytes | None:
    match = re.match(r'multipart/mixed\s*;.*?boundary="?([^";]+)"?', content_type, re.IGNORECASE)
    return match.group(1).encode() if match else None


def _sections(raw: bytes, boundary: bytes) -> list[bytes]:
    # A line end is put before the first boundary too: a pattern that begins with fixed bytes is found faster by far.
    pieces = re.split(rb"\r\n--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r\n|$)", b"\r\n" + raw)
    if len(pieces) < 3 or b"--" not in pieces[1::2]:
        raise OdataError(
            400, "ODP_DESERIALIZATION_ERROR", "The batch does not end with its boundary (lines end with CRLF)"
        )
    return pieces[2:-1:2]


def _head_and_body(section: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = section.partition(b"\r\n\r\n")
    headers = {}
    for line in filter(None, head.split(b"\r\n")):
        name, _, value = line.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, body


def _part(headers: dict[str, str], body: bytes) -> Part:
    if headers.get("content-type", "").lower() != "application/http":
        raise OdataError(400, "ODP_DESERIALIZATION_ERROR", "A part's content type must be application/http")
    line, _, rest = body.partition(b"\r\n")
    match = _LINE.match(line)
    if match is None:
        raise OdataError(400, "ODP_DESERIALIZATION_ERROR", f"{line.decode(errors='replace')} is no request line")
    # A request without headers begins its blank line at once.
    inner, content = ({}, rest[2:]) if rest.startswith(b"\r\n") else _head_and_body(rest)
    return Part(match[1].decode(), match[2].decode(), inner, content, headers.get("content-id", ""))


def _run_all(
    sandbox: IfsSandbox, request: web.Request, operations: list[Part | ChangeSet]
) -> list[list[Answer] | Answer]:
    go_on = "continue-on-error" in request.headers.get("Prefer", "")
    answers: list[list[Answer] | Answer] = []
    for operation in operations:
        done = (
            _change(sandbox, request, operation)
            if isinstance(operation, ChangeSet)
            else _read(sandbox, request, operation)
        )
        answers.append(done)
        if isinstance(done, Answer) and done.status >= 400 and not go_on:
            break
    return answers


def _read(sandbox: IfsSandbox, request: web.Request, part: Part) -> Answer:
    """A part outside of change sets: a read, or a single change."""
    if part.method != "GET":
        done = _change(sandbox, request, ChangeSet([part]))
        return done if isinstance(done, Answer) else done[0]
    # Not at module level: the reads of `api` route batches to here.
    from deploy.sandbox.ifs import api  # noqa: PLC0415

    try:
        path, _, raw_query = part.target.partition("?")
        body, tag = api.answer(sandbox, api.projection_of(request), _relative(path), raw_query)
    except OdataError as error:
        return Answer(error.status, error.body(), content_id=part.content_id)
    return Answer(200, body, {"ETag": tag} if tag else {}, part.content_id)


def _relative(path: str) -> str:
    return unquote(path.rpartition(".svc/")[2].removeprefix("/"))


def _change(sandbox: IfsSandbox, request: web.Request, change_set: ChangeSet) -> list[Answer] | Answer:
    """Book all vouchers of a change set or none; one error answer stands for all."""
    checked = _all_checked(sandbox, request, change_set)
    if isinstance(checked, Answer):
        return checked
    booked = [
        (booking.book(sandbox, header, rows), part)
        for (header, rows), part in zip(checked, change_set.parts, strict=True)
    ]
    return [_created(request, voucher, part) for voucher, part in booked]


def _all_checked(
    sandbox: IfsSandbox, request: web.Request, change_set: ChangeSet
) -> list[tuple[Json, list[Json]]] | Answer:
    checked = []
    for part in change_set.parts:
        try:
            checked.append(_checked(sandbox, request, part))
        except OdataError as error:
            return Answer(error.status, error.body(), error.headers or {}, part.content_id)
    return checked


def _booking_of(sandbox: IfsSandbox, request: web.Request, operations: list[Part | ChangeSet]) -> Callable[[], object]:
    """Check all change sets now; return what books those that keep the rules, whatever is booked in between."""
    checked = [_all_checked(sandbox, request, each) for each in operations if isinstance(each, ChangeSet)]
    vouchers = [voucher for each in checked if not isinstance(each, Answer) for voucher in each]
    return lambda: [booking.book(sandbox, header, rows) for header, rows in vouchers]


def _checked(sandbox: IfsSandbox, request: web.Request, part: Part) -> tuple[Json, list[Json]]:
    if part.method == "GET":
        raise OdataError(400, "ODP_UNSUPPORTED_URL", "A change set holds no GET")
    if (part.method, request.match_info["projection"], _relative(part.target)) != (
        "POST",
        "VoucherHandling",
        "VoucherSet",
    ):
        raise OdataError(500, "ODP_ILLEGAL_STATE", f"{part.method} {part.target} is not offered here.")
    sandbox.counts["posts"] += 1
    content_type = part.headers.get("content-type", "").partition(";")[0].strip()
    body = booking.read_body(part.body.strip(), content_type)
    booking.require_precondition(sandbox, body, part.headers.get("if-match"))
    text_numbers = "ieee754compatible=true" in part.headers.get("content-type", "").lower()
    return booking.checked(sandbox, body, text_numbers=text_numbers)


def _created(request: web.Request, voucher: Voucher, part: Part) -> Answer:
    headers = {"Location": booking.location(f"http://{request.host}", voucher), "ETag": voucher.etag()}
    return Answer(201, {"@odata.etag": voucher.etag(), **voucher.header}, headers, part.content_id)


def _written(answers: list[list[Answer] | Answer]) -> web.Response:
    boundary = f"batch_{secrets.token_hex(8)}"
    parts = []
    for each in answers:
        if isinstance(each, Answer):
            parts.append(_as_part(each))
        else:
            inner = f"changeset_{secrets.token_hex(8)}"
            joined = b"".join(b"--" + inner.encode() + b"\r\n" + _as_part(answer) for answer in each)
            head = f"Content-Type: multipart/mixed; boundary={inner}\r\n\r\n".encode()
            parts.append(head + joined + b"--" + inner.encode() + b"--\r\n")
    raw = b"".join(b"--" + boundary.encode() + b"\r\n" + part for part in parts) + b"--" + boundary.encode() + b"--\r\n"
    headers = {"Content-Type": f"multipart/mixed; boundary={boundary}", "OData-Version": "4.0"}
    return web.Response(body=raw, status=200, headers=headers)


def _as_part(answer: Answer) -> bytes:
    body = dumps(answer.body) if answer.body is not None else b""
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if answer.content_id:
        lines.append(f"Content-ID: {answer.content_id}")
    status = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Error')}", "Content-Type: application/json"]
    status += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in answer.headers.items())]
    return "\r\n".join([*lines, "", *status, "", ""]).encode() + body + b"\r\n"

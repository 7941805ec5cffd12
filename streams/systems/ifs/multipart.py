"""`$batch` on the wire: requests written as multipart/mixed, and the answers in it read back (OData 4.0 part 1, 11.7).

Requests of a change set are done together or not at all. Nothing is guessed: an answer in which anything is missing or
broken is unreadable as a whole.
"""

import io
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.generator import BytesGenerator
from email.message import Message

from multidict import CIMultiDict, CIMultiDictProxy

from schemas.errors import UnreadableError
from streams.systems.session import Answer

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (?P<status>\d{3})(?: [^\r\n]*)?\r?\n")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_ON_THE_WIRE = policy.compat32.clone(linesep="\r\n", max_line_length=None)
"""As `policy.HTTP`, but our few headers are written as they are: to parse and fold them takes 0.4 ms a voucher."""
_SECRET_BYTES = 16
"""Of a boundary: nobody who writes a text into a voucher can guess it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A write of a change set; `path` is relative to the projection."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """The answer to one part, and which one: the number of the part from 1; None if that was not told."""

    answer: Answer
    number: int | None


def write_change_set(parts: Sequence[Part]) -> tuple[str, bytes]:
    """Return the content type and the body of a batch that holds one change set with these writes, numbered from 1."""
    change_set, batch = _container("changeset"), _container("batch")
    for number, part in enumerate(parts, 1):
        change_set.attach(_part(_request(part), number))
    batch.attach(change_set)
    written = io.BytesIO()
    BytesGenerator(written, mangle_from_=False).flatten(batch)
    head, _, body = written.getvalue().partition(b"\r\n\r\n")
    return head.decode().partition(": ")[2], body


LONGEST_LENGTH = 18
"""Digits of a length or of a part's number."""


def read_change_set(answer: Answer) -> list[PartAnswer] | Answer:
    """Return what a batch with one change set was answered: an answer for each write, or one for all of them.

    Raises:
        UnreadableError: it is no such answer, or not all of it.

    """
    [inner] = _parts_of(_message(answer.headers.get("Content-Type", ""), answer.body), expected=1)
    if inner.get_content_maintype() != "multipart":
        return _part_answer(inner).answer
    return [_part_answer(one) for one in _parts_of(inner)]


def _container(kind: str) -> Message:
    made: Message = Message(policy=_ON_THE_WIRE)
    made["Content-Type"] = f"multipart/mixed; boundary={kind}_{secrets.token_hex(_SECRET_BYTES)}"
    return made


def _part(raw: bytes, number: int) -> Message:
    made: Message = Message(policy=_ON_THE_WIRE)
    made["Content-Type"] = "application/http"
    made["Content-Transfer-Encoding"] = "binary"
    made["Content-ID"] = str(number)
    made.set_payload(raw.decode("ascii", "surrogateescape"))
    return made


def _request(part: Part) -> bytes:
    lines = [f"POST {part.path} HTTP/1.1", *(f"{name}: {value}" for name, value in part.headers.items()), "", ""]
    return "\r\n".join(lines).encode() + part.body


def _message(content_type: str, body: bytes) -> Message:
    if not content_type.isascii() or not content_type.isprintable():
        raise UnreadableError("a batch's answer without a content type")
    return message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)


def _parts_of(message: Message, *, expected: int | None = None) -> list[Message]:
    parts = list(_attached(message))
    if message.get_content_type() != "multipart/mixed" or message.defects or not parts:
        raise UnreadableError("a batch's answer that is no multipart/mixed, or broke off")
    if expected is not None and len(parts) != expected:
        raise UnreadableError(f"a batch's answer of {len(parts)} parts instead of {expected}")
    return parts


def _attached(message: Message) -> Iterator[Message]:
    payload = message.get_payload()
    return (part for part in payload if isinstance(part, Message)) if isinstance(payload, list) else iter(())


def _part_answer(part: Message) -> PartAnswer:
    raw = part.get_payload(decode=True)
    if part.get_content_type() != "application/http" or part.defects or not isinstance(raw, bytes):
        raise UnreadableError(f"a batch's answer with a part of {part.get_content_type()}")
    line = _STATUS_LINE.match(raw)
    if line is None:
        raise UnreadableError("a batch's answer with a part without a status line")
    head, body = _head_and_body(raw[line.end() :])
    headers = CIMultiDict((name, str(value)) for name, value in message_from_bytes(head).items())
    length = headers.get("Content-Length", "").strip()
    if length.isdecimal():
        if len(length) > LONGEST_LENGTH or len(body) < int(length):
            raise UnreadableError("a batch's answer with a part that broke off")
        body = body[: int(length)]
    number = (part.get("Content-ID") or headers.get("Content-ID") or "").strip().strip("<>")
    answer = Answer(int(line["status"]), CIMultiDictProxy(headers), body)
    return PartAnswer(answer, int(number) if number.isdecimal() and len(number) <= LONGEST_LENGTH else None)


def _head_and_body(raw: bytes) -> tuple[bytes, bytes]:
    if raw.startswith((b"\r\n", b"\n")):  # no headers: the blank line comes at once
        return b"", raw.lstrip(b"\r").removeprefix(b"\n")
    blank = _BLANK_LINE.search(raw)
    return (raw, b"") if blank is None else (raw[: blank.start()], raw[blank.end() :])

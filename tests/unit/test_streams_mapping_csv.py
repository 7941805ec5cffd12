"""The mapping file: what it takes, what it refuses and in which words, and that it comes back as it went in."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.mappings import AccountMappingSet, ChartRuleSet
from streams.mapping_csv import check_removal, parse_mappings, render_mappings

AT = datetime(2026, 3, 1, tzinfo=UTC)
HEADER = (
    "kind,zuora_account_id,company,match_on,match_value,gl_account,cost_center,code_c,code_d,code_e,code_f,code_g,"
    "code_h,code_i,code_j,currency,gateway,deferred_account,comment\n"
)
EVERY_KIND = HEADER + (
    "account,8ad0,10,,,1510,100,9,,,,,,,,,,,first customers\n"
    "product,,10,sku,ANL,3010,200,,,,,,,,,,,2970,\n"
    "product,,10,accounting_code,(none),3099,,,,,,,,,,,,,\n"
    "tax,,10,,(none),2699,,,,,,,,,,,,,\n"
    'tax,,10,,"VAT 25 %, reduced",2610,,,,,,,,,,,,,\n'
    "cash,,10,,,1930,,,,,,,,,,EUR,,,\n"
    "cash,,10,,,1935,,,,,,,,,,EUR,8a12,,\n"
    "unapplied,,10,,,2420,,,,,,,,,,,,,\n"
    "rounding,,10,,,3740,,,,,,,,,,,,,Öresund\n"
)


def parse(text: str | bytes) -> tuple[list[AccountMappingSet | ChartRuleSet], list[str]]:
    content = text if isinstance(text, bytes) else text.encode()
    lines, errors = parse_mappings(content, actor="maria", at=AT)
    return [line.event for line in lines], [str(error) for error in errors]


def test_every_kind_is_read_and_written_back_byte_for_byte() -> None:
    events, errors = parse(EVERY_KIND)

    assert errors == []
    assert len(events) == 9
    written = render_mappings(reversed(events))
    assert parse(written)[0] == sorted(events, key=parse(written)[0].index)
    assert render_mappings(parse(written)[0]) == written
    assert sorted(written.splitlines()) == sorted(EVERY_KIND.splitlines())


def test_an_account_and_a_product_are_read_with_all_their_columns() -> None:
    events, _ = parse(EVERY_KIND)

    assert events[0] == AccountMappingSet(
        actor="maria",
        at=AT,
        comment="first customers",
        account_id="8ad0",
        company="10",
        gl_account="1510",
        code_parts={"B": "100", "C": "9"},
    )
    assert events[1] == ChartRuleSet(
        actor="maria",
        at=AT,
        company="10",
        kind="product",
        match_on="sku",
        match_value="ANL",
        gl_account="3010",
        code_parts={"B": "200"},
        deferred_account="2970",
    )


@pytest.mark.parametrize(
    "text",
    [
        "kind,company,gl_account\nrounding,10,3740\n",
        "\ufeffkind,company,gl_account\r\nrounding,10,3740\r\n",
        "kind;company;gl_account\nrounding;10;3740\n",
        " Kind , COMPANY,gl_account\n rounding , 10 ,3740\n",
        "gl_account,kind,company,comment\n3740,rounding,10\n\n,,,\n",
    ],
    ids=["as documented", "from Excel", "semicolons", "spaces and capitals", "other order, short and empty lines"],
)
def test_files_as_spreadsheets_save_them_are_read(text: str) -> None:
    events, errors = parse(text)

    assert errors == []
    assert [(event.company, event.gl_account) for event in events] == [("10", "3740")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: has no header"),
        ("kind,company\n", "line 1: column gl_account is missing"),
        ("kind,company,gl_account,colour\n", "line 1: unknown column 'colour'"),
        ("kind,company,gl_account,company\n", "line 1: column company is there twice"),
        ("kind,company,gl_account\nvat,10,1\n", "line 2: kind is 'vat', must be one of account, product"),
        ("kind,company,gl_account\n,10,1\n", "line 2: kind is empty"),
        ("kind,company,gl_account\nrounding,,1\n", "line 2: company is empty, rounding needs it"),
        ("kind,company,gl_account\nrounding,*,1\n", "line 2: company is *"),
        ("kind,company,gl_account\nrounding,10,1,2\n", "line 2: has 4 cells, the header 3"),
        ("kind,company,gl_account\nrounding,10,123456789012345678901\n", "line 2: gl_account: string should have at"),
        ("kind,company,gl_account\naccount,10,1\n", "line 2: zuora_account_id is empty, account needs it"),
        ("kind,company,gl_account,currency\nrounding,10,1,EUR\n", "line 2: currency is not used by rounding"),
        ("kind,company,gl_account,currency\ncash,10,1,EURO\n", "line 2: currency is 'EURO', must be a code of"),
        ("kind,company,gl_account,match_on,match_value\nproduct,10,1,name,X\n", "line 2: match_on is 'name'"),
        ("kind,company,gl_account,match_on,match_value\nproduct,10,1,sku,(none)\n", "line 2: match_value (none)"),
        ("kind,company,gl_account\nrounding,10,1\nrounding,10,2\n", "line 3: maps the same as line 2 (10/rounding)"),
        ('kind,company,gl_account,comment\nrounding,10,1,"a\nb"\n', "line 2: comment has a control character"),
        ('kind,company,gl_account\nrounding,10,"1\n', "line 2: is not CSV: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, expected: str) -> None:
    events, errors = parse(text)

    assert events == []
    assert len(errors) == 1
    assert errors[0].startswith(expected)


def test_bytes_of_another_encoding_are_told_with_their_line() -> None:
    events, errors = parse(b"kind,company,gl_account\nrounding,10,3740\nrounding,Malm\xf6,1\n")

    assert events == []
    assert errors == ["line 3: is not UTF-8: save the file as 'CSV UTF-8'"]


def test_all_wrong_lines_are_told_at_once() -> None:
    _, errors = parse("kind,company,gl_account\nvat,10,1\nrounding,10,1\nrounding,,\n")

    assert [error.split(":")[0] for error in errors] == ["line 2", "line 4", "line 4"]


def test_a_removal_needs_only_what_names_the_mapping() -> None:
    removal, wrong = check_removal({"kind": "tax", "company": "10", "match_value": "VAT25"}, actor="maria", at=AT)
    assert wrong == []
    assert removal is not None

    assert check_removal({"kind": "tax", "company": "10"}, actor="maria", at=AT)[1] == [
        "match_value is empty, tax needs it"
    ]


@given(
    value=st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=40).filter(str.strip),
    comment=st.text(st.characters(blacklist_categories=["Cc", "Cs"]), max_size=40),
)
def test_any_text_comes_back_as_it_went_in(value: str, comment: str) -> None:
    if value.strip() == "(none)":
        return
    event = ChartRuleSet(
        actor="maria",
        at=AT,
        company="10",
        kind="product",
        match_on="product_name",
        match_value=value.strip(),
        gl_account="3010",
        comment=comment.strip() or None,
    )

    events, errors = parse(render_mappings([event]))

    assert errors == []
    assert events == [event]

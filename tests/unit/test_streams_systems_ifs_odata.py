"""OData as IFS Cloud takes it."""

from datetime import date
from urllib.parse import unquote

from streams.systems.ifs import odata


def test_a_quote_inside_a_text_is_doubled() -> None:
    assert odata.equal("Description", "O'Hara") == "Description eq 'O''Hara'"


def test_numbers_and_dates_are_bare() -> None:
    assert odata.all_of(odata.equal("AccountingYear", 2026), odata.at_most("ValidFrom", date(2026, 7, 3))) == (
        "AccountingYear eq 2026 and ValidFrom le 2026-07-03"
    )


def test_the_dollar_of_system_options_is_not_encoded_but_what_would_break_a_query_is() -> None:
    written = odata.query(filter="Text eq 'A&B + 50% #1 å'", top=1)
    assert written == "$filter=Text%20eq%20'A%26B%20%2B%2050%25%20%231%20%C3%A5'&$top=1"


def test_keys_of_an_entity_are_quoted_and_encoded() -> None:
    assert odata.by_key("VoucherTypes", Company="10", VoucherType="M/1") == (
        "VoucherTypes(Company='10',VoucherType='M%2F1')"
    )


def test_one_value_needs_no_parentheses_and_several_do() -> None:
    assert odata.any_value("A", ["x"]) == "A eq 'x'"
    assert odata.any_value("A", ["x", "y"]) == "(A eq 'x' or A eq 'y')"


def test_a_look_up_of_many_references_is_split_so_that_every_url_stays_under_4_kb() -> None:
    url = "https://acme.example/main/ifsapplications/projection/v1/VoucherHandling.svc/VoucherSet"
    references = [f"INV{number:010}-ABCDEFGHIJKLMNOPQRST" for number in range(300)]
    chunks = list(odata.chunked(url, "Company eq '10'", "VoucherText2", references))

    assert [reference for chunk, _ in chunks for reference in chunk] == references
    lengths = [len(f"{url}?{odata.query(filter=condition)}") for _, condition in chunks]
    assert max(lengths) <= odata.LONGEST_URL
    assert min(lengths[:-1]) > odata.LONGEST_URL - 100  # as full as can be
    assert all(reference in unquote(condition) for chunk, condition in chunks for reference in chunk)

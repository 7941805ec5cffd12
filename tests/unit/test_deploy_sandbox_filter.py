"""`$filter` means what OData says it means, and nothing passes that IFS would refuse."""

from decimal import Decimal
from typing import Any

import pytest

from deploy.sandbox.ifs.errors import OdataError
from deploy.sandbox.ifs.odata_filter import parse

TYPES = {"Company": "text", "Text": "text", "VoucherNo": "number", "VoucherDate": "date", "Correction": "boolean"}
ROW: dict[str, Any] = {
    "Company": "10",
    "Text": "O'Brien (VAT)",
    "VoucherNo": 7,
    "VoucherDate": "2026-03-01",
    "Correction": False,
}


@pytest.mark.parametrize(
    "text",
    [
        "Company eq '10'",
        "Text eq 'O''Brien (VAT)'",
        "VoucherNo eq 7 and VoucherNo le 7.0 and VoucherNo gt -1",
        "VoucherDate ge 2026-03-01 and VoucherDate lt 2026-03-02",
        "Company eq '20' or VoucherNo eq 7 and Company eq '10'",
        "not (Company eq '20')",
        "not Company eq '20' and Correction eq false",
        "startswith(Text,'O''B') and endswith(Text,')') and contains(Text,'VAT')",
        "toupper(Text) eq 'O''BRIEN (VAT)'",
        "VoucherNo in (1,7)",
        "Company in ('20', '10')",
        "Company ne null",
        "Company eq IfsApp.X.Y'10'",
        "((Company eq '10'))",
    ],
)
def test_it_holds(text: str) -> None:
    assert parse(text, TYPES).holds(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "Company eq '1'",
        "(Company eq '20' or VoucherNo eq 7) and Company eq '20'",
        "Company eq null",
        "VoucherNo in (1,2)",
    ],
)
def test_it_does_not_hold(text: str) -> None:
    assert not parse(text, TYPES).holds(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "Company = '10'",
        "Company eq 10",
        "VoucherNo eq '7'",
        "Company eq '10' and",
        "(Company eq '10'",
        "Company eq '10')",
        "Colour eq 'red'",
        "Company+eq+'10'",
        "Company has 'x'",
        "Rows/any(r: r/Account eq '1')",
        "startswith(Text)",
        "VoucherNo in ('1')",
        "Company",
    ],
)
def test_what_ifs_does_not_understand_is_400(text: str) -> None:
    with pytest.raises(OdataError) as caught:
        parse(text, TYPES)

    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("text", "equal"),
    [
        ("Company eq '10' and VoucherNo eq 7", {"Company": {"10"}, "VoucherNo": {Decimal(7)}}),
        ("Text eq 'a' or Text eq 'b'", {"Text": {"a", "b"}}),
        ("Text in ('a','b') and VoucherNo gt 3", {"Text": {"a", "b"}}),
        ("Text eq 'a' or VoucherNo eq 3", {}),
        ("not (Text eq 'a')", {}),
    ],
)
def test_equalities_narrow_the_search_only_where_every_branch_has_them(text: str, equal: dict[str, Any]) -> None:
    assert parse(text, TYPES).equal == equal

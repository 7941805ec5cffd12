"""The IFS sandbox keeps to the protocol: batches, what is set up, ordered empty lists."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from tests.support.ifs_http import PROJECTIONS, Client, signed_in, voucher


@pytest.fixture
async def ifs() -> AsyncIterator[Client]:
    async with signed_in() as client:
        yield client


def batch_of(*bodies: str, tag: str) -> bytes:
    parts = "".join(
        f"--cs\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {number}\r\n\r\n"
        f"POST VoucherSet HTTP/1.1\r\nContent-Type: application/json\r\nIf-Match: {tag}\r\n\r\n{body}\r\n"
        for number, body in enumerate(bodies, 1)
    )
    read = "--b\r\nContent-Type: application/http\r\n\r\nGET VoucherSet?$top=0 HTTP/1.1\r\n\r\n\r\n"
    whole = f"{read}--b\r\nContent-Type: multipart/mixed; boundary=cs\r\n\r\n{parts}--cs--\r\n--b--\r\n"
    return whole.encode()


async def post_batch(client: Client, raw: bytes) -> str:
    address = f"{client.url}{PROJECTIONS}VoucherHandling.svc/$batch"
    headers = {**client.headers, "Content-Type": "multipart/mixed; boundary=b"}
    async with client.session.post(URL(address, encoded=True), data=raw, headers=headers) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_a_change_set_books_all_its_vouchers_under_one_tag(ifs: Client) -> None:
    bodies = [json.dumps(voucher(name)) for name in ("A", "B")]

    answer = await post_batch(ifs, batch_of(*bodies, tag=await ifs.tag()))

    assert (answer.count("HTTP/1.1 200"), answer.count("HTTP/1.1 201")) == (1, 2)
    assert await ifs.control("vouchers?count=true") == {"count": 2}


async def test_a_change_set_with_one_bad_voucher_books_none_and_gives_one_error(ifs: Client) -> None:
    good, bad = voucher("A"), voucher("B", VoucherType="F")
    bodies = [json.dumps(body) for body in (good, bad)]

    answer = await post_batch(ifs, batch_of(*bodies, tag=await ifs.tag()))

    assert "HTTP/1.1 201" not in answer
    assert answer.count("Voucher.ONLYMANUAL") == 1
    assert await ifs.control("vouchers?count=true") == {"count": 0}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "CodePartValuesHandling.svc/CompanyFinanceSet(Company='20')",
            {"CurrencyCode": "SEK", "ParallelAccCurrency": None},
        ),
        ("AccountsHandling.svc/AccountSet(Company='10',Account='8888')", {"ReqCodeB": "Can", "ReqCodeC": "Mandatory"}),
        ("CodeBHandling.svc/CodeBSet(Company='10',CodeB='100')", {"CodeB": "100", "ValidUntil": "2099-12-31"}),
        (
            "VoucherTypeHandling.svc/VoucherTypes(Company='10',VoucherType='M')",
            {"AutomaticAllot": "Y", "FunctionGroup": "M"},
        ),
        ("CurrencyCodesHandling.svc/CurrencyCodeSet(Company='40',CurrencyCode='GBP')", {"Inverted": True}),
    ],
)
async def test_set_up_is_read_by_key(ifs: Client, path: str, expected: dict[str, Any]) -> None:
    status, body, _ = await ifs.get(path)

    assert status == 200
    assert {name: body[name] for name in expected} == expected


async def test_the_rate_of_a_date_is_the_newest_on_or_before_it(ifs: Client) -> None:
    query = "$filter=Company eq '10' and CurrencyType eq '1' and CurrencyCode eq 'SEK' and ValidFrom le 2026-03-01"

    _, body, _ = await ifs.get(f"CurrencyRatesHandling.svc/CurrencyRateSet?{query}&$orderby=ValidFrom desc&$top=1")

    rate = body["value"][0]
    assert (rate["ValidFrom"], rate["CurrencyRate"], rate["ConversionFactor"]) == ("2026-01-01", 8.9022, 100)


async def test_periods_and_the_groups_that_may_post_into_them_are_read(ifs: Client) -> None:
    await ifs.control("periods", {"company": "10", "year": 2026, "period": 2, "open": False})
    period = "UserGroupPerPeriodHandling.svc/AccountingPeriodSet(Company='10',AccountingYear=2026,AccountingPeriod=2)"

    _, groups, _ = await ifs.get(f"{period}/DetailUserGroups?$filter=UserGroup eq 'INT'")

    assert [each["PeriodStatus"] for each in groups["value"]] == ["Closed"]


async def test_unknown_projections_sets_and_properties_say_what_they_are(ifs: Client) -> None:
    answers = [
        await ifs.get("NoSuchHandling.svc/VoucherSet"),
        await ifs.get("VoucherHandling.svc/NoSuchSet"),
        await ifs.get("VoucherHandling.svc/VoucherSet?$filter=Colour eq 'red'"),
        await ifs.get("VoucherHandling.svc/VoucherSet?$expand=VoucherPostingArray"),
    ]

    assert [(status, body["error"]["code"]) for status, body, _ in answers] == [
        (404, "MI_METADATA_NOTFOUND"),
        (404, "ODP_RESOURCE_NOTFOUND"),
        (400, "EXPRESSION_PROPERTY_NOT_IN_TYPE"),
        (501, "ODP_NOT_IMPLEMENTED"),
    ]


async def test_an_ordered_empty_list_hides_what_is_there(ifs: Client) -> None:
    await ifs.book(voucher())
    await ifs.control("faults", {"kind": "empty", "path": "Company eq '10'"})
    query = "VouchersAnalysis.svc/VoucherSet?$filter=Company eq '10'"

    other, hidden, shown = [await ifs.get(path) for path in (query.replace("'10'", "'20'"), query, query)]

    assert [len(body["value"]) for _, body, _ in (other, hidden, shown)] == [0, 0, 1]
    assert hidden[2] == shown[2]

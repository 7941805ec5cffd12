"""The IFS sandbox keeps to the protocol: tags, rules, numbers, look-ups, general ledger, batches, faults."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from deploy.sandbox.testing import running_ifs

PROJECTIONS = "/main/ifsapplications/projection/v1/"


def row(account: str, side: str, amount: float, **more: Any) -> dict[str, Any]:
    return {
        "Account": account,
        "CodeB": "100",
        "CurrencyCode": "EUR",
        "CurrencyType": "1",
        f"Currency{side}Amount": amount,
        f"{side}Amount": amount,
        "ReferenceSerie": "ZUORA",
        **more,
    }


def voucher(reference: str = "INV-1", **header: Any) -> dict[str, Any]:
    rows = [
        row("1510", "Debet", 119.00, ReferenceNumber=reference),
        row("3010", "Credit", 100.00, ReferenceNumber=reference),
        row("2610", "Credit", 19.00, ReferenceNumber=reference),
    ]
    return {
        "Company": "10",
        "VoucherType": "M",
        "VoucherDate": "2026-03-01",
        "UserGroup": "INT",
        "VoucherText2": reference,
        "VoucherPostingArray": rows,
        **header,
    }


class Client:
    """A bare client of one sandbox."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session
        self.headers: dict[str, str] = {}

    async def sign_in(self) -> None:
        form = {"grant_type": "client_credentials", "client_id": "ifs-client", "client_secret": "ifs-secret"}
        async with self.session.post(
            f"{self.url}/auth/realms/sandbox/protocol/openid-connect/token", data=form
        ) as answer:
            self.headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}

    async def get(self, path: str) -> tuple[int, Any, str | None]:
        address = URL(self.url + PROJECTIONS + path.replace(" ", "%20"), encoded=True)
        async with self.session.get(address, headers=self.headers) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers.get("ETag")

    async def tag(self, company: str = "10") -> str:
        _, _, tag = await self.get(f"VoucherHandling.svc/VoucherSet?$filter=Company eq '{company}'&$top=1")
        assert tag is not None
        return tag

    async def post(self, body: dict[str, Any], tag: str | None = None, **headers: str) -> tuple[int, Any]:
        given = {**self.headers, **headers} | ({"If-Match": tag} if tag else {})
        address = self.url + PROJECTIONS + "VoucherHandling.svc/VoucherSet"
        async with self.session.post(address, json=body, headers=given) as answer:
            return answer.status, await answer.json(content_type=None)

    async def book(self, body: dict[str, Any]) -> dict[str, Any]:
        status, answer = await self.post(body, await self.tag(body["Company"]))
        assert status == 201, answer
        return dict(answer)

    async def refused(self, body: dict[str, Any]) -> str:
        status, answer = await self.post(body, await self.tag(str(body["Company"])))
        assert status >= 400
        details = answer["error"].get("details") or [{"message": answer["error"]["code"]}]
        return str(details[0]["message"])

    async def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        if body is None:
            async with self.session.get(f"{self.url}/_sandbox/{path}") as answer:
                return await answer.json()
        async with self.session.post(f"{self.url}/_sandbox/{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()


@pytest.fixture
async def ifs() -> AsyncIterator[Client]:
    async with running_ifs() as sandbox, aiohttp.ClientSession() as session:
        client = Client(sandbox.url, session)
        await client.sign_in()
        yield client


async def test_a_post_without_a_tag_is_428(ifs: Client) -> None:
    status, answer = await ifs.post(voucher())

    assert (status, answer["error"]["code"]) == (428, "ODP_MISSING_PRECONDITION")


async def test_a_star_says_nothing_about_a_set_and_is_412(ifs: Client) -> None:
    assert (await ifs.post(voucher(), "*"))[0] == 412


async def test_a_voucher_changes_the_tag_so_the_old_one_is_412(ifs: Client) -> None:
    tag = await ifs.tag()
    first, _ = await ifs.post(voucher("A"), tag)
    second, _ = await ifs.post(voucher("B"), tag)

    assert (first, second) == (201, 412)


async def test_the_tag_stands_in_the_header_and_at_the_root_of_the_body(ifs: Client) -> None:
    _, body, tag = await ifs.get("VoucherHandling.svc/VoucherSet?$filter=Company eq '10'&$top=1")

    assert body["@odata.etag"] == tag
    assert str(tag).startswith('W/"')


@pytest.mark.parametrize(("scope", "expected"), [("company", 201), ("tenant", 412)])
async def test_another_companys_voucher_changes_the_tag_only_in_tenant_scope(scope: str, expected: int) -> None:
    async with running_ifs(etag_scope=scope) as sandbox, aiohttp.ClientSession() as session:
        client = Client(sandbox.url, session)
        await client.sign_in()
        tag = await client.tag("10")
        await client.control("vouchers/other-writer", {"company": "20"})

        status, _ = await client.post(voucher(), tag)

    assert status == expected


async def test_the_server_gives_number_year_and_period(ifs: Client) -> None:
    answer = await ifs.book(voucher())

    assert (answer["VoucherNo"], answer["AccountingYear"], answer["AccountingPeriod"]) == (2026000001, 2026, 3)


def changed(**header: Any) -> dict[str, Any]:
    return voucher(**header)


def with_rows(*rows: dict[str, Any], **header: Any) -> dict[str, Any]:
    return voucher(VoucherPostingArray=list(rows), **header)


def foreign(account: str, side: str, amount: float, own: float, **more: Any) -> dict[str, Any]:
    given = {"CurrencyCode": "USD", f"{side}Amount": own, "CurrencyRate": 0.8951, "ConversionFactor": 1, **more}
    return row(account, side, amount) | given


REFUSALS = {
    "unbalanced": (
        with_rows(row("1510", "Debet", 2), row("3010", "Credit", 1)),
        "ORA-20110: Voucher.ACCRULDOUBLEENTRY1",
    ),
    "no rows": (with_rows(), "ORA-20110: Voucher.NOVOUCHERROW"),
    "unknown company": (changed(Company="99"), "ORA-20111: Company.FND_RECORD_NOT_EXIST"),
    "unknown account": (with_rows(row("1", "Debet", 1), row("3010", "Credit", 1)), "ORA-20110: Account.ACCNOTEXIST"),
    "ledger account": (
        with_rows(row("1590", "Debet", 1), row("3010", "Credit", 1)),
        "ORA-20110: VoucherRow.VOUISLEDGER",
    ),
    "expired account": (
        with_rows(row("9999", "Debet", 1), row("3010", "Credit", 1)),
        "ORA-20110: Account.ACCNT_NOT_VALID",
    ),
    "unknown code part": (
        with_rows(row("1510", "Debet", 1, CodeB="7"), row("3010", "Credit", 1)),
        "ORA-20110: AccountingCodestr.CODEMISSING",
    ),
    "mandatory code part": (
        with_rows(row("8888", "Debet", 1), row("3010", "Credit", 1)),
        "ORA-20110: AccountingCodestr.WRONGREQ",
    ),
    "unknown voucher type": (changed(VoucherType="Q"), "ORA-20111: VoucherType.FND_RECORD_NOT_EXIST"),
    "voucher type not for hands": (changed(VoucherType="F"), "ORA-20110: Voucher.ONLYMANUAL"),
    "number given": (changed(VoucherNo=7), "ORA-20110: Voucher.NOTMANUAL"),
    "foreign user group": (changed(UserGroup="AC"), "ORA-20110: UserGroupMemberFinance.NOTAUTHORIZEDUSER"),
    "no such year": (changed(VoucherDate="2031-01-01"), "ORA-20110: AccountingPeriod.NOYEAR2"),
    "no date": (changed(VoucherDate=None), "ORA-20124: Voucher.NULLVALUE"),
    "no rate type": (
        with_rows(row("1510", "Debet", 1, CurrencyType=None), row("3010", "Credit", 1)),
        "ORA-20110: VoucherRow.RATETYPENULL",
    ),
    "debit and credit": (
        with_rows(row("1510", "Debet", 1, CreditAmount=1), row("3010", "Credit", 1)),
        "ORA-20110: VoucherRow.INCORRECTAMOUNTS",
    ),
    "no company amount": (
        with_rows(row("1510", "Debet", 1, DebetAmount=None), row("3010", "Credit", 1)),
        "ORA-20110: VoucherRow.VOUROWDEBDITAMTERR",
    ),
    "no amount": (with_rows(row("1510", "Debet", 0), row("3010", "Credit", 1)), "ORA-20110: VoucherRow.NOAMOUNT"),
    "text too long": (
        with_rows(row("1510", "Debet", 1, Text="x" * 201), row("3010", "Credit", 1)),
        "INVALID_VALUE_FOR_PROPERTY",
    ),
    "reference too long": (
        with_rows(row("1510", "Debet", 1, ReferenceNumber="X" * 51), row("3010", "Credit", 1)),
        "INVALID_VALUE_FOR_PROPERTY",
    ),
    "unknown property": (changed(ExternalReference="x"), "ODP_DESERIALIZATION_ERROR"),
    "amount as text": (
        with_rows(row("1510", "Debet", 1, DebetAmount="1"), row("3010", "Credit", 1)),
        "INVALID_VALUE_FOR_PROPERTY",
    ),
    "own currency at two amounts": (
        with_rows(row("1510", "Debet", 1, DebetAmount=2), row("3010", "Credit", 1, CreditAmount=2)),
        "ORA-20110: VoucherRow.BASECURRSAME",
    ),
    "no rate": (
        with_rows(foreign("1510", "Debet", 100, 89.51, CurrencyRate=None), foreign("3010", "Credit", 100, 89.51)),
        "ORA-20124: VoucherRow.NULLVALUE",
    ),
    "amounts that do not follow from the rate": (
        with_rows(foreign("1510", "Debet", 100, 95), foreign("3010", "Credit", 100, 95)),
        "ORA-20110: VoucherRow.INCORRECTAMOUNTS",
    ),
    "date before the first rate": (
        with_rows(foreign("1510", "Debet", 1, 0.9, CurrencyCode="XXX"), foreign("3010", "Credit", 1, 0.9)),
        "ORA-20111: CurrencyCode.FND_RECORD_NOT_EXIST",
    ),
}


@pytest.mark.parametrize(("body", "expected"), list(REFUSALS.values()), ids=list(REFUSALS))
async def test_a_broken_rule_is_refused_with_its_key_and_books_nothing(
    ifs: Client, body: dict[str, Any], expected: str
) -> None:
    message = await ifs.refused(body)

    assert message.startswith(expected)
    assert await ifs.control("vouchers?count=true") == {"count": 0}


async def test_a_closed_period_is_refused_until_it_is_opened(ifs: Client) -> None:
    await ifs.control("periods", {"company": "10", "year": 2026, "period": 3, "open": False})
    closed = await ifs.refused(voucher())
    await ifs.control("periods", {"company": "10", "year": 2026, "period": 3, "open": True})

    assert closed.startswith("ORA-20110: UserGroupPeriod.USRGRPPER: Period 3 is not open for user group INT")
    assert (await ifs.book(voucher()))["VoucherNo"] == 2026000001


async def test_a_currency_without_a_rate_is_refused_until_there_is_one(ifs: Client) -> None:
    body = with_rows(foreign("1510", "Debet", 100, 89.51), foreign("3010", "Credit", 100, 89.51))
    await ifs.control("rates", {"company": "10", "currency": "USD", "remove": True})
    await ifs.control("rates", {"company": "10", "currency": "USD", "rate": 0.8951, "validFrom": "2026-04-01"})
    without = await ifs.refused(body)
    await ifs.control("rates", {"company": "10", "currency": "USD", "rate": 0.8951, "validFrom": "2026-03-01"})

    assert without.startswith("ORA-20110: CurrencyRate.NOVALID")
    await ifs.book(body)


async def test_a_company_with_a_parallel_currency_wants_its_amounts(ifs: Client) -> None:
    rows = [row("1510", "Debet", 1, CurrencyCode="USD"), row("3010", "Credit", 1, CurrencyCode="USD")]

    assert "PARALLELRATETYPENULL" in await ifs.refused(voucher(Company="30", VoucherPostingArray=rows))


async def test_an_inverted_quotation_divides_by_the_rate(ifs: Client) -> None:
    def inverted(account: str, side: str, own: float) -> dict[str, Any]:
        return row(account, side, 100, **{f"{side}Amount": own, "CurrencyRate": 1.25, "ConversionFactor": 1})

    good = [inverted("1510", "Debet", 80.00), inverted("3010", "Credit", 80.00)]
    bad = [inverted("1510", "Debet", 125.00), inverted("3010", "Credit", 125.00)]

    assert "INCORRECTAMOUNTS" in await ifs.refused(voucher(Company="40", VoucherPostingArray=bad))
    await ifs.book(voucher(Company="40", VoucherPostingArray=good))


async def test_a_voucher_is_found_by_reference_in_the_hold_table_and_after_the_update_in_the_gl(ifs: Client) -> None:
    await ifs.book(voucher("INV-1"))
    query = (
        "$filter=Company eq '10' and ReferenceSerie eq 'ZUORA' and ReferenceNumber eq 'INV-1'&$select=VoucherNo,RowNo"
    )

    async def found() -> tuple[int, int, int]:
        _, held, _ = await ifs.get(f"VoucherRowsAnalysis.svc/VoucherRowSet?{query}")
        _, ledger, _ = await ifs.get(f"GLVoucherRowsAnalysis.svc/GenLedVoucherRowSet?{query}")
        _, headers, _ = await ifs.get("VouchersAnalysis.svc/VoucherSet?$filter=VoucherText2 eq 'INV-1'")
        return len(held["value"]), len(ledger["value"]), len(headers["value"])

    before = await found()
    assert await ifs.control("gl-update", {}) == {"moved": 1}

    assert (before, await found()) == ((3, 0, 1), (0, 3, 0))


async def test_a_voucher_and_its_rows_are_read_by_key(ifs: Client) -> None:
    await ifs.book(voucher())
    key = "VoucherHandling.svc/VoucherSet(Company='10',VoucherType='M',AccountingYear=2026,VoucherNo=2026000001)"
    status, header, tag = await ifs.get(key)
    _, rows, _ = await ifs.get(f"{key}/VoucherPostingArray?$orderby=RowNo desc&$select=Account,Amount")

    assert (status, header["VoucherText2"], header["@odata.etag"]) == (200, "INV-1", tag)
    assert [(each["Account"], each["Amount"]) for each in rows["value"]] == [
        ("2610", -19),
        ("3010", -100),
        ("1510", 119),
    ]


async def test_a_company_that_may_not_be_seen_lists_nothing_and_takes_nothing(ifs: Client) -> None:
    await ifs.book(voucher())
    await ifs.control("companies", {"company": "10", "visible": False})
    status, body, _ = await ifs.get("VouchersAnalysis.svc/VoucherSet?$filter=Company eq '10'")
    _, finance, _ = await ifs.get("CodePartValuesHandling.svc/CompanyFinanceSet?$filter=Company eq '10'")

    assert (status, body["value"], finance["value"]) == (200, [], [])
    assert "EXTUSERCHK" in await ifs.refused(voucher("B"))


async def test_an_answer_of_more_elements_than_allowed_is_an_internal_error() -> None:
    async with running_ifs(most_elements=4) as sandbox, aiohttp.ClientSession() as session:
        client = Client(sandbox.url, session)
        await client.sign_in()
        for reference in "AB":
            await client.book(voucher(reference))

        everything, _, _ = await client.get("VoucherRowsAnalysis.svc/VoucherRowSet?$filter=Company eq '10'")
        a_page, body, _ = await client.get(
            "VoucherRowsAnalysis.svc/VoucherRowSet?$top=4&$skip=4&$orderby=RowNo&$count=true"
        )

    assert (everything, a_page) == (500, 200)
    assert (len(body["value"]), body["@odata.count"]) == (2, 6)


async def test_the_request_limit_slides_and_says_when_to_come_back() -> None:
    async with running_ifs(requests_per_minute=3, window_seconds=0.4) as sandbox, aiohttp.ClientSession() as session:
        client = Client(sandbox.url, session)
        await client.sign_in()
        address = f"{client.url}{PROJECTIONS}VouchersAnalysis.svc/VoucherSet"
        answers = [await session.get(address, headers=client.headers) for _ in range(4)]
        statuses = [answer.status for answer in answers]
        retry_after = answers[-1].headers["Retry-After"]
        async with asyncio.timeout(5):
            # The server's clock decides; there is no event to wait for.
            while (await session.get(address, headers=client.headers)).status != 200:  # noqa: ASYNC110 - the server's state
                await asyncio.sleep(0.02)
        counted = await client.control("requests")

    assert (statuses, retry_after) == ([200, 200, 200, 429], "1")
    assert counted["refusedForRate"] >= 1


async def test_an_expired_token_is_401(ifs: Client) -> None:
    await ifs.control("tokens/revoke", {})

    status, body, _ = await ifs.get("VouchersAnalysis.svc/VoucherSet")

    assert (status, body) == (401, {"error": {"message": "Unauthorized"}})


async def test_commit_then_drop_books_though_the_client_hears_nothing(ifs: Client) -> None:
    tag = await ifs.tag()
    await ifs.control("faults", {"kind": "commit-then-drop"})

    with pytest.raises(aiohttp.ClientError):
        await ifs.post(voucher("LOST"), tag)

    assert len(await ifs.control("vouchers?reference=LOST")) == 1


async def test_commit_then_504_books_though_the_answer_says_it_took_too_long(ifs: Client) -> None:
    tag = await ifs.tag()
    await ifs.control("faults", {"kind": "commit-then-504", "seconds": 2})

    status, answer = await ifs.post(voucher("LOST"), tag)

    assert (status, answer["error"]["code"]) == (504, "ODP_OPERATION_TIMEOUT")
    assert len(await ifs.control("vouchers?reference=LOST")) == 1


async def test_a_late_commit_books_after_the_client_has_given_up(ifs: Client) -> None:
    tag = await ifs.tag()
    await ifs.control("faults", {"kind": "commit-late", "seconds": 0.1, "status": 504})
    status, _ = await ifs.post(voucher("LATE"), tag)
    at_once = await ifs.control("vouchers?reference=LATE")
    async with asyncio.timeout(5):
        while not await ifs.control("vouchers?reference=LATE"):  # noqa: ASYNC110 - the server's state
            await asyncio.sleep(0.01)

    assert (status, at_once) == (504, [])


async def test_another_writer_makes_the_tag_stale_between_read_and_post(ifs: Client) -> None:
    tag = await ifs.tag()
    await ifs.control("faults", {"kind": "other-writer"})

    assert (await ifs.post(voucher(), tag))[0] == 412
    assert (await ifs.post(voucher(), await ifs.tag()))[0] == 201


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "status", "status": 500}, 500, "INTERNAL_ERROR"),
        ({"kind": "status", "status": 503}, 503, "ODP_UNAVAILABLE"),
        ({"kind": "database-error"}, 500, "DATABASE_ERROR"),
        ({"kind": "locked"}, 423, "DATABASE_ERROR"),
        ({"kind": "metadata-changed"}, 503, "MI_MODIFIED_ERROR"),
        ({"kind": "rate-limit", "seconds": 7}, 429, "TOO_MANY_REQUESTS"),
    ],
)
async def test_a_fault_before_the_commit_books_nothing(
    ifs: Client, fault: dict[str, Any], status: int, code: str
) -> None:
    tag = await ifs.tag()
    await ifs.control("faults", fault)

    got, answer = await ifs.post(voucher(), tag)

    assert (got, answer["error"]["code"]) == (status, code)
    assert await ifs.control("vouchers?count=true") == {"count": 0}
    assert (await ifs.post(voucher(), tag))[0] == 201


async def test_a_slow_answer_ends_at_the_clients_wait(ifs: Client) -> None:
    tag = await ifs.tag()
    await ifs.control("faults", {"kind": "slow", "seconds": 60})

    status, _ = await ifs.post(voucher(), tag, Prefer="wait=0")

    assert status == 504
    assert await ifs.control("vouchers?count=true") == {"count": 0}


async def test_duplicates_and_the_trial_balance_are_shown(ifs: Client) -> None:
    await ifs.book(voucher("SAME"))
    await ifs.book(voucher("SAME"))

    duplicates = await ifs.control("duplicates")
    balance = await ifs.control("trial-balance?company=10")

    assert [(each["reference"], len(each["vouchers"])) for each in duplicates] == [("SAME", 2)]
    assert [(each["account"], each["amount"]) for each in balance] == [("1510", 238), ("2610", -38), ("3010", -200)]


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

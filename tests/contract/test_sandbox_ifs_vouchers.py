"""The IFS sandbox keeps to the protocol: tags, rules, numbers, look-ups, general ledger, batches, faults."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from deploy.sandbox.testing import running_ifs
from tests.support.ifs_http import PROJECTIONS, Client, row, signed_in, voucher


@pytest.fixture
async def ifs() -> AsyncIterator[Client]:
    async with signed_in() as client:
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
        async with asyncio.timeout(30):
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
    async with asyncio.timeout(30):
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

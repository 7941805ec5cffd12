"""The IFS client against small servers that answer as tenants and gateways do."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from schemas.base import DocumentType
from schemas.errors import ForbiddenError, NotFoundError, SettingsError, TroubleError
from schemas.vouchers import PostVoucher, VoucherNumber, VoucherRow
from streams.accounting.conversion import SAME_CURRENCY, Rate
from streams.settings import IfsSettings
from streams.systems.ifs.basics import UnusableRateError
from streams.systems.ifs.client import Found, IfsClient, LookUpRefusedError
from streams.systems.ifs.errors import Verdict
from streams.systems.ifs.posting import Created
from streams.systems.ifs.service import budget_of, connected, token_source
from tests.support.servers import serving

ROOT = "/main/ifsapplications/projection/v1"
NUMBER = VoucherNumber(company="10", voucher_type="M", accounting_year=2026, voucher_no=2026000124)
KEYS = {"Company": "10", "VoucherType": "M", "AccountingYear": 2026, "VoucherNo": 2026000124}
COMPANY = {"Company": "10", "CurrencyCode": "EUR", "ParallelAccCurrency": None}
COMMAND = PostVoucher(
    command_id="c", app_id="a", record_id="Invoice:1", document_type=DocumentType.INVOICE, account_id="A1",
    reference="INV1-A", fingerprint="f", document_offset=1, company="10", voucher_type="M",
    voucher_date=date(2026, 7, 3), rate_date=date(2026, 7, 3), text="INV1", currency="EUR", currency_type="1",
    rest_row=1, rows=(),
)  # fmt: skip
ROWS = (
    VoucherRow(account="1510", debit=Decimal("1.10"), company_debit=Decimal("1.10"), text="a"),
    VoucherRow(account="3010", credit=Decimal("1.10"), company_credit=Decimal("1.10"), text="b"),
)
Answering = Callable[[web.Request], web.Response]


class Tenant:
    """What was asked, and what is answered by path below the projections' root; 404 for anything else."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.answers: dict[str, Answering] = {}

    def answer(self, path: str, body: Any = None, status: int = 200, **headers: str) -> None:
        self.answers[path] = lambda _: web.json_response(body, status=status, headers=headers)

    async def handle(self, request: web.Request) -> web.Response:
        if request.path.startswith("/auth/"):
            return web.json_response({"access_token": "t", "expires_in": 180})
        self.asked.append(request)
        path = request.raw_path.partition("?")[0].removeprefix(f"{ROOT}/")
        body = {"error": {"code": "MI_METADATA_NOTFOUND", "message": "not found"}}
        return self.answers.get(path, lambda _: web.json_response(body, status=404))(request)


@asynccontextmanager
async def client_of(tenant: Tenant, **settings: Any) -> AsyncIterator[IfsClient]:
    async with serving(tenant.handle) as url:
        facts = {"base_url": url, "realm": "r", "client_id": "c", "client_secret": SecretStr("s")}
        ifs = IfsSettings(**(facts | settings))
        async with connected(ifs, token_source(ifs), budget_of(ifs)) as service:
            yield IfsClient(service, ifs)


@pytest.fixture
def tenant() -> Tenant:
    return Tenant()


# --- looking --------------------------------------------------------------------------------------------------------


async def test_the_tag_is_that_of_the_header_before_that_of_the_body(tenant: Tenant) -> None:
    tenant.answer("VoucherHandling.svc/VoucherSet", {"@odata.etag": "body", "value": []}, ETag='W/"header"')
    async with client_of(tenant) as client:
        assert (await client.look_in_hold("10", ["INV1-A"])).tag == 'W/"header"'


async def test_the_tag_of_the_bodys_root_is_taken_where_there_is_no_header(tenant: Tenant) -> None:
    tenant.answer("VoucherHandling.svc/VoucherSet", {"@odata.etag": 'W/"body"', "value": []})
    async with client_of(tenant) as client:
        assert (await client.look_in_hold("10", ["INV1-A"])).tag == 'W/"body"'


@pytest.mark.parametrize(
    ("newest", "tag"),
    [([{**KEYS, "VoucherText2": "OTHER", "@odata.etag": "row"}], "row"), ([], None)],
    ids=["some give a tag with rows only", "the set of a new company is empty and has none"],
)
async def test_without_a_tag_of_the_set_the_newest_rows_serves(
    tenant: Tenant, newest: list[dict[str, Any]], tag: str | None
) -> None:
    tenant.answers["VoucherHandling.svc/VoucherSet"] = lambda request: web.json_response(
        {"value": [] if "VoucherText2" in request.query["$filter"] else newest}
    )
    async with client_of(tenant) as client:
        assert (await client.look_in_hold("10", ["INV1-A"])).tag == tag


async def test_what_is_created_between_the_look_and_a_tag_that_only_rows_have_is_found(tenant: Tenant) -> None:
    ours = {**KEYS, "VoucherText2": "INV1-A", "@odata.etag": "row"}
    created: list[dict[str, Any]] = []

    def answer(request: web.Request) -> web.Response:
        if "VoucherText2" in request.query["$filter"]:
            return web.json_response({"value": list(created)})
        created.append(ours)
        return web.json_response({"value": [ours]})

    tenant.answers["VoucherHandling.svc/VoucherSet"] = answer
    async with client_of(tenant) as client:
        assert set((await client.look_in_hold("10", ["INV1-A"])).found) == {"INV1-A"}


async def test_a_set_with_rows_and_no_tag_anywhere_is_told_where_one_is_required(tenant: Tenant) -> None:
    row = {**KEYS, "VoucherText2": "OTHER"}
    tenant.answers["VoucherHandling.svc/VoucherSet"] = lambda request: web.json_response(
        {"value": [] if "VoucherText2" in request.query["$filter"] else [row]}
    )
    async with client_of(tenant) as client:
        with pytest.raises(SettingsError, match="ZIFS_IFS__ETAG"):
            await client.look_in_hold("10", ["INV1-A"])
    async with client_of(tenant, etag="if-given") as client:
        assert (await client.look_in_hold("10", ["INV1-A"])).tag is None


@pytest.mark.parametrize("text", [None, "ANOTHER"])
async def test_a_row_that_does_not_have_the_reference_proves_nothing(tenant: Tenant, text: str | None) -> None:
    tenant.answer("VoucherHandling.svc/VoucherSet", {"value": [{**KEYS, "VoucherText2": text}]}, ETag="t")
    async with client_of(tenant) as client:
        with pytest.raises(LookUpRefusedError, match=r"drops \$filter"):
            await client.look_in_hold("10", ["INV1-A"])


async def test_the_query_is_encoded_by_hand_with_its_dollar_signs_and_quotes(tenant: Tenant) -> None:
    tenant.answer("VoucherHandling.svc/VoucherSet", {"value": []}, ETag="t")
    async with client_of(tenant) as client:
        await client.look_in_hold("O'Neill & Co", ["INV1-A"])
    assert tenant.asked[0].raw_path == (
        f"{ROOT}/VoucherHandling.svc/VoucherSet"
        "?$filter=Company%20eq%20'O''Neill%20%26%20Co'%20and%20VoucherText2%20eq%20'INV1-A'&$top=2"
    )


async def test_many_references_are_looked_up_in_few_requests_of_less_than_4_kb(tenant: Tenant) -> None:
    references = [f"INV{number:06}-ABCDEFGHIJKLMNOPQRST" for number in range(100)]
    row = {**KEYS, "VoucherText2": references[57]}
    answers = {
        True: {"value": [row]},
        False: {"value": []},
    }
    tenant.answers["VoucherHandling.svc/VoucherSet"] = lambda request: web.json_response(
        answers[references[57] in request.query["$filter"]], headers={"ETag": "t"}
    )
    async with client_of(tenant) as client:
        held = await client.look_in_hold("10", references)

    assert held.found == {references[57]: Found(NUMBER)}
    assert len(tenant.asked) < 4
    assert all(len(str(request.url)) < 4096 for request in tenant.asked)


async def test_pages_are_followed_to_their_end(tenant: Tenant) -> None:
    def pages(request: web.Request) -> web.Response:
        if "$skiptoken" in request.query:
            return web.json_response({"value": [{**KEYS, "VoucherText2": "B"}]}, headers={"ETag": "t2"})
        link = "VoucherSet?$filter=Company eq '10'&$skiptoken=1"
        body = {"value": [{**KEYS, "VoucherNo": 7, "VoucherText2": "A"}], "@odata.nextLink": link}
        return web.json_response(body, headers={"ETag": "t1"})

    tenant.answers["VoucherHandling.svc/VoucherSet"] = pages
    async with client_of(tenant) as client:
        held = await client.look_in_hold("10", ["A", "B"])
    assert {reference: found.number.voucher_no for reference, found in held.found.items()} == {"A": 7, "B": 2026000124}
    assert held.tag == "t1"  # what came after the first page was read must not pass unseen under a newer tag


async def test_a_copied_voucher_leaves_the_original_ours(tenant: Tenant) -> None:
    rows = [{**KEYS, "VoucherText2": "A", "VoucherNo": number} for number in (9, 8, 10)]
    tenant.answer("VoucherHandling.svc/VoucherSet", {"value": rows}, ETag="t")
    async with client_of(tenant) as client:
        assert (await client.look_in_hold("10", ["A"])).found["A"].number.voucher_no == 8


async def test_copies_of_one_voucher_leave_no_other_out_of_a_look_for_many(tenant: Tenant) -> None:
    kept = [{**KEYS, "VoucherText2": "A", "VoucherNo": number} for number in (7, 8, 9, 10)]
    kept.append({**KEYS, "VoucherText2": "B", "VoucherNo": 11})

    def shown(request: web.Request) -> web.Response:
        asked = [row for row in kept if f"'{row['VoucherText2']}'" in request.query["$filter"]]
        return web.json_response({"value": asked[: int(request.query["$top"])]}, headers={"ETag": "t"})

    tenant.answers["VoucherHandling.svc/VoucherSet"] = shown
    async with client_of(tenant) as client:
        held = await client.look_in_hold("10", ["A", "B", "C"])
    assert {reference: found.number.voucher_no for reference, found in held.found.items()} == {"A": 7, "B": 11}


@pytest.mark.parametrize(
    "body", [{"error": "x"}, {"value": None}, {"value": [1]}, [], "text", {"value": [], "error": {"message": "m"}}]
)
async def test_an_answer_without_rows_is_trouble_and_never_an_empty_set(tenant: Tenant, body: Any) -> None:
    tenant.answer("VoucherHandling.svc/VoucherSet", body, ETag="t")
    async with client_of(tenant) as client:
        with pytest.raises(TroubleError):
            await client.look_in_hold("10", ["A"])


async def test_the_ledger_is_asked_where_the_settings_say(tenant: Tenant) -> None:
    tenant.answer("Custom.svc/Rows", {"value": [{**KEYS, "ReferenceNumber": "INV1-A", "CurrencyRate": 0.9}]})
    async with client_of(tenant, gl_projection="Custom", gl_entity_set="Rows") as client:
        assert await client.look_in_ledger("10", "INV1-A") == Found(NUMBER, Decimal("0.9"))
    assert tenant.asked[0].query["$filter"] == "Company eq '10' and ReferenceNumber eq 'INV1-A'"


async def test_a_voucher_of_another_company_is_never_taken_for_the_one_looked_for(tenant: Tenant) -> None:
    tenant.answer("VoucherHandling.svc/VoucherSet", {"value": [{**KEYS, "Company": "20", "VoucherText2": "INV1-A"}]})
    rows = {"value": [{**KEYS, "Company": "20", "ReferenceNumber": "INV1-A"}]}
    tenant.answer("GLVoucherRowsAnalysis.svc/GenLedVoucherRowSet", rows)
    async with client_of(tenant) as client:
        for look in (client.look_in_hold("10", ["INV1-A"]), client.look_in_ledger("10", "INV1-A")):
            with pytest.raises(LookUpRefusedError, match="of another company"):
                await look


async def test_a_ledger_that_is_not_there_is_no_absence(tenant: Tenant) -> None:
    async with client_of(tenant) as client:
        with pytest.raises(LookUpRefusedError, match=r"GLVoucherRowsAnalysis\.svc/GenLedVoucherRowSet \(404\)"):
            await client.look_in_ledger("10", "INV1-A")


async def test_the_hold_tables_rows_only_add_evidence_so_a_tenant_may_lack_them(tenant: Tenant) -> None:
    async with client_of(tenant) as client:
        assert await client.look_in_hold_rows("10", "INV1-A") is None
        assert await client.look_in_hold_rows("10", "INV1-A") is None
    assert len(tenant.asked) == 1  # not asked again


# --- creating -------------------------------------------------------------------------------------------------------


async def created(client: IfsClient, tag: str | None) -> Created:
    async with client.posting.prepared(COMMAND, ROWS, SAME_CURRENCY, tag) as send:
        await client.service.admit()
        return await send()


async def test_a_post_carries_the_tag_as_it_is_and_tells_ifs_when_to_give_up(tenant: Tenant) -> None:
    bodies = []

    async def booked(request: web.Request) -> web.Response:
        bodies.append(await request.text())
        return web.json_response(KEYS, status=201)

    tenant.answers["VoucherHandling.svc/VoucherSet"] = booked  # type: ignore[assignment]
    tenant.handle = _awaiting(tenant)  # type: ignore[method-assign]
    async with client_of(tenant, settle_seconds=30) as client:
        done = await created(client, 'W/"abc"')

    assert done.number == NUMBER
    headers = tenant.asked[0].headers
    assert headers["If-Match"] == 'W/"abc"'
    assert headers["Prefer"] == "return=representation, wait=20"
    assert headers["Content-Type"] == "application/json"
    assert '"CurrencyDebetAmount":1.10,' in bodies[0]


def _awaiting(tenant: Tenant) -> Any:
    plain = tenant.handle

    async def handle(request: web.Request) -> web.Response:
        answer = await plain(request)
        return await answer if not isinstance(answer, web.Response) else answer

    return handle


@pytest.mark.parametrize(
    ("status", "body", "headers", "number"),
    [
        (201, {**KEYS, "VoucherNo": "2026000124"}, {}, NUMBER),
        (
            204,
            None,
            {"Location": "x/VoucherSet(Company='10',VoucherType='M',AccountingYear=2026,VoucherNo=2026000124)"},
            NUMBER,
        ),
        (201, {"Company": "10", "VoucherNo": 0}, {}, None),
        (204, None, {}, None),
    ],
    ids=["body", "location", "no number yet", "nothing"],
)
async def test_the_number_is_read_from_body_or_location(
    tenant: Tenant, status: int, body: Any, headers: dict[str, str], number: VoucherNumber | None
) -> None:
    tenant.answers["VoucherHandling.svc/VoucherSet"] = lambda _: (
        web.json_response(body, status=status, headers=headers)
        if body
        else web.Response(status=status, headers=headers)
    )
    async with client_of(tenant) as client:
        done = await created(client, None)
    assert (done.judgement.verdict, done.number) == (Verdict.DONE, number)
    assert "If-Match" not in tenant.asked[0].headers


async def test_a_post_to_a_server_that_cannot_be_reached_was_surely_not_done() -> None:
    ifs = IfsSettings(base_url="http://127.0.0.1:9", realm="r", client_id="c", client_secret=SecretStr("s"))
    async with connected(ifs, token_source(ifs), budget_of(ifs)) as service:
        done = await created(IfsClient(service, ifs), "t")
    assert done.judgement.verdict is Verdict.BUSY


@pytest.mark.parametrize("told", [{"VoucherText2": "INV2-B"}, {"Company": "20"}], ids=["reference", "company"])
async def test_a_number_told_of_another_voucher_is_not_taken_but_looked_for(
    tenant: Tenant, told: dict[str, str]
) -> None:
    tenant.answer("VoucherHandling.svc/VoucherSet", {**KEYS, **told}, status=201)
    async with client_of(tenant) as client:
        done = await created(client, "t")
    assert (done.judgement.verdict, done.number) == (Verdict.DONE, None)


@pytest.mark.parametrize(
    "words", ["upstream failed", "ORA-20110: UserGroupPeriod.USRGRPPER: The period is closed", "ORA-00060: deadlock"]
)
async def test_an_error_under_a_good_status_leaves_unknown_whether_a_voucher_was_created(
    tenant: Tenant, words: str
) -> None:
    tenant.answer("VoucherHandling.svc/VoucherSet", {"VoucherNo": 7, "error": {"code": "X", "message": words}})
    async with client_of(tenant) as client:
        done = await created(client, "t")
    assert (done.judgement.verdict, done.judgement.words, done.number) == (Verdict.UNCERTAIN, words, None)


# --- basic data -----------------------------------------------------------------------------------------------------

FINANCE = "CodePartValuesHandling.svc/CompanyFinanceSet"


async def test_a_company_is_read_once_and_again_only_when_asked_fresh(tenant: Tenant) -> None:
    tenant.answer(f"{FINANCE}(Company='10')", COMPANY)
    async with client_of(tenant) as client:
        company = await client.basics.company("10")
        assert company
        assert (company.currency, company.parallel_currency) == ("EUR", None)
        await client.basics.company("10")
        assert len(tenant.asked) == 1
        await client.basics.company("10", fresh=True)
        assert len(tenant.asked) == 2


async def test_a_tenant_that_knows_no_keys_is_asked_by_filter(tenant: Tenant) -> None:
    tenant.answer(FINANCE, {"value": [COMPANY]})
    async with client_of(tenant) as client:
        assert await client.basics.company("10")


async def test_another_company_under_the_key_is_never_taken_for_the_one_asked_for(tenant: Tenant) -> None:
    tenant.answer(f"{FINANCE}(Company='10')", COMPANY | {"Company": "20", "CurrencyCode": "USD"})
    tenant.answer(FINANCE, {"value": [COMPANY]})
    async with client_of(tenant) as client:
        company = await client.basics.company("10")
    assert company is not None
    assert company.currency == "EUR"


async def test_an_empty_list_means_that_the_company_is_not_visible(tenant: Tenant) -> None:
    tenant.answer(FINANCE, {"value": []})
    async with client_of(tenant) as client:
        assert await client.basics.company("10") is None


@pytest.mark.parametrize(("status", "error"), [(403, ForbiddenError), (404, NotFoundError)])
async def test_basic_data_that_is_not_granted_says_nothing_of_the_company(
    tenant: Tenant, status: int, error: type[Exception]
) -> None:
    tenant.answer(f"{FINANCE}(Company='10')", {}, status=status)
    tenant.answer(FINANCE, {}, status=status)
    async with client_of(tenant) as client:
        with pytest.raises(error):
            await client.basics.company("10")


async def rate_of(tenant: Tenant, rows: list[dict[str, Any]]) -> Rate | None:
    tenant.answer(f"{FINANCE}(Company='10')", COMPANY)
    tenant.answer("CurrencyRatesHandling.svc/CurrencyRateSet", {"value": rows})
    async with client_of(tenant) as client:
        company = await client.basics.company("10")
        assert company
        return await client.basics.rate(company, "1", "USD", date(2026, 7, 3))


async def test_the_newest_rate_on_or_before_the_date_is_taken_whatever_the_order(tenant: Tenant) -> None:
    rows = [
        {"ValidFrom": "2026-07-01", "CurrencyRate": 0.91371, "ConvFactor": 1},
        {"ValidFrom": "2026-07-04", "CurrencyRate": 0.99, "ConvFactor": 1},
        {"ValidFrom": "2026-07-03", "CurrencyRate": 91.5, "ConvFactor": 100},
    ]
    assert await rate_of(tenant, rows) == Rate(Decimal("91.5"), Decimal(100))
    asked = next(request for request in tenant.asked if "CurrencyRateSet" in request.path)
    assert asked.query["$filter"] == (
        "Company eq '10' and CurrencyType eq '1' and CurrencyCode eq 'USD' and ValidFrom le 2026-07-03"
    )


async def test_without_a_rate_there_is_none(tenant: Tenant) -> None:
    assert await rate_of(tenant, []) is None


async def test_the_rate_type_says_whether_rates_are_inverted(tenant: Tenant) -> None:
    tenant.answer(
        "CurrencyRatesHandling.svc/CurrencyTypeSet", {"value": [{"RefCurrencyCode": "EUR", "Inverted": True}]}
    )
    rate = await rate_of(tenant, [{"ValidFrom": "2026-07-01", "CurrencyRate": 1.1, "ConvFactor": 1}])
    assert rate == Rate(Decimal("1.1"), inverted=True)


async def test_the_companys_currency_says_so_where_the_type_does_not(tenant: Tenant) -> None:
    tenant.answer("CurrencyRatesHandling.svc/CurrencyTypeSet", {"value": [{"RefCurrencyCode": "EUR"}]})
    tenant.answer("CurrencyCodesHandling.svc/CurrencyCodeSet", {"value": [{"CurrencyCode": "EUR", "Inverted": "TRUE"}]})
    rate = await rate_of(tenant, [{"ValidFrom": "2026-07-01", "CurrencyRate": 1.1, "ConvFactor": 1}])
    assert rate == Rate(Decimal("1.1"), inverted=True)


async def test_a_rate_against_another_currency_than_the_companys_is_not_used(tenant: Tenant) -> None:
    tenant.answer("CurrencyRatesHandling.svc/CurrencyTypeSet", {"value": [{"RefCurrencyCode": "SEK"}]})
    with pytest.raises(UnusableRateError, match="quoted against SEK"):
        await rate_of(tenant, [{"ValidFrom": "2026-07-01", "CurrencyRate": 1.1, "ConvFactor": 1}])


async def test_a_rate_of_zero_is_not_used(tenant: Tenant) -> None:
    with pytest.raises(UnusableRateError, match="not a positive number"):
        await rate_of(tenant, [{"ValidFrom": "2026-07-01", "CurrencyRate": 0, "ConvFactor": 1}])


@pytest.mark.parametrize("missing", ["base_url", "realm", "client_id", "client_secret"])
def test_a_missing_setting_is_named(missing: str) -> None:
    facts: dict[str, Any] = {"base_url": "http://x", "realm": "r", "client_id": "c", "client_secret": SecretStr("s")}
    with pytest.raises(SettingsError, match=f"^ZIFS_IFS__{missing.upper()} "):
        token_source(IfsSettings(**(facts | {missing: None})))

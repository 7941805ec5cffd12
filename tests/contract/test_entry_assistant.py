"""The poster by way of IFS's voucher entry assistant: drafts count for nothing, creating is done once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from agents.poster.state import SPENT_KEY, Spent, written
from schemas.vouchers import VoucherNumber, VoucherRow
from streams.accounting.conversion import SAME_CURRENCY
from streams.settings import IfsSettings
from streams.systems.ifs import entry_assistant
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.entry_assistant import EntryAssistantPosting
from streams.systems.ifs.errors import Verdict
from streams.systems.ifs.posting import Created, NotPreparedError
from streams.systems.ifs.service import budget_of, connected, token_source
from streams.systems.ifs.set_up import Result, Terms, check_company
from tests.support.fakes import CrashError
from tests.support.posting import ROWS, Desk, command, open_desk, the_posted, the_rejected
from tests.support.servers import serving

ASSISTANT = "VoucherEntryAssistantHandling.svc/VoucherSet"
CLEAN_UP = "VoucherEntry_(RemoveTempVoucher|CleanupVirtualEntity)"
ROW = "VoucherPostingArray"


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk(posting="entry-assistant") as opened:
        yield opened


def requests(desk: Desk, method: str) -> int:
    return desk.sandbox.traffic.by_endpoint[f"{method} {ASSISTANT}"]


async def test_a_poster_that_dies_in_the_middle_of_a_long_draft_leaves_a_count_of_what_it_has_spent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 60
    rows = tuple(ROWS[number % 4].model_copy(update={"text": str(number)}) for number in range(many))
    add, added = EntryAssistantPosting._add, []

    async def add_until_death(*of_row: Any) -> None:
        await add(*of_row)
        added.append(of_row)
        if len(added) == many - 5:
            raise CrashError

    desk.table.durable[SPENT_KEY] = written(Spent(requests={}))
    monkeypatch.setattr(EntryAssistantPosting, "_add", add_until_death)
    monkeypatch.setattr(EntryAssistantPosting, "_clean_up", lambda *_: asyncio.sleep(0))
    async with desk.poster() as poster:
        with pytest.raises(CrashError):
            await desk.hand(poster, command(rows=rows, rest_row=0))
    spent = desk.sandbox.traffic.total

    async with desk.poster() as poster:
        await desk.tick(poster)
        assert await desk.budget.spent() >= spent > many


# --- the straight way -------------------------------------------------------------------------------------------------


async def test_a_command_becomes_one_voucher_and_leaves_no_draft(desk: Desk) -> None:
    posted = the_posted(await desk.post(command()))

    [voucher] = desk.vouchers()
    assert (posted.company, posted.voucher_type, posted.accounting_year, posted.voucher_no) == voucher.key
    assert (posted.found, voucher.header["VoucherText2"]) == (False, posted.reference)
    assert [row["ReferenceNumber"] for row in voucher.rows] == [posted.reference] * 4
    assert desk.sandbox.drafts == {}
    # The draft, its rows, CreateVoucher, the clean-up; nothing to change, since IFS's own choices are ours.
    assert (requests(desk, "POST"), requests(desk, "PATCH")) == (1 + len(ROWS) + 1 + 1, 0)


async def test_type_and_date_and_group_that_ifs_would_choose_otherwise_are_changed(desk: Desk) -> None:
    desk.sandbox.companies["10"].user_groups = {"AC": {"BILLCONN"}, "INT": {"BILLCONN"}}
    posted = the_posted(await desk.post(command(voucher_type="Z", voucher_date=date(2025, 12, 31))))

    [voucher] = desk.vouchers()
    assert voucher.key == ("10", "Z", 2025, posted.voucher_no)
    assert (posted.voucher_type, posted.accounting_year) == ("Z", 2025)
    assert (voucher.header["UserGroup"], voucher.header["VoucherDate"]) == ("INT", "2025-12-31")
    assert requests(desk, "PATCH") == 1


async def test_a_refusal_is_told_and_the_draft_is_cleaned_up(desk: Desk) -> None:
    desk.sandbox.companies["10"].voucher_types["M"].years = {2025}
    rejected = the_rejected(await desk.post(command()))
    assert (rejected.reason, desk.vouchers(), desk.sandbox.drafts) == ("number-series-missing", [], {})


# --- only CreateVoucher can be uncertain ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [f"{ASSISTANT}$", ROW], ids=["draft", "row"])
@pytest.mark.parametrize(
    "fault", [{"kind": "drop"}, {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"}]
)
async def test_a_draft_or_row_whose_answer_is_lost_is_made_anew_at_once(
    desk: Desk, path: str, fault: dict[str, Any]
) -> None:
    desk.sandbox.faults.order({"method": "POST", "path": path} | fault)
    posted = the_posted(await desk.post(command(), settle_seconds=600))  # waiting for it would take ten minutes

    assert (posted.found, len(desk.vouchers()), desk.posts) == (False, 1, 1)
    assert (desk.progress, desk.sandbox.drafts) == ([], {})


async def test_the_settle_time_counts_from_create_and_not_from_the_draft(desk: Desk) -> None:
    desk.sandbox.faults.order({"kind": "slow", "path": ROW, "seconds": 0.6, "times": 2})  # longer than settle_seconds
    desk.fault("commit-late", seconds=0.7)
    posted = the_posted(await desk.post(command()))
    assert (posted.found, len(desk.vouchers()), desk.posts) == (True, 1, 1)


async def test_a_draft_that_is_gone_before_it_was_created_is_made_anew(desk: Desk) -> None:
    body = '{"error": {"code": "ODP_RESOURCE_NOTFOUND", "message": "The resource was not found."}}'
    desk.fault("status", status=404, body=body)
    the_posted(await desk.post(command()))
    assert (len(desk.vouchers()), desk.progress) == (1, [])


# --- cleaning up ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [{"kind": "drop"}, {"kind": "status", "status": 405, "body": "no"}, {"kind": "hang", "seconds": 5}],
    ids=["drop", "not offered", "hang"],
)
async def test_a_draft_that_cannot_be_cleaned_up_changes_nothing(
    desk: Desk, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_assistant, "CLEAN_UP_SECONDS", 0.2)
    desk.sandbox.faults.order({"path": CLEAN_UP, "times": 9} | fault)
    posted = the_posted(await desk.post(command()))
    assert (posted.found, len(desk.vouchers()), len(desk.sandbox.drafts)) == (False, 1, 1)


async def test_where_the_assistants_own_clean_up_is_not_offered_that_of_all_entities_is_taken(desk: Desk) -> None:
    desk.sandbox.faults.order({"kind": "status", "status": 405, "body": "no", "path": "RemoveTempVoucher"})
    the_posted(await desk.post(command()))
    assert desk.sandbox.drafts == {}


# --- what IFS makes of a draft ----------------------------------------------------------------------------------------


DRAFT = {"Objkey": "AB12", "VoucherType": "M", "UserGroup": "INT", "VoucherDate": "2026-07-03", "AccountingYear": 2026}
AT = f"{ASSISTANT}(Objkey='AB12')"
COMPANY_ROWS = (
    VoucherRow(account="1510", debit=Decimal(1), company_debit=Decimal(1), text="a"),
    VoucherRow(account="3010", credit=Decimal(1), company_credit=Decimal(1), text="b"),
)


async def created(answers: dict[str, Any], asked: list[web.Request], **changes: Any) -> Created:
    """Post to a server that answers by method and path with (status, body)."""

    async def handle(request: web.Request) -> web.Response:
        if request.path.startswith("/auth/"):
            return web.json_response({"access_token": "t", "expires_in": 180})
        asked.append(request)
        path = request.raw_path.rpartition("/v1/")[2].removeprefix(AT).removeprefix(ASSISTANT).rpartition("_")[2]
        status, body = answers.get(f"{request.method} {path}", (204, None))
        return web.Response(status=status) if body is None else web.json_response(body, status=status)

    async with serving(handle) as url:
        ifs = IfsSettings(
            base_url=url, realm="r", client_id="c", client_secret=SecretStr("s"), posting="entry-assistant"
        )
        async with connected(ifs, token_source(ifs), budget_of(ifs)) as service:
            posting = IfsClient(service, ifs).posting
            async with posting.prepared(command(**changes), COMPANY_ROWS, SAME_CURRENCY, None) as send:
                return await send()


ANSWERS = {"POST ": (201, DRAFT), "POST /VoucherPostingArray": (201, {}), "POST CreateVoucher": (200, {"value": 7})}


async def test_the_number_is_made_of_what_the_draft_shows_and_what_creating_returns() -> None:
    asked: list[web.Request] = []
    done = await created(ANSWERS, asked)

    assert done.number == VoucherNumber(company="10", voucher_type="M", accounting_year=2026, voucher_no=7)
    create = next(request for request in asked if "CreateVoucher" in request.path)
    assert create.headers["Prefer"] == "wait=20"
    assert create.headers["X-IFS-Accept-Warnings"] == "true"
    assert create.raw_path.endswith(f"{AT}/IfsApp.VoucherEntryAssistantHandling.VoucherEntry_CreateVoucher")


async def test_a_change_that_shows_nothing_leaves_the_number_to_a_look_up() -> None:
    asked: list[web.Request] = []
    done = await created({**ANSWERS, "PATCH ": (204, None)}, asked, voucher_type="Z")

    assert (done.judgement.verdict, done.number) == (Verdict.DONE, None)
    change = next(request for request in asked if request.method == "PATCH")
    assert change.headers["If-Match"] == "*"  # the draft gave no tag


async def test_a_draft_that_keeps_another_type_than_asked_for_is_not_created() -> None:
    asked: list[web.Request] = []
    with pytest.raises(NotPreparedError, match="VoucherType M instead of Z"):
        await created({**ANSWERS, "PATCH ": (200, DRAFT)}, asked, voucher_type="Z")
    assert not [request for request in asked if "CreateVoucher" in request.path]
    assert "RemoveTempVoucher" in asked[-1].path


async def test_an_answer_that_names_no_draft_is_tried_a_few_times_and_then_a_persons() -> None:
    with pytest.raises(NotPreparedError) as caught:
        await created({"POST ": (200, {"hello": "gateway"})}, [])
    assert caught.value.judgement.verdict is Verdict.DATABASE


# --- ping -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "result", "words"),
    [(200, Result.OK, "can be looked up"), (404, Result.FAILED, "ZIFS_IFS__POSTING"), (403, Result.FAILED, "403")],
)
async def test_whether_the_assistant_may_be_used_is_found_out_without_a_draft(
    desk: Desk, status: int, result: Result, words: str
) -> None:
    if status != 200:
        desk.sandbox.faults.order({"kind": "status", "status": status, "path": "EntryAssistant", "body": "no"})
    ifs = IfsSettings(**desk.settings)
    async with connected(ifs, token_source(ifs), budget_of(ifs)) as service:
        terms = Terms("10", "M", "INT")
        findings = {one.check: one async for one in check_company(IfsClient(service, ifs), terms, date(2026, 7, 3))}

    assert findings["vouchers"].result is result
    assert words in findings["vouchers"].detail
    assert not [name for name in desk.sandbox.traffic.by_endpoint if name.startswith("POST")]

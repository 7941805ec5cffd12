"""The poster against the IFS sandbox: whatever goes wrong on the way, one command makes one voucher."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pytest
from pydantic import SecretStr

from agents.poster.budget import UNRECORDED_MOST
from agents.poster.poster import Poster
from agents.poster.state import SPENT_KEY, Spent, written
from deploy.sandbox.ifs.app import create_app
from deploy.sandbox.ifs.settings import IfsSettings as SandboxSettings
from deploy.sandbox.ifs.state import IfsSandbox
from deploy.sandbox.serving import listening
from schemas import topics
from schemas.base import DocumentType, Model, utc_now
from schemas.errors import ConnectorError, SettingsError
from schemas.topics import TopicNames
from schemas.vouchers import PostingProgressed, PostVoucher, VoucherPosted, VoucherRejected, VoucherRow
from streams.settings import IfsSettings
from streams.systems.budget import RateBudget
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.service import budget_of, connected, token_source
from streams.systems.retry import BackOff
from tests.support.fakes import CrashError, FakeTable, FakeWork, decoded, fake_event, header

NAMES = TopicNames("", "zuora-ifs")
COMMANDS = NAMES.public(topics.VOUCHER_COMMAND)
OUTCOMES = NAMES.public(topics.VOUCHER)
PROGRESS = NAMES.working(topics.POSTING_PROGRESS)
SET = r"VoucherHandling\.svc/VoucherSet"
LEDGER = "GenLedVoucherRowSet"

ROWS = (
    VoucherRow(account="1510", code_parts={"B": "100"}, debit=Decimal("100.00"), text="INV1 receivable A1"),
    VoucherRow(account="2610", credit=Decimal("20.00"), text="INV1 tax"),
    VoucherRow(account="3010", code_parts={"B": "100"}, credit=Decimal("33.33"), text="INV1 revenue"),
    VoucherRow(account="3020", code_parts={"B": "200"}, credit=Decimal("46.67"), text="INV1 revenue"),
)


def command(reference: str = "INV1-AAAABBBBCCCCDDDDEEEE", **changes: Any) -> PostVoucher:
    facts: dict[str, Any] = {
        "command_id": f"command of {reference}", "app_id": "zuora-ifs", "record_id": "Invoice:1",
        "document_type": DocumentType.INVOICE, "account_id": "A1", "reference": reference, "fingerprint": "f",
        "document_offset": 1, "company": "10", "voucher_type": "M", "voucher_date": date(2026, 7, 3),
        "rate_date": date(2026, 7, 3), "user_group": "INT", "text": "INV1", "currency": "EUR", "currency_type": "1",
        "rows": ROWS, "rest_row": 3,
    }  # fmt: skip
    return PostVoucher(**(facts | changes))


class Desk:
    """A sandbox, a table that outlives posters, and what they sent."""

    def __init__(self, sandbox: IfsSandbox, url: str) -> None:
        self.sandbox = sandbox
        self.table = FakeTable()
        self.sent: list[Model] = []
        self.ids: list[str] = []
        self.budget = RateBudget(1)
        self.settings: dict[str, Any] = {
            "base_url": url, "realm": sandbox.settings.realm, "client_id": sandbox.settings.client_id,
            "client_secret": SecretStr(sandbox.settings.client_secret), "settle_seconds": 1,
        }  # fmt: skip

    @asynccontextmanager
    async def poster(self, table: FakeTable | None = None, **settings: Any) -> AsyncIterator[Poster]:
        """A poster as a new process would start it: on what the table has durably."""
        if table is None:
            table = self.table = FakeTable(self.table.durable)
        ifs_settings = IfsSettings(**(self.settings | settings))
        async with connected(ifs_settings, token_source(ifs_settings), budget_of(ifs_settings)) as service:
            self.budget = service.budget
            yield Poster(
                IfsClient(service, ifs_settings),
                names=NAMES,
                commands=cast("Any", table),
                app_id="zuora-ifs",
                settings=ifs_settings,
                back_off=BackOff(first=0.01, longest=0.05),
            )

    async def post(self, *commands: PostVoucher, crash_at: int = 0, **settings: Any) -> list[Model]:
        """Let a new poster work through commands; returns the outcomes that it sent."""
        async with self.poster(**settings) as poster:
            for each in commands:
                work = FakeWork(self.table, crash_at=crash_at)
                try:
                    await poster.on_command(cast("Any", fake_event(COMMANDS, each.company, each)), cast("Any", work))
                    self.table.confirm()
                finally:
                    self.sent += [decoded(message) for message in work.sent]
                    self.ids += [header(message, "ce_id") for message in work.sent]
        return self.outcomes

    def fault(self, kind: str, **wanted: Any) -> None:
        self.sandbox.faults.order({"kind": kind, "path": SET, "method": "POST"} | wanted)

    @property
    def outcomes(self) -> list[Model]:
        return [event for event in self.sent if not isinstance(event, PostingProgressed)]

    @property
    def progress(self) -> list[str]:
        return [event.progress for event in self.sent if isinstance(event, PostingProgressed)]

    @property
    def posts(self) -> int:
        return self.sandbox.counts["posts"]

    def vouchers(self, reference: str = "INV1-AAAABBBBCCCCDDDDEEEE") -> list[Any]:
        return [voucher for voucher in self.sandbox.ledger.vouchers.values() if reference in voucher.references]


@asynccontextmanager
async def open_desk(**settings: Any) -> AsyncIterator[Desk]:
    sandbox = IfsSandbox(SandboxSettings(**settings))
    async with listening(create_app(sandbox)) as url:
        yield Desk(sandbox, url)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


def the_posted(outcomes: Sequence[Model]) -> VoucherPosted:
    assert len(outcomes) == 1
    assert isinstance(outcomes[0], VoucherPosted)
    return outcomes[0]


def the_rejected(outcomes: Sequence[Model]) -> VoucherRejected:
    assert len(outcomes) == 1
    assert isinstance(outcomes[0], VoucherRejected)
    return outcomes[0]


# --- the straight way -------------------------------------------------------------------------------------------------


async def test_a_command_becomes_one_voucher_with_two_requests(desk: Desk) -> None:
    posted = the_posted(await desk.post(command()))

    [voucher] = desk.vouchers()
    assert (posted.company, posted.voucher_type, posted.accounting_year, posted.voucher_no) == voucher.key
    assert posted.reference == voucher.header["VoucherText2"]
    assert (posted.found, posted.shadow, posted.amount) == (False, False, Decimal("100.00"))
    assert {row["ReferenceNumber"] for row in voucher.rows} == {posted.reference}
    of_the_set = {name: n for name, n in desk.sandbox.traffic.by_endpoint.items() if "VoucherSet" in name}
    assert of_the_set == {"GET VoucherHandling.svc/VoucherSet": 1, "POST VoucherHandling.svc/VoucherSet": 1}


async def test_a_foreign_currency_is_converted_at_the_rate_ifs_has_for_the_documents_date(desk: Desk) -> None:
    posted = the_posted(await desk.post(command(currency="USD", voucher_date=date(2026, 8, 1))))

    assert (posted.rate, posted.company_currency) == (Decimal("0.91371"), "EUR")
    assert [row.company_debit or row.company_credit for row in posted.rows] == [
        Decimal("91.37"), Decimal("18.27"), Decimal("30.45"), Decimal("42.65"),
    ]  # fmt: skip
    [voucher] = desk.vouchers()
    assert [row["DebetAmount"] or row["CreditAmount"] for row in voucher.rows] == [
        Decimal("91.37"), Decimal("18.27"), Decimal("30.45"), Decimal("42.65"),
    ]  # fmt: skip


async def test_a_company_with_inverted_quotation_gets_the_amounts_that_ifs_itself_computes(desk: Desk) -> None:
    posted = the_posted(await desk.post(command(company="40", currency="EUR")))

    company = desk.sandbox.companies["40"]
    rate = company.rate_on("EUR", "1", "2026-07-03")
    assert rate
    assert posted.rows[0].company_debit == company.converted(Decimal("100.00"), rate.rate, rate.conversion_factor)
    assert len(desk.vouchers()) == 1


async def test_without_a_rate_on_or_before_the_date_the_command_is_rejected(desk: Desk) -> None:
    rejected = the_rejected(await desk.post(command(currency="USD", rate_date=date(2024, 12, 31))))
    assert (rejected.reason, desk.posts) == ("currency-rate-missing", 0)


async def test_a_company_with_a_parallel_currency_is_rejected(desk: Desk) -> None:
    rejected = the_rejected(await desk.post(command(company="30", currency="USD")))
    assert (rejected.reason, desk.posts) == ("parallel-currency", 0)


# --- the same again ---------------------------------------------------------------------------------------------------


async def test_a_command_that_comes_again_sends_the_same_outcome_again_and_asks_ifs_nothing(desk: Desk) -> None:
    await desk.post(command(currency="USD"))
    requests = desk.sandbox.traffic.total
    await desk.post(command(currency="USD"))

    assert desk.sandbox.traffic.total == requests
    assert desk.sent[0] == desk.sent[1]
    assert desk.ids[0] == desk.ids[1]


async def test_a_refusal_is_kept_too(desk: Desk) -> None:
    desk.sandbox.companies["10"].closed_periods.add((2026, 7))
    await desk.post(command())
    desk.sandbox.companies["10"].closed_periods.clear()
    await desk.post(command())

    assert desk.sent[0] == desk.sent[1]
    assert desk.vouchers() == []


async def test_a_new_command_for_a_reference_that_is_there_adopts_its_voucher_at_its_own_rate(desk: Desk) -> None:
    await desk.post(command(currency="USD"))
    first = desk.outcomes[0]
    desk.table, desk.sent = FakeTable(), []  # another app id, or lost tables
    desk.sandbox.companies["10"].rates.clear()
    found = the_posted(await desk.post(command(command_id="another", currency="USD")))

    assert isinstance(first, VoucherPosted)
    assert found.found
    assert (found.voucher_no, found.rate, found.rows) == (first.voucher_no, first.rate, first.rows)
    assert len(desk.vouchers()) == 1


async def test_commands_of_another_app_are_passed_over(desk: Desk) -> None:
    assert await desk.post(command(app_id="another-app")) == []
    assert desk.sandbox.traffic.total == 0


async def test_what_is_no_command_goes_to_the_dead_letters_whole(desk: Desk) -> None:
    async with desk.poster() as poster:
        work = FakeWork(desk.table)
        event = fake_event(COMMANDS, "10", command())
        broken = type(event)(event.topic, event.key, b'{"half', event.headers, offset=17)
        await poster.on_command(cast("Any", broken), cast("Any", work))

    [letter] = work.to(NAMES.public(topics.DEAD_LETTER))
    assert letter.value == b'{"half'
    assert (header(letter, "dlq.offset"), header(letter, "dlq.topic")) == ("17", COMMANDS)
    assert "not a PostVoucher" in header(letter, "dlq.reason")


# --- answers that get lost --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["commit-then-drop", "commit-then-504"])
async def test_a_committed_voucher_whose_answer_is_lost_is_found(desk: Desk, kind: str) -> None:
    desk.fault(kind)
    posted = the_posted(await desk.post(command()))

    assert (posted.found, len(desk.vouchers()), desk.posts) == (True, 1, 1)
    assert desk.progress == ["uncertain"]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop"},
        {"kind": "slow", "seconds": 30},
        {"kind": "status", "status": 500, "body": ""},
        {"kind": "status", "status": 502, "body": "<html><h1>Bad Gateway</h1></html>"},
    ],
    ids=["cut connection", "time-out", "500 without a word", "gateway page"],
)
async def test_a_voucher_that_was_not_committed_is_sent_again_after_the_settle_time(
    desk: Desk, fault: dict[str, Any]
) -> None:
    started = asyncio.get_running_loop().time()
    desk.fault(**fault)
    posted = the_posted(await desk.post(command()))

    assert asyncio.get_running_loop().time() - started >= 1  # ZIFS_IFS__SETTLE_SECONDS of this test
    assert (posted.found, len(desk.vouchers())) == (False, 1)
    assert desk.progress == ["uncertain", "posting"]


async def test_a_commit_that_comes_after_the_answer_was_lost_is_waited_for(desk: Desk) -> None:
    desk.fault("commit-late", seconds=0.7)
    posted = the_posted(await desk.post(command()))

    assert (posted.found, len(desk.vouchers()), desk.posts) == (True, 1, 1)


async def test_a_voucher_that_has_moved_to_the_general_ledger_meanwhile_is_found_there(desk: Desk) -> None:
    desk.fault("commit-then-drop")
    desk.sandbox.faults.order({"kind": "slow", "path": SET, "method": "GET", "seconds": 0.3})  # the first look
    ledger = desk.sandbox.ledger
    book = ledger.book

    def book_and_update(header_: Any, rows: Any) -> Any:
        voucher = book(header_, rows)
        ledger.update_general_ledger("10")
        return voucher

    ledger.book = book_and_update  # type: ignore[method-assign]
    posted = the_posted(await desk.post(command()))

    [voucher] = desk.vouchers()
    assert voucher.in_gl
    assert (posted.found, posted.voucher_no, desk.posts) == (True, voucher.key[3], 1)


# --- crashes ----------------------------------------------------------------------------------------------------------


async def test_a_crash_before_the_intent_is_written_leaves_nothing_and_the_next_poster_begins_anew(desk: Desk) -> None:
    with pytest.raises(CrashError):
        await desk.post(command(), crash_at=1)
    assert desk.vouchers() == []

    posted = the_posted(await desk.post(command()))
    assert (posted.found, len(desk.vouchers())) == (False, 1)


async def test_after_a_crash_between_post_and_outcome_the_next_poster_looks_and_finds(desk: Desk) -> None:
    with pytest.raises(CrashError):
        await desk.post(command(currency="USD"), crash_at=2)  # the POST is done, its outcome is not confirmed
    assert len(desk.vouchers()) == 1
    desk.sent.clear()

    posted = the_posted(await desk.post(command(currency="USD")))
    assert (posted.found, posted.rate, len(desk.vouchers()), desk.posts) == (True, Decimal("0.91371"), 1, 1)
    assert desk.progress == ["uncertain"]


async def test_after_a_crash_before_the_post_the_next_poster_waits_and_then_sends(desk: Desk) -> None:
    desk.fault("drop")
    with pytest.raises(CrashError):
        await desk.post(command(), crash_at=2)  # in the word to the bookkeeper, after the POST that never arrived
    desk.sent.clear()

    posted = the_posted(await desk.post(command()))
    assert (posted.found, len(desk.vouchers())) == (False, 1)
    assert desk.progress == ["uncertain", "posting"]


# --- others write, IFS is busy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 6])
async def test_another_writer_between_read_and_post_means_a_fresh_read_each_time(desk: Desk, times: int) -> None:
    desk.fault("other-writer", times=times)
    posted = the_posted(await desk.post(command()))

    assert (posted.found, len(desk.vouchers())) == (False, 1)
    assert desk.sandbox.counts["preconditionFailed"] == times
    assert desk.sandbox.traffic.by_endpoint["GET VoucherHandling.svc/VoucherSet"] == times + 1
    assert desk.progress == []


async def test_too_many_requests_waits_as_long_as_ifs_asks_for(desk: Desk) -> None:
    started = asyncio.get_running_loop().time()
    desk.fault("rate-limit", seconds=1)
    the_posted(await desk.post(command()))

    assert asyncio.get_running_loop().time() - started >= 1
    assert (len(desk.vouchers()), desk.progress) == (1, [])


@pytest.mark.parametrize("kind", ["locked", "metadata-changed", "database-error"])
async def test_what_passes_is_tried_again_without_being_uncertain(desk: Desk, kind: str) -> None:
    desk.fault(kind, times=2)
    the_posted(await desk.post(command()))
    assert (len(desk.vouchers()), desk.progress) == (1, [])


async def test_a_database_error_that_stays_ends_in_a_rejection(desk: Desk) -> None:
    desk.fault("database-error", times=99)
    rejected = the_rejected(await desk.post(command()))
    assert (rejected.reason, rejected.code) == ("database-error", "ORA-00060")


async def test_a_token_that_is_refused_is_renewed_and_the_post_is_done_once(desk: Desk) -> None:
    async with desk.poster() as poster:
        for number in (1, 2):
            work = FakeWork(desk.table)
            event = fake_event(COMMANDS, "10", command(f"INV{number}-AAAABBBBCCCCDDDDEEEE"))
            await poster.on_command(cast("Any", event), cast("Any", work))
            desk.sandbox.revoke_tokens()

    assert len(desk.vouchers("INV2-AAAABBBBCCCCDDDDEEEE")) == 1
    assert desk.sandbox.counts["tokensIssued"] == 2


async def test_reads_in_trouble_are_tried_again(desk: Desk) -> None:
    for status in (503, 500, 502):
        desk.sandbox.faults.order({"kind": "status", "method": "GET", "status": status, "body": "<html>oops</html>"})
    desk.sandbox.faults.order({"kind": "drop", "method": "GET"})
    the_posted(await desk.post(command()))
    assert len(desk.vouchers()) == 1


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["400", "500"])
async def test_a_business_refusal_is_told_at_once_with_ifs_words_and_advice(status: str) -> None:
    async with open_desk(business_error_status=status) as desk:
        desk.sandbox.companies["10"].closed_periods.add((2026, 7))
        rejected = the_rejected(await desk.post(command()))

        assert "ORA-20110" in (rejected.code or "")
        assert rejected.message.startswith("ORA-20110: ")
        assert rejected.reason.startswith("period-")
        assert "replay" in rejected.advice
        assert (desk.vouchers(), desk.posts, desk.progress) == ([], 1, [])


async def test_a_refusal_blocks_nothing_behind_it(desk: Desk) -> None:
    bad = command("BAD1-AAAABBBBCCCCDDDDEEEE", rows=(ROWS[0].model_copy(update={"account": "0000"}), *ROWS[1:]))
    outcomes = await desk.post(bad, command())
    assert [type(event) for event in outcomes] == [VoucherRejected, VoucherPosted]


@pytest.mark.parametrize(("status", "reason"), [(403, "not-permitted"), (400, "request-not-understood")])
async def test_a_refusal_in_a_gateways_html_is_told_in_its_words(desk: Desk, status: int, reason: str) -> None:
    desk.fault("status", status=status, body="<html><body><h1>No</h1> entry</body></html>")
    rejected = the_rejected(await desk.post(command()))
    assert (rejected.reason, rejected.code, rejected.message) == (reason, None, "No entry")


async def test_a_company_that_cannot_be_seen_is_rejected_and_nothing_is_sent(desk: Desk) -> None:
    desk.sandbox.companies["10"].visible = False
    rejected = the_rejected(await desk.post(command()))
    assert (rejected.reason, desk.posts) == ("company-not-visible", 0)


# --- a look-up that proves nothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404])
async def test_a_look_up_that_is_refused_stops_the_poster_with_one_line(desk: Desk, status: int) -> None:
    desk.fault("status", method="GET", status=status, body="Insufficient privileges.")
    with pytest.raises(ConnectorError, match=rf"does not let us look for vouchers in VoucherHandling.*{status}"):
        await desk.post(command())
    assert desk.posts == 0


@pytest.mark.parametrize("status", [403, 404])
async def test_a_refused_look_into_the_ledger_is_never_absence(desk: Desk, status: int) -> None:
    desk.fault("drop")
    desk.fault("status", method="GET", path=LEDGER, status=status, body="no", times=99)
    with pytest.raises(ConnectorError, match="GLVoucherRowsAnalysis"):
        await desk.post(command())
    assert desk.posts == 0  # the one POST was cut off before it was counted


async def test_a_company_that_vanishes_while_a_voucher_is_uncertain_stops_the_poster(desk: Desk) -> None:
    with pytest.raises(CrashError):
        await desk.post(command(), crash_at=2)
    desk.sandbox.companies["10"].visible = False
    with pytest.raises(ConnectorError, match="may have been created there"):
        await desk.post(command())
    assert (len(desk.vouchers()), desk.posts) == (1, 1)


async def test_a_gateway_that_drops_the_filter_proves_nothing(desk: Desk) -> None:
    row = '{"value": [{"Company": "10", "VoucherText2": "OTHER", "VoucherNo": 1}], "@odata.etag": "x"}'
    desk.fault("status", method="GET", status=200, body=row)
    with pytest.raises(ConnectorError, match=r"drops \$filter"):
        await desk.post(command())
    assert desk.posts == 0


async def test_a_set_without_a_tag_stops_the_poster_where_one_is_required(desk: Desk) -> None:
    desk.fault("status", method="GET", status=200, body='{"value": []}')
    with pytest.raises(SettingsError, match="ZIFS_IFS__ETAG"):
        await desk.post(command())
    assert desk.posts == 0


async def test_a_set_without_a_tag_is_fine_where_ifs_needs_none() -> None:
    async with open_desk(etag="if-given") as desk:
        desk.fault("status", method="GET", status=200, body='{"value": []}')
        the_posted(await desk.post(command(), etag="if-given"))
        assert len(desk.vouchers()) == 1


# --- rehearsal, budget ------------------------------------------------------------------------------------------------


async def test_in_shadow_mode_everything_is_done_but_the_post(desk: Desk) -> None:
    posted = the_posted(await desk.post(command(currency="USD"), mode="shadow"))

    assert (posted.shadow, posted.voucher_no, posted.accounting_year) == (True, None, None)
    assert posted.rows[0].company_debit == Decimal("91.37")
    assert (desk.posts, desk.vouchers()) == (0, [])


async def test_many_commands_make_one_voucher_each_and_never_pass_the_limit() -> None:
    async with open_desk(requests_per_minute=100) as desk:
        commands = [command(f"INV{number}-AAAABBBBCCCCDDDDEEEE") for number in range(20)]
        outcomes = await desk.post(*commands, requests_per_minute=100)

        assert len(outcomes) == 20
        assert all(len(desk.vouchers(each.reference)) == 1 for each in commands)
        assert desk.sandbox.traffic.refused_for_rate == 0


async def test_a_new_poster_counts_what_the_one_before_spent(desk: Desk) -> None:
    await desk.post(*[command(f"INV{number}-AAAABBBBCCCCDDDDEEEE") for number in range(5)])
    made = desk.sandbox.traffic.total
    assert made == 11  # the company once, then a read and a POST each

    await desk.post(command("INV9-AAAABBBBCCCCDDDDEEEE"))
    assert await desk.budget.spent() == made + UNRECORDED_MOST + 3


async def test_what_was_spent_more_than_a_minute_ago_is_free_again(desk: Desk) -> None:
    long_ago = int(utc_now().timestamp()) - 70
    desk.table.durable[SPENT_KEY] = written(Spent(requests={long_ago: 900}))
    await desk.post(command())
    assert await desk.budget.spent() == 3


async def test_a_first_poster_takes_half_of_the_budget_as_spent(desk: Desk) -> None:
    await desk.post(command(), requests_per_minute=1000)
    assert await desk.budget.spent() == 950 // 2 + 3

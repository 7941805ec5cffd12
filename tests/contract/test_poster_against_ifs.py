"""The poster against the IFS sandbox: one command makes one voucher, and what IFS refuses is told."""

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pytest

from agents.poster.budget import UNRECORDED_MOST
from agents.poster.state import SPENT_KEY, Spent, written
from agents.poster.trouble import CannotPostError
from schemas import topics
from schemas.base import utc_now
from schemas.vouchers import VoucherPosted, VoucherRejected
from tests.support.fakes import FakeTable, FakeWork, fake_event, header
from tests.support.posting import COMMANDS, NAMES, ROWS, Desk, command, open_desk, the_posted, the_rejected

VALIDATION = 5
"""Requests for accounts, cost centres, the voucher type, periods and groups: once in a while."""


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


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


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_where_rates_may_not_be_read_only_documents_that_need_one_are_rejected(desk: Desk, status: int) -> None:
    no_rates = {"kind": "status", "path": "CurrencyRateSet", "status": status, "body": "no", "times": 9}
    desk.sandbox.faults.order(no_rates)
    foreign, own = command("INV1-A", currency="USD", account_id="A"), command("INV2-B", account_id="B")
    rejected, posted = await desk.post(foreign, own)

    assert isinstance(rejected, VoucherRejected)
    assert (rejected.reference, rejected.reason) == ("INV1-A", "currency-rates-not-readable")
    assert isinstance(posted, VoucherPosted)


@pytest.mark.parametrize("batch_size", [1, 50])
async def test_a_voucher_that_is_there_at_a_rate_that_cannot_be_told_is_never_rejected_nor_are_others_with_it(
    desk: Desk, batch_size: int
) -> None:
    foreign, own = command("INV1-A", currency="USD", account_id="A"), command("INV2-B", account_id="B")
    await desk.post(foreign)
    desk.table.durable.clear()  # as under another app id
    desk.sent.clear()
    no_rows = {"kind": "status", "path": "VoucherRowsAnalysis", "status": 404, "body": "no", "times": 9}
    no_rate = '{"value": [{"Company": "10", "CurrencyType": "1", "CurrencyCode": "USD", "CurrencyRate": 0}]}'
    desk.sandbox.faults.order(no_rows)
    desk.sandbox.faults.order({"kind": "status", "path": "CurrencyRateSet", "status": 200, "body": no_rate, "times": 9})

    async with desk.poster(batch_size=batch_size) as poster:
        with pytest.raises(CannotPostError, match="INV1-A is in IFS, but its rate cannot be told"):
            await desk.hand(poster, foreign, own)
    assert desk.outcomes == []


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
        await poster.on_events(cast("Any", [(broken, work)]))

    [letter] = work.to(NAMES.public(topics.DEAD_LETTER))
    assert letter.value == b'{"half'
    assert (header(letter, "dlq.offset"), header(letter, "dlq.topic")) == ("17", COMMANDS)
    assert "not a PostVoucher" in header(letter, "dlq.reason")


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["400", "500"])
async def test_a_business_refusal_is_told_at_once_with_ifs_words_and_advice(status: str) -> None:
    async with open_desk(business_error_status=status) as desk:
        desk.sandbox.companies["10"].voucher_types["M"].years.clear()
        rejected = the_rejected(await desk.post(command()))

        assert rejected.code == "ORA-20110 VoucherNoSerial.NO_SER"
        assert rejected.message.startswith("ORA-20110: ")
        assert rejected.reason == "number-series-missing"
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


async def test_a_company_without_a_currency_is_rejected_and_stops_no_other(desk: Desk) -> None:
    odd = '{"Company": "10"}'
    desk.sandbox.faults.order(
        {"kind": "status", "path": "CompanyFinanceSet", "method": "GET", "status": 200, "body": odd}
    )
    rejected = the_rejected(await desk.post(command()))
    assert (rejected.reason, desk.posts) == ("company-not-visible", 0)
    assert "gives no CurrencyCode" in rejected.message


# --- budget -----------------------------------------------------------------------------------------------------------


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
    assert made == 11 + VALIDATION  # the company once, then a read and a POST each

    await desk.post(command("INV9-AAAABBBBCCCCDDDDEEEE"))
    assert await desk.budget.spent() == made + UNRECORDED_MOST + 3 + VALIDATION


async def test_what_was_spent_more_than_a_minute_ago_is_free_again(desk: Desk) -> None:
    long_ago = int(utc_now().timestamp()) - 70
    desk.table.durable[SPENT_KEY] = written(Spent(requests={long_ago: 900}))
    await desk.post(command())
    assert await desk.budget.spent() == 3 + VALIDATION


async def test_a_first_poster_takes_half_of_the_budget_as_spent(desk: Desk) -> None:
    await desk.post(command(), requests_per_minute=1000)
    assert await desk.budget.spent() == 950 // 2 + 3 + VALIDATION

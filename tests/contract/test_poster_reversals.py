"""The poster against the IFS sandbox: vouchers at a rate that is known already, and reversals."""

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pytest

from schemas import topics
from schemas.vouchers import KnownRate, PostVoucher, VoucherPosted, VoucherRejected, VoucherReversed
from tests.support.fakes import CrashError, FakeWork, fake_event, header
from tests.support.posting import COMMANDS, NAMES, Desk, command, open_desk, reversal_of, the_posted, the_rejected

OLD_RATE = KnownRate(company_currency="EUR", rate=Decimal("0.90"), conversion_factor=Decimal(1))


@pytest.fixture(params=["voucher-set", "entry-assistant"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with open_desk(posting=request.param) as opened:
        yield opened


async def posted_and_reversed(desk: Desk, **changes: Any) -> tuple[VoucherPosted, VoucherReversed]:
    first = the_posted(await desk.post(command(currency="USD")))
    last = (await desk.post(reversal_of(first, **changes)))[-1]
    assert isinstance(last, VoucherReversed)
    return first, last


# --- reversals --------------------------------------------------------------------------------------------------------


async def test_a_reversal_is_a_voucher_of_its_own_that_takes_the_first_to_nothing(desk: Desk) -> None:
    first, last = await posted_and_reversed(desk)

    assert (last.reverses_reference, last.reference) == (first.reference, f"{first.reference}-R")
    assert (last.reverses.voucher_no, last.voucher_no) == (first.voucher_no, 2026000002)
    [voucher] = desk.vouchers(last.reference)
    assert voucher.header["VoucherText2"] == last.reference
    assert {row["ReferenceNumber"] for row in voucher.rows} == {last.reference}
    balance = desk.sandbox.ledger.trial_balance("10")
    assert balance
    assert all(not entry["amount"] and not entry["currencyAmount"] for entry in balance)


async def test_a_reversal_repeats_the_amounts_and_the_rate_whatever_ifs_has_by_now(desk: Desk) -> None:
    first = the_posted(await desk.post(command(currency="USD")))
    desk.sandbox.companies["10"].rates = [
        rate for rate in desk.sandbox.companies["10"].rates if rate.valid_from < "2026-01-01"
    ]
    last = (await desk.post(reversal_of(first, voucher_date=date(2026, 8, 4))))[-1]

    assert isinstance(last, VoucherReversed)
    assert (last.rate, last.voucher_date) == (first.rate, date(2026, 8, 4))
    assert [row.company_credit or row.company_debit for row in last.rows] == [
        row.company_debit or row.company_credit for row in first.rows
    ]
    [voucher] = desk.vouchers(last.reference)
    assert {row["CurrencyRate"] for row in voucher.rows} == {Decimal("0.91371")}
    assert "GET CurrencyRatesHandling.svc/CurrencyRateSet" not in {
        name for name, count in desk.sandbox.traffic.by_endpoint.items() if count > 1
    }


async def test_a_reversal_that_comes_again_is_told_again_and_not_made_again(desk: Desk) -> None:
    first, last = await posted_and_reversed(desk)
    await desk.post(reversal_of(first))
    assert desk.sent[-1] == last
    assert len(desk.vouchers(last.reference)) == 1


@pytest.mark.parametrize("kind", ["commit-then-drop", "commit-then-504", "drop"])
async def test_a_reversal_whose_answer_is_lost_is_made_once(desk: Desk, kind: str) -> None:
    first = the_posted(await desk.post(command(currency="USD")))
    desk.fault(kind)
    last = (await desk.post(reversal_of(first)))[-1]

    assert isinstance(last, VoucherReversed)
    assert last.rate == first.rate
    assert len(desk.vouchers(last.reference)) == 1
    assert desk.progress[0] == "uncertain"


async def test_after_a_crash_a_reversal_is_found_by_the_next_poster(desk: Desk) -> None:
    first = the_posted(await desk.post(command(currency="USD")))
    with pytest.raises(CrashError):
        await desk.post(reversal_of(first), crash_at=2)
    last = (await desk.post(reversal_of(first)))[-1]

    assert isinstance(last, VoucherReversed)
    assert (last.found, len(desk.vouchers(last.reference))) == (True, 1)


async def test_a_reversal_that_ifs_refuses_is_rejected_with_its_words(desk: Desk) -> None:
    first = the_posted(await desk.post(command(currency="USD")))
    desk.sandbox.companies["10"].voucher_types["M"].years.clear()
    rejected = (await desk.post(reversal_of(first)))[-1]

    assert isinstance(rejected, VoucherRejected)
    assert (rejected.reason, rejected.reference) == ("number-series-missing", f"{first.reference}-R")


async def test_a_reversal_without_company_amounts_is_a_dead_letter_and_nothing_is_sent(desk: Desk) -> None:
    first = the_posted(await desk.post(command(currency="USD")))
    bare = [row.model_copy(update={"company_debit": None, "company_credit": None}) for row in first.rows]
    posts = desk.posts
    async with desk.poster() as poster:
        work = FakeWork(desk.table)
        event = fake_event(COMMANDS, "10", reversal_of(first, rows=tuple(bare)))
        await poster.on_events(cast("Any", [(event, work)]))

    [letter] = work.to(NAMES.public(topics.DEAD_LETTER))
    assert "amounts in the company's currency" in header(letter, "dlq.reason")
    assert desk.posts == posts


# --- a rate that is known ---------------------------------------------------------------------------------------------


async def test_a_known_rate_is_used_and_ifs_is_not_asked(desk: Desk) -> None:
    posted = the_posted(await desk.post(command(currency="USD", known_rate=OLD_RATE)))

    assert (posted.rate, posted.company_currency, posted.inverted) == (Decimal("0.90"), "EUR", False)
    assert [row.company_debit or row.company_credit for row in posted.rows] == [
        Decimal("90.00"), Decimal("18.00"), Decimal("30.00"), Decimal("42.00"),
    ]  # fmt: skip
    assert not [name for name in desk.sandbox.traffic.by_endpoint if "CurrencyRates" in name]


async def test_a_known_rate_of_a_company_that_keeps_another_currency_is_not_used(desk: Desk) -> None:
    rejected = the_rejected(await desk.post(command(company="20", currency="USD", known_rate=OLD_RATE)))
    assert (rejected.reason, desk.posts) == ("currency-not-valid", 0)
    assert "kept in EUR" in rejected.message
    assert "SEK" in rejected.message


async def test_an_inverted_quotation_is_told_and_can_be_used_again(desk: Desk) -> None:
    first = the_posted(await desk.post(command(company="40", currency="EUR")))
    assert first.inverted

    known = KnownRate(
        company_currency="GBP", rate=first.rate, conversion_factor=first.conversion_factor, inverted=first.inverted
    )
    again: PostVoucher = command("INV1-AAAABBBBCCCCDDDDEEEE-A", company="40", currency="EUR", known_rate=known)
    second = (await desk.post(again))[-1]
    assert isinstance(second, VoucherPosted)
    assert second.rows == first.rows

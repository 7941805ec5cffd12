"""The poster asks IFS Cloud's basic data before it posts: what is wrong is named, what is not told is left to IFS."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from deploy.sandbox.ifs.company import Account
from tests.support.fakes import FakeWork, fake_event
from tests.support.posting import COMMANDS, ROWS, Desk, command, open_desk, reversal_of, the_posted, the_rejected

BASIC_DATA = "AccountsHandling|Code[B-J]Handling|VoucherTypeHandling|UserGroupPerPeriodHandling"


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


def on(account: str, **parts: str) -> Any:
    """The usual rows, the first on another account or with other code parts."""
    update: dict[str, Any] = {"account": account} | ({"code_parts": parts} if parts else {})
    return (ROWS[0].model_copy(update=update), *ROWS[1:])


def basic_data_requests(desk: Desk) -> int:
    names = BASIC_DATA.replace("Code[B-J]Handling", "CodeBHandling").split("|")
    return sum(count for name, count in desk.sandbox.traffic.by_endpoint.items() if any(each in name for each in names))


# --- what is wrong is named -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"rows": on("0000")}, "account-not-valid", "account 0000 does not exist in company 10"),
        ({"rows": on("9999")}, "account-not-valid", "account 9999 is not valid on 2026-07-03"),
        ({"rows": on("1590")}, "account-not-allowed", "account 1590 is a ledger account"),
        ({"rows": on("8888")}, "code-part-not-valid", "account 8888 demands code part C"),
        ({"rows": on("1510", B="999")}, "code-part-not-valid", "code part B has no value 999 in company 10"),
        ({"rows": on("1510", D="R9")}, "code-part-not-valid", "code part D has no value R9 in company 10"),
        ({"voucher_type": "QQ"}, "voucher-type-not-valid", "voucher type QQ does not exist in company 10"),
        ({"voucher_type": "F"}, "voucher-type-not-valid", "voucher type F has function group F"),
        ({"user_group": "NOONE"}, "period-not-open-for-user-group", "2026-07 is not open for user group NOONE"),
        ({"voucher_date": date(2031, 1, 1)}, "accounting-year-missing", "has 2031-01-01"),
    ],
)
async def test_what_ifs_would_refuse_is_rejected_without_a_post(
    desk: Desk, changes: dict[str, Any], reason: str, words: str
) -> None:
    rejected = the_rejected(await desk.post(command(**changes)))

    assert (rejected.reason, rejected.code, desk.posts) == (reason, None, 0)
    assert words in rejected.message
    assert "replay" in rejected.advice


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": on("0000")},
        {"rows": on("1510", B="999")},
        {"rows": on("1510", D="R9")},
        {"voucher_type": "QQ"},
        {"user_group": "NOONE"},
        {"voucher_date": date(2031, 1, 1)},
    ],
)
async def test_a_yes_for_one_command_is_none_for_another_that_names_something_else(
    desk: Desk, changes: dict[str, Any]
) -> None:
    outcomes = await desk.post(command("INV1-A"), command("INV2-A", account_id="A2", **changes), command("INV3-A"))
    assert [type(outcome).__name__ for outcome in outcomes] == ["VoucherPosted", "VoucherRejected", "VoucherPosted"]
    assert desk.posts == 2


async def test_a_blocked_code_part_is_named(desk: Desk) -> None:
    desk.sandbox.companies["10"].accounts["1510"] = Account("1510", "no cost centre", requirements={"B": "Blocked"})
    rejected = the_rejected(await desk.post(command()))
    assert "account 1510 takes no code part B" in rejected.message


async def test_a_closed_period_rejects_a_reversal_too(desk: Desk) -> None:
    first = the_posted(await desk.post(command()))
    desk.sandbox.companies["10"].closed_periods.add((2026, 7))
    rejected = (await desk.post(reversal_of(first)))[-1]
    assert rejected.reason == "period-not-open-for-user-group"  # type: ignore[attr-defined]
    assert desk.posts == 1


async def test_several_problems_are_told_together(desk: Desk) -> None:
    rejected = the_rejected(await desk.post(command(rows=on("0000", B="999"), voucher_type="QQ")))
    assert rejected.message == (
        "account 0000 does not exist in company 10; code part B has no value 999 in company 10; "
        "voucher type QQ does not exist in company 10"
    )


async def test_a_voucher_that_is_in_ifs_already_is_adopted_though_its_period_is_closed_by_now(desk: Desk) -> None:
    desk.fault("commit-then-drop")
    book = desk.sandbox.ledger.book

    def book_and_close(*voucher: Any) -> Any:
        desk.sandbox.companies["10"].closed_periods.add((2026, 7))
        return book(*voucher)

    desk.sandbox.ledger.book = book_and_close  # type: ignore[method-assign]
    assert the_posted(await desk.post(command())).found


async def test_shadow_mode_rejects_what_would_be_refused(desk: Desk) -> None:
    rejected = the_rejected(await desk.post(command(rows=on("0000")), mode="shadow"))
    assert rejected.reason == "account-not-valid"


# --- what it costs, and for how long it is believed -------------------------------------------------------------------


async def test_basic_data_is_read_once_for_many_vouchers(desk: Desk) -> None:
    await desk.post(*[command(f"INV{number}-AAAABBBBCCCCDDDDEEEE") for number in range(10)])

    # All accounts, all cost centres, the voucher type, the periods around, the groups of the period.
    assert basic_data_requests(desk) == 5
    assert desk.sandbox.counts["booked"] == 10


async def test_another_account_and_another_period_cost_one_request_each(desk: Desk) -> None:
    await desk.post(command(), command("INV2-A", rows=on("1511")), command("INV3-A", voucher_date=date(2026, 8, 3)))
    assert basic_data_requests(desk) == 7


@pytest.mark.parametrize("mended", ["account", "period"])
async def test_a_no_that_was_kept_is_read_again_before_anything_is_rejected(desk: Desk, mended: str) -> None:
    company = desk.sandbox.companies["10"]
    company.accounts["1510"].valid_until = "2026-06-30"
    company.closed_periods.add((2026, 7))
    async with desk.poster() as poster:

        async def carry(reference: str) -> str:
            work = FakeWork(desk.table)
            event = fake_event(COMMANDS, "10", command(reference))
            await poster.on_events(cast("Any", [(event, work)]))
            return dict(work.sent[-1].headers)["ce_type"].decode()

        assert await carry("INV1-A") == "VoucherRejected"
        company.accounts["1510"].valid_until = "2099-12-31"
        if mended == "period":
            company.closed_periods.clear()
        assert await carry("INV2-A") == ("VoucherPosted" if mended == "period" else "VoucherRejected")


async def test_a_yes_that_is_kept_leaves_it_to_ifs(desk: Desk) -> None:
    async with desk.poster() as poster:
        for reference in ("INV1-A", "INV2-A"):
            work = FakeWork(desk.table)
            await poster.on_events(cast("Any", [(fake_event(COMMANDS, "10", command(reference)), work)]))
            desk.sandbox.companies["10"].closed_periods.add((2026, 7))
    assert b"ORA-20110: UserGroupPeriod.USRGRPPER" in (work.sent[-1].value or b"")


# --- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404, 400, 503])
async def test_basic_data_that_cannot_be_read_is_told_once_and_ifs_decides(desk: Desk, status: int) -> None:
    desk.sandbox.faults.order(
        {"kind": "status", "status": status, "method": "GET", "path": BASIC_DATA, "body": "no", "times": 99}
    )
    with capture_logs() as logs:
        outcomes = await desk.post(command("INV1-A", rows=on("0000")), command("INV2-A"), command("INV3-A"))

    assert [type(each).__name__ for each in outcomes] == ["VoucherRejected", "VoucherPosted", "VoucherPosted"]
    assert "ORA-20110 Account.ACCNOTEXIST" in str(outcomes[0])
    told = [entry["what"] for entry in logs if "not checked" in entry["event"]]
    assert sorted(told) == [f"{what} of company 10" for what in ("accounts", "code part B", "periods", "voucher types")]
    assert basic_data_requests(desk) == 4  # not asked again and again


@pytest.mark.parametrize("body", ['{"value": []}', '{"value": [{"Company": "10", "Account": "7777"}]}'])
async def test_a_set_that_shows_nothing_of_the_company_or_drops_the_filter_proves_nothing(
    desk: Desk, body: str
) -> None:
    desk.sandbox.faults.order(
        {"kind": "status", "status": 200, "method": "GET", "path": BASIC_DATA, "body": body, "times": 99}
    )
    the_posted(await desk.post(command()))
    assert len(desk.vouchers()) == 1


@pytest.mark.parametrize(("status", "outcome"), [("FinallyClosed", "VoucherRejected"), ("Offen", "VoucherPosted")])
async def test_a_period_is_closed_only_if_ifs_says_so_in_a_word_that_is_known(
    desk: Desk, status: str, outcome: str
) -> None:
    body = f'{{"value": [{{"UserGroup": "INT", "PeriodStatus": "{status}"}}]}}'
    desk.sandbox.faults.order(
        {"kind": "status", "status": 200, "method": "GET", "path": "DetailUserGroups", "body": body, "times": 9}
    )
    assert [type(each).__name__ for each in await desk.post(command())] == [outcome]

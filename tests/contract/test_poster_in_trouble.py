"""The poster against a failing IFS: whatever goes wrong on the way, one command makes one voucher."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from typing import Any, cast

import pytest

from schemas.errors import ConnectorError, SettingsError
from schemas.vouchers import VoucherPosted
from streams.systems import tokens
from tests.support.fakes import CrashError, FakeWork, fake_event
from tests.support.posting import COMMANDS, LEDGER, LOOKS, Desk, command, open_desk, the_posted, the_rejected
from tests.support.waiting import eventually


@pytest.fixture(params=["voucher-set", "entry-assistant"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with open_desk(posting=request.param) as opened:
        yield opened


@pytest.fixture
async def set_desk() -> AsyncIterator[Desk]:
    """For what only a tagged set of vouchers can do."""
    async with open_desk() as opened:
        yield opened


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
        {"kind": "status", "status": 200, "body": ""},
    ],
    ids=["cut connection", "time-out", "500 without a word", "gateway page", "200 without a word"],
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
    desk.sandbox.faults.order(
        {"kind": "slow", "path": LOOKS[desk.posting], "method": "GET", "seconds": 0.3}
    )  # the first look
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


async def test_a_post_settles_as_long_as_it_was_sent_with_also_where_the_setting_is_shorter_by_now(desk: Desk) -> None:
    desk.fault("commit-late", seconds=1)
    with pytest.raises(CrashError):
        await desk.post(command(), crash_at=2, settle_seconds=3)

    posted = the_posted(await desk.post(command(), settle_seconds=0.2))
    assert (posted.found, len(desk.vouchers())) == (True, 1)


async def test_a_poster_that_is_stopped_at_a_draft_does_not_stay_to_clean_up() -> None:
    async with open_desk(posting="entry-assistant") as desk, desk.poster() as poster:
        hanging = {"kind": "hang", "path": r"VoucherPostingArray|RemoveTempVoucher|CleanupVirtualEntity", "times": 99}
        desk.sandbox.faults.order(hanging)
        handing = asyncio.create_task(desk.hand(poster, command()))

        async def begun() -> bool:
            return any("VoucherPostingArray" in each["path"] for each in desk.sandbox.faults.carried_out)

        await eventually(begun, bool)
        handing.cancel()
        done, _ = await asyncio.wait({handing}, timeout=1)  # a worker waits no longer for a cancelled handler
        assert done


# --- others write, IFS is busy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 6])
async def test_another_writer_between_read_and_post_means_a_fresh_read_each_time(set_desk: Desk, times: int) -> None:
    set_desk.fault("other-writer", times=times)
    posted = the_posted(await set_desk.post(command()))

    assert (posted.found, len(set_desk.vouchers())) == (False, 1)
    assert set_desk.sandbox.counts["preconditionFailed"] == times
    assert set_desk.looks == times + 1
    assert set_desk.progress == []


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
            await poster.on_events(cast("Any", [(event, work)]))
            desk.sandbox.revoke_tokens()

    assert len(desk.vouchers("INV2-AAAABBBBCCCCDDDDEEEE")) == 1
    assert desk.sandbox.counts["tokensIssued"] == 2


async def test_each_request_that_is_repeated_with_a_fresh_token_counts_in_the_budget(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "YOUNG_SECONDS", 0.0)  # as if each token had been good for long
    good = desk.sandbox.token_is_good

    def only_once(request: Any) -> bool:
        if is_good := good(request):
            desk.sandbox.revoke_tokens()
        return is_good

    desk.sandbox.token_is_good = only_once  # type: ignore[method-assign]
    the_posted(await desk.post(command()))

    assert desk.sandbox.counts["tokensIssued"] > 4
    assert await desk.budget.spent() - desk.budget.limit // 2 == desk.sandbox.traffic.total


async def test_reads_in_trouble_are_tried_again(desk: Desk) -> None:
    for status in (503, 500, 502):
        desk.sandbox.faults.order({"kind": "status", "method": "GET", "status": status, "body": "<html>oops</html>"})
    desk.sandbox.faults.order({"kind": "drop", "method": "GET"})
    the_posted(await desk.post(command()))
    assert len(desk.vouchers()) == 1


# --- a look-up that proves nothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404])
async def test_a_look_up_that_is_refused_stops_the_poster_with_one_line(desk: Desk, status: int) -> None:
    desk.fault("status", method="GET", status=status, body="Insufficient privileges.")
    with pytest.raises(ConnectorError, match=rf"does not let us look for vouchers in {LOOKS[desk.posting]}.*{status}"):
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


async def test_a_set_without_a_tag_stops_the_poster_where_one_is_required(set_desk: Desk) -> None:
    set_desk.fault("status", method="GET", status=200, body='{"value": []}')
    # The next read is of the newest voucher, which has no tag either.
    newest = '{"value": [{"Company": "10", "VoucherNo": 1}]}'
    set_desk.fault("status", method="GET", status=200, body=newest)
    with pytest.raises(SettingsError, match="ZIFS_IFS__ETAG"):
        await set_desk.post(command())
    assert set_desk.posts == 0


async def test_a_set_without_a_tag_is_fine_where_ifs_needs_none() -> None:
    async with open_desk(etag="if-given") as desk:
        desk.fault("status", method="GET", status=200, body='{"value": []}')
        the_posted(await desk.post(command(), etag="if-given"))
        assert len(desk.vouchers()) == 1


async def test_a_poster_that_kafka_may_think_dead_posts_nothing_until_it_is_heard_again(desk: Desk) -> None:
    desk.heard = [False, False]
    posted = the_posted(await desk.post(command()))

    assert (posted.found, desk.posts, desk.progress) == (False, 1, [])
    assert desk.looks == 3


FAULTS = (
    {"kind": "drop"},
    {"kind": "commit-then-drop"},
    {"kind": "commit-then-504"},
    {"kind": "commit-late", "seconds": 0.1},
    {"kind": "other-writer", "times": 3},
    {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
    {"kind": "rate-limit", "seconds": 0.01},
    {"kind": "locked"},
    {"kind": "database-error"},
    {"kind": "drop", "method": "GET"},
    {"kind": "status", "method": "GET", "status": 503},
)


@pytest.mark.parametrize("seed", range(6))
async def test_faults_and_crashes_in_any_order_leave_one_voucher_each(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - chooses faults, guards no secret
    commands = [command(f"INV{number}-AAAABBBBCCCCDDDDEEEE") for number in range(12)]
    for each in commands:
        for fault in chance.sample(FAULTS, chance.randrange(3)):
            desk.fault(**fault)
        while not any(event.reference == each.reference for event in desk.outcomes):  # type: ignore[attr-defined]
            crash_at = chance.choice([0, 0, 1, 2, 3, 4, 5])
            with suppress(CrashError):
                await desk.post(each, crash_at=crash_at, settle_seconds=0.2)
        if chance.random() < 0.3:
            desk.sandbox.ledger.update_general_ledger("10")
        assert len(desk.vouchers(each.reference)) == 1

    desk.sandbox.faults.clear()
    await desk.post(*commands)  # as after a reset of offsets
    assert all(isinstance(event, VoucherPosted) for event in desk.outcomes)
    assert all(len(desk.vouchers(each.reference)) == 1 for each in commands)
    assert desk.sandbox.ledger.duplicates() == []

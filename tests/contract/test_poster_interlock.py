"""Commands of one record that do not know of each other: a second voucher beside one that stands is never made."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from agents.poster.state import command_key
from schemas.base import Model
from schemas.vouchers import PostVoucher, VoucherPosted, VoucherRejected
from tests.support.fakes import CrashError, FakeTable
from tests.support.posting import Desk, command, open_desk, reversal_of

FIRST, SECOND = "INV1-AAAABBBBCCCCDDDDEEEE", "INV1-FFFFGGGGHHHHIIIIJJJJ"


@pytest.fixture(params=["voucher-set", "entry-assistant"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with open_desk(posting=request.param) as opened:
        yield opened


def of_record(reference: str, *stands: str, **changes: Any) -> PostVoucher:
    return command(reference, **({"record_id": "Invoice:1", "stands": stands} | changes))


def told(outcomes: Sequence[Model]) -> list[str]:
    """The references of what came of commands; of one that was refused with its reason."""
    lines = []
    for outcome in outcomes:
        assert isinstance(outcome, VoucherPosted | VoucherRejected)
        reason = f" {outcome.reason}" if isinstance(outcome, VoucherRejected) else ""
        lines.append(outcome.reference + reason)
    return lines


def in_ifs(desk: Desk) -> list[str]:
    return [reference for voucher in desk.sandbox.ledger.vouchers.values() for reference in voucher.references]


async def test_a_voucher_whose_sender_does_not_know_the_one_that_stands_is_refused_without_a_request(
    desk: Desk,
) -> None:
    await desk.post(of_record(FIRST))
    asked = desk.sandbox.traffic.by_endpoint.total()
    await desk.post(of_record(SECOND))

    assert told(desk.outcomes) == [FIRST, f"{SECOND} another-voucher-stands"]
    refused = desk.outcomes[-1]
    assert isinstance(refused, VoucherRejected)
    assert refused.message.startswith(f"{FIRST} stands in IFS")
    assert desk.sandbox.traffic.by_endpoint.total() == asked
    assert not desk.vouchers(SECOND)


async def test_the_same_voucher_by_another_command_is_refused_too_for_its_facts_may_have_changed(desk: Desk) -> None:
    await desk.post(of_record(FIRST))
    await desk.post(of_record(FIRST, command_id="another"))

    assert told(desk.outcomes) == [FIRST, f"{FIRST} another-voucher-stands"]
    assert len(desk.vouchers(FIRST)) == 1


async def test_whose_sender_knows_what_stands_is_posted_beside_it(desk: Desk) -> None:
    await desk.post(of_record(FIRST))
    await desk.post(of_record(f"{SECOND}-A", FIRST))
    await desk.post(of_record("INV1-KKKKLLLLMMMMNNNNOOOO-A", FIRST))

    assert told(desk.outcomes)[:2] == [FIRST, f"{SECOND}-A"]
    assert told(desk.outcomes)[2] == "INV1-KKKKLLLLMMMMNNNNOOOO-A another-voucher-stands"


async def test_after_a_reversal_only_what_was_sent_knowing_of_it_is_posted(desk: Desk) -> None:
    first = (await desk.post(of_record(FIRST)))[0]
    assert isinstance(first, VoucherPosted)
    await desk.post(reversal_of(first))
    await desk.post(of_record(f"{FIRST}-A", FIRST))
    await desk.post(of_record(SECOND))

    assert told(desk.outcomes)[2:] == [f"{FIRST}-A another-voucher-stands", SECOND]
    refused = desk.outcomes[2]
    assert isinstance(refused, VoucherRejected)
    assert refused.message.startswith(f"{FIRST} is reversed")


async def test_of_a_record_that_an_earlier_release_posted_its_sender_is_believed(desk: Desk) -> None:
    await desk.post(of_record("INV1-KKKKLLLLMMMMNNNNOOOO", stands=None))
    await desk.post(of_record(f"{FIRST}-A", "INV1-KKKKLLLLMMMMNNNNOOOO"))
    await desk.post(of_record(SECOND))

    assert told(desk.outcomes)[1:] == [f"{FIRST}-A", f"{SECOND} another-voucher-stands"]


@pytest.mark.parametrize("batch_size", [1, 50])
async def test_while_it_is_not_known_whether_one_is_in_ifs_another_of_the_record_waits(batch_size: int) -> None:
    async with open_desk() as desk:
        desk.fault("drop")
        one, other = of_record(FIRST), of_record(SECOND, account_id="A2")
        async with desk.poster(batch_size=batch_size) as poster:
            await desk.hand(poster, one)
            await desk.hand(poster, other)
            assert desk.in_room == 2
            await desk.until_nobody_waits(poster)

        assert told(desk.outcomes) == [FIRST, f"{SECOND} another-voucher-stands"]
        assert in_ifs(desk) == [FIRST]


async def test_two_of_a_record_never_go_into_one_batch_and_nobody_overtakes_the_one_that_stays() -> None:
    async with open_desk() as desk, desk.poster(batch_size=50) as poster:
        after = command("INV2-AAAABBBBCCCCDDDDEEEE", account_id="A2", stands=())
        await desk.hand(poster, of_record(FIRST), of_record(SECOND, account_id="A2"), after)

        assert told(desk.outcomes) == [FIRST, f"{SECOND} another-voucher-stands", after.reference]
        assert in_ifs(desk) == [FIRST, after.reference]


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("crash_at", range(1, 7))
async def test_whenever_a_poster_dies_one_voucher_of_the_record_is_made_and_both_commands_are_told(
    desk: Desk, crash_at: int, *, lost: bool
) -> None:
    if lost:
        desk.fault("commit-then-drop")
    commands = of_record(FIRST), of_record(SECOND, account_id="A2")
    with suppress(CrashError):
        async with desk.poster() as poster:
            await desk.hand(poster, *commands, crash_at=crash_at, offset=1)
            await desk.until_nobody_waits(poster, crash_at=crash_at)
    async with desk.poster() as poster:
        await desk.hand(poster, *commands, offset=1)
        await desk.until_nobody_waits(poster)

    assert in_ifs(desk) == [FIRST]
    assert set(told(desk.outcomes)) == {FIRST, f"{SECOND} another-voucher-stands"}


async def test_a_voucher_that_was_found_is_found_again_where_a_crash_lost_its_outcome_alone(desk: Desk) -> None:
    await desk.post(of_record(FIRST))
    desk.table, desk.sent = FakeTable(), []  # another app id, or lost tables
    await desk.post(of_record(FIRST))
    del desk.table.durable[command_key(of_record(FIRST).command_id)]
    await desk.post(of_record(FIRST))

    assert told(desk.outcomes) == [FIRST, FIRST]
    assert len(desk.vouchers(FIRST)) == 1

"""What is rehearsed goes the whole way and is never sent: all in shadow mode, and always what pays back a rehearsal."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from schemas.vouchers import PostVoucher, VoucherPosted
from tests.support.posting import Desk, command, open_desk, the_posted


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


async def shadows(desk: Desk, *commands: PostVoucher, mode: str) -> dict[str, bool]:
    """Let a poster with batches have these; returns, for each account, whether its voucher was one of shadow mode."""
    async with desk.poster(batch_size=200, mode=mode) as poster:
        await desk.hand(poster, *commands)
        await desk.until_nobody_waits(poster)
    return {one.account_id: one.shadow for one in desk.outcomes if isinstance(one, VoucherPosted)}


def of_account(account_id: str, *, rehearsal: bool = False) -> PostVoucher:
    return command(f"INV{account_id}-AAAABBBBCCCCDDDDEEEE", account_id=account_id, rehearsal=rehearsal)


async def test_in_shadow_mode_everything_is_done_but_the_post(desk: Desk) -> None:
    posted = the_posted(await desk.post(command(currency="USD"), mode="shadow"))

    assert (posted.shadow, posted.voucher_no, posted.accounting_year) == (True, None, None)
    assert posted.rows[0].company_debit == Decimal("91.37")
    assert (desk.posts, desk.vouchers()) == (0, [])


async def test_what_pays_back_a_rehearsed_payment_is_rehearsed_where_vouchers_are_posted(desk: Desk) -> None:
    posted = the_posted(await desk.post(command(rehearsal=True)))

    assert (posted.shadow, posted.voucher_no) == (True, None)
    assert (desk.posts, desk.vouchers()) == (0, [])


async def test_in_shadow_mode_a_batch_is_rehearsed_and_nothing_is_sent(desk: Desk) -> None:
    commands = [of_account(name) for name in "ABCDE"]
    assert await shadows(desk, *commands, mode="shadow") == dict.fromkeys("ABCDE", True)
    assert (desk.posts, desk.sandbox.traffic.by_endpoint["POST VoucherHandling.svc/$batch"]) == (0, 0)


async def test_of_a_batch_what_pays_back_rehearsed_payments_is_rehearsed_and_the_others_are_posted(desk: Desk) -> None:
    commands = [of_account(name, rehearsal=name in "BC") for name in "ABCDE"]
    told = await shadows(desk, *commands, mode="live")
    assert told == {"A": False, "B": True, "C": True, "D": False, "E": False}
    assert {one.reference: len(desk.vouchers(one.reference)) for one in commands} == {
        one.reference: int(not one.rehearsal) for one in commands
    }

"""How many vouchers go in a batch: fewer where batches are refused as a whole, and more again when they are not."""

import pytest

from agents.poster import batching
from schemas.vouchers import PostVoucher, VoucherPosted, VoucherRejected
from tests.support.posting import command, open_desk


def vouchers(name: str, many: int) -> list[PostVoucher]:
    return [command(f"{name}{number}-AAAABBBBCCCCDDDDEEEE", account_id=f"{name}{number}") for number in range(many)]


async def test_after_one_voucher_whose_batch_a_gateway_refuses_batches_become_large_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "TURNS_TILL_LARGER", 2)
    async with open_desk() as desk, desk.poster(batch_size=8) as poster:
        blocked = {"status": 403, "body": "<html>request blocked</html>"}
        desk.fault("status", times=4, **blocked)  # the batches of 8, 4 and 2 with the first voucher, and itself alone
        await desk.hand(poster, *vouchers("A", 8))
        assert [isinstance(each, VoucherRejected) for each in desk.outcomes].count(True) == 1

        for number in range(9):
            desk.sandbox.traffic.reset()
            await desk.hand(poster, *vouchers(f"B{number}x", 8))
    asked = desk.sandbox.traffic.by_endpoint
    assert (asked["POST VoucherHandling.svc/$batch"], asked["POST VoucherHandling.svc/VoucherSet"]) == (1, 0)
    assert [isinstance(each, VoucherPosted) for each in desk.outcomes].count(True) == 7 + 9 * 8

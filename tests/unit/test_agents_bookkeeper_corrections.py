"""Documents that are edited, cancelled or moved after they were posted, and corrected on a person's word."""

from datetime import date
from decimal import Decimal

from schemas import topics
from schemas.base import Status
from schemas.requests import CorrectionRequested, ReplayRequested
from schemas.vouchers import PostVoucher, ReverseVoucher
from tests.support.bookkeeping import (
    DEAD_LETTERS,
    World,
    account,
    ask,
    capture,
    card_payment,
    cash,
    correct,
    invoice,
    mapped_world,
    rows,
    unapplied,
    unreadable,
)
from tests.support.ledger import NAMES

# --- corrections --------------------------------------------------------------------------------------------------


async def changed_invoice(status: str = "Posted", amount: str = "80.00") -> World:
    """Invoice 1 was posted with 100.00 and is now another."""
    world = await mapped_world()
    capture(world, invoice(1, "A"))
    await world.settle()
    capture(world, invoice(1, "A", amount=amount, status=status))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CHANGED_AFTER_POSTING
    return world


async def test_a_correction_reverses_and_posts_the_document_as_it_is_now() -> None:
    world = await changed_invoice()
    correct(world, "Invoice:inv-1")
    await world.settle()

    assert rows(world) == [
        ["1510 Dr 100.00", "3010 Cr 100.00"],
        ["1510 Cr 100.00", "3010 Dr 100.00"],
        ["1510 Dr 80.00", "3010 Cr 80.00"],
    ]
    first, reversal, second = world.commands()
    assert reversal.reference == f"{first.reference}-R"
    assert second.reference != first.reference
    assert world.status("Invoice:inv-1") is Status.CORRECTED
    assert len(world.history("Invoice:inv-1")[-1].vouchers) == 3


async def test_unposted_corrected_and_posted_again_unchanged_is_a_third_voucher_with_a_reference_of_its_own() -> None:
    world = await changed_invoice(status="Draft", amount="100.00")
    correct(world, "Invoice:inv-1", date=date(2026, 5, 4))
    await world.settle()
    reversal = world.commands()[1]
    assert isinstance(reversal, ReverseVoucher)
    assert reversal.voucher_date == date(2026, 5, 4)
    assert world.status("Invoice:inv-1") is Status.CORRECTED

    world.refuse.add("10")
    capture(world, invoice(1, "A"), "posted again")
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.REJECTED
    world.refuse.clear()
    ask(world, "Invoice:inv-1", ReplayRequested, date=date(2026, 5, 5))
    await world.settle()

    first, _, refused, third = world.commands()
    assert refused.reference == third.reference != first.reference
    assert refused.command_id != third.command_id
    assert isinstance(third, PostVoucher)
    assert (third.voucher_date, third.rate_date) == (date(2026, 5, 5), date(2026, 3, 1))
    assert world.net() == {"1510": Decimal("100.00"), "3010": Decimal("-100.00")}


async def test_a_correction_is_for_the_two_states_that_the_person_saw_and_for_no_others() -> None:
    world = await changed_invoice()
    seen = world.history("Invoice:inv-1")[-1]
    capture(world, invoice(1, "A", amount="70.00"))
    await world.settle()
    ask(
        world,
        "Invoice:inv-1",
        CorrectionRequested,
        posted_fingerprint=seen.posted_fingerprint,
        document_fingerprint=seen.document_fingerprint,
    )
    await world.settle()
    assert len(world.commands()) == 1
    assert "has changed since" in (world.history("Invoice:inv-1")[-1].note or "")


async def test_a_correction_is_refused_with_its_gaps_unless_the_new_state_translates_completely() -> None:
    world = await mapped_world()
    capture(world, invoice(1, "A"))
    await world.settle()
    capture(world, invoice(1, "A", sku="UNMAPPED"))
    await world.settle()
    correct(world, "Invoice:inv-1")
    await world.settle()
    last = world.history("Invoice:inv-1")[-1]
    assert (last.status, [gap.key for gap in last.missing]) == (Status.CHANGED_AFTER_POSTING, ["UNMAPPED"])
    assert len(world.commands()) == 1


async def test_a_refused_reversal_leaves_the_record_changed_with_the_words_of_ifs() -> None:
    world = await changed_invoice()
    world.refuse.add("10")
    correct(world, "Invoice:inv-1")
    await world.settle()
    last = world.history("Invoice:inv-1")[-1]
    assert (last.status, last.reason) == (Status.CHANGED_AFTER_POSTING, "period-closed: closed")
    world.refuse.clear()
    correct(world, "Invoice:inv-1", date=date(2026, 5, 4))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CORRECTED


async def test_a_document_that_goes_from_a_to_b_and_back_is_posted_as_before() -> None:
    world = await changed_invoice()
    capture(world, invoice(1, "A"), "as it was")
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED
    assert len(world.commands()) == 1


async def test_what_changed_while_a_correction_was_on_its_way_does_not_come_back_over_what_came_later() -> None:
    world = await changed_invoice()
    correct(world, "Invoice:inv-1")
    world.hold_answers()
    await world.settle()
    capture(world, invoice(1, "A", amount="80.00", status="Draft"))
    await world.settle()
    world.answer()
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CORRECTED

    capture(world, invoice(1, "A", amount="70.00"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CORRECTED
    assert world.net() == {"1510": Decimal("70.00"), "3010": Decimal("-70.00")}


async def test_a_document_that_became_unreadable_while_it_was_corrected_ends_as_failed() -> None:
    world = await changed_invoice()
    correct(world, "Invoice:inv-1")
    world.hold_answers()
    await world.settle()
    whole = invoice(1, "A", amount="70.00")
    capture(world, unreadable(whole))
    await world.settle()
    world.answer()
    await world.settle()
    last = world.history("Invoice:inv-1")[-1]
    assert (last.status, last.reason) == (Status.FAILED, "amount: not a decimal number")
    assert world.log.all(DEAD_LETTERS) == []
    capture(world, whole)
    await world.settle()
    assert world.net() == {"1510": Decimal("70.00"), "3010": Decimal("-70.00")}


async def test_a_payment_of_which_ifs_took_back_a_part_stays_changed_though_zuora_has_it_as_posted() -> None:
    world = await mapped_world()
    for u in ("500.00", "100.00"):
        capture(world, card_payment(u))
        await world.settle()
    capture(world, card_payment("100.00").model_copy(update={"gone": True, "document": {}}))
    await world.settle()
    posted = world.history("Payment:pay-1")[-1].posted_fingerprint or ""
    ask(world, "Payment:pay-1", CorrectionRequested, posted_fingerprint=posted, document_fingerprint="")
    world.refuse_from = 3  # the change of U is reversed, the payment itself is not
    await world.settle()
    assert [posted.reference[-2:] for posted in world.posted.values()][1:] == ["-A", "-R"]
    assert world.status("Payment:pay-1") is Status.CHANGED_AFTER_POSTING
    world.refuse_from = None

    capture(world, card_payment("100.00"), "back in Zuora")
    await world.settle()
    assert world.status("Payment:pay-1") is Status.CHANGED_AFTER_POSTING
    correct(world, "Payment:pay-1")
    await world.settle()
    assert world.status("Payment:pay-1") is Status.CORRECTED
    assert world.net() == {"1930": Decimal(500), "1510": Decimal(-400), "2420": Decimal(-100)}


async def test_correcting_a_payment_reverses_its_changes_of_u_too() -> None:
    world = await mapped_world()
    for u in ("500.00", "100.00"):
        capture(world, card_payment(u))
        await world.settle()
    gone = card_payment("100.00").model_copy(update={"gone": True, "document": {}})
    capture(world, gone)
    await world.settle()
    assert world.history("Payment:pay-1")[-1].reason == "gone from Zuora"
    ask(
        world,
        "Payment:pay-1",
        CorrectionRequested,
        posted_fingerprint=world.history("Payment:pay-1")[-1].posted_fingerprint or "",
        document_fingerprint="",
    )
    await world.settle()
    assert world.net() == {}
    assert world.status("Payment:pay-1") is Status.CORRECTED


async def test_a_payment_that_moved_is_corrected_under_the_old_account_and_posted_under_the_new_one() -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    await world.settle()
    moved = card_payment("500.00", account_id="B", former=("A",))
    for key in ("A", "B"):
        world.say(NAMES.public(topics.DOCUMENT), key, moved, "moved")
    await world.settle()
    last = world.history("Payment:pay-1")[-1]
    assert (last.status, last.reason) == (Status.CHANGED_AFTER_POSTING, "account changed")
    correct(world, "Payment:pay-1")
    await world.settle()
    assert [command.account_id for command in world.commands()] == ["A", "A", "B"]
    assert world.status("Payment:pay-1") is Status.POSTED


async def test_a_held_payment_that_moved_is_handed_over_by_itself() -> None:
    world = World()
    capture(world, card_payment("500.00"))
    await world.settle()
    assert world.status("Payment:pay-1") is Status.MAPPING_MISSING
    moved = card_payment("500.00", account_id="B", former=("A",))
    for key in ("A", "B"):
        world.say(NAMES.public(topics.DOCUMENT), key, moved, "moved")
    for name in ("A", "B"):
        world.map(name, account(name))
    for rule in (cash("EUR"), unapplied()):
        world.map("10", rule)
    await world.settle()
    assert [command.account_id for command in world.commands()] == ["B"]

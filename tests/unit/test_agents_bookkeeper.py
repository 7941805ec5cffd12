"""The bookkeeper as a whole, on a log in memory: holds, releases in order, survives crashes between any two effects."""

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.bookkeeper.bookkeeper import RELEASED_AT_ONCE
from schemas.base import DocumentType, Status
from schemas.envelope import encode
from schemas.mappings import AccountMappingRemoved, PostingRuleSet
from streams.accounting.decisions import SEEN_AGAIN
from tests.support.bookkeeping import (
    DEAD_LETTERS,
    DOCUMENTS,
    MAPPINGS,
    PARTITIONS,
    World,
    account,
    capture,
    invoice,
    product,
)
from tests.support.ledger import COMMANDS, NOW


async def test_a_mapped_document_goes_from_fetched_to_posted_step_by_step() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    capture(world, invoice(1, "A"))
    await world.settle()

    steps = world.history("Invoice:inv-1")
    assert [(step.previous, step.status) for step in steps] == [
        (Status.FETCHED, Status.READY),
        (Status.READY, Status.POSTING),
        (Status.POSTING, Status.POSTED),
    ]
    assert steps[-1].voucher is not None
    assert steps[-1].company == "10"


async def test_a_held_document_names_every_gap_and_is_released_by_the_last_mapping() -> None:
    world = World()
    capture(world, invoice(1, "A"))
    await world.settle()
    assert [gap.kind for gap in world.history("Invoice:inv-1")[-1].missing] == ["account"]
    world.say(MAPPINGS, "A", account("A"))
    await world.settle()
    (gap,) = world.history("Invoice:inv-1")[-1].missing
    assert (gap.kind, gap.company, gap.match_on, gap.key) == ("product", "10", "sku", "ANL")
    assert not world.posted
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_one_mapping_releases_thousands_in_the_order_of_their_documents() -> None:
    world = World()
    count = 2 * RELEASED_AT_ONCE + 7
    world.say(MAPPINGS, "10", product("ANL"))
    for number in range(count):
        capture(world, invoice(number, "A"))
    await world.settle()
    world.say(MAPPINGS, "A", account("A"))
    await world.settle()
    assert [posted.record_id for posted in world.posted.values()] == [f"Invoice:inv-{n}" for n in range(count)]


async def test_a_new_document_joins_the_end_of_its_accounts_running_release() -> None:
    world = World()
    world.say(MAPPINGS, "10", product("ANL"))
    for number in range(RELEASED_AT_ONCE + 1):
        capture(world, invoice(number, "A"))
    await world.settle()
    mapping = world.say(MAPPINGS, "A", account("A"))
    await world.handle(mapping)  # the release is queued, nothing of it is done
    late = invoice(9999, "A")
    capture(world, late)
    (document,) = [event for event in world.log.all(DOCUMENTS) if b"inv-9999" in (event.value or b"")]
    await world.handle(document)
    assert world.history("Invoice:inv-9999") == []
    world.cursors[DOCUMENTS, document.partition] = document.offset + 1
    await world.settle()
    assert list(world.posted.values())[-1].record_id == "Invoice:inv-9999"


async def test_the_same_document_again_adds_a_line_and_no_voucher() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    capture(world, invoice(1, "A"), "first")
    await world.settle()
    capture(world, invoice(1, "A"), "second")
    await world.settle()
    last = world.history("Invoice:inv-1")[-1]
    assert (last.status, last.note) == (Status.POSTED, SEEN_AGAIN)
    assert len(world.posted) == 1


async def test_a_document_changed_after_posting_posts_nothing_by_itself() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    capture(world, invoice(1, "A"))
    await world.settle()
    capture(world, invoice(1, "A", amount="80.00"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CHANGED_AFTER_POSTING
    assert len(world.posted) == 1


async def test_a_change_while_the_voucher_is_on_its_way_waits_for_the_outcome() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    world.hold_answers()
    capture(world, invoice(1, "A"))
    await world.settle()
    capture(world, invoice(1, "A", amount="80.00"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTING
    world.answer()
    world.refuse.add("10")
    await world.settle()
    # Refused, so the newer state takes its place, and is refused in its turn.
    assert [command.rows[0].debit for command in world.commands()] == [Decimal("100.00"), Decimal("80.00")]
    assert world.status("Invoice:inv-1") is Status.REJECTED


async def test_a_refused_voucher_holds_nobody_up() -> None:
    world = World()
    world.refuse.add("20")
    for name, company in (("A", "20"), ("B", "10")):
        world.say(MAPPINGS, name, account(name, company))
        world.say(MAPPINGS, company, product("ANL", company))
    await world.settle()
    capture(world, invoice(1, "A"))
    capture(world, invoice(2, "B"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.REJECTED
    assert world.history("Invoice:inv-1")[-1].reason == "period-closed: closed"
    assert world.status("Invoice:inv-2") is Status.POSTED


async def test_a_removed_mapping_holds_what_comes_after_it() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    world.say(MAPPINGS, "A", AccountMappingRemoved(account_id="A", actor="eva", at=NOW))
    await world.settle()
    capture(world, invoice(1, "A"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.MAPPING_MISSING


async def test_a_rule_that_is_switched_on_releases_what_it_kept_back() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    off = PostingRuleSet(company="*", document_type=DocumentType.INVOICE, post=False, actor="eva", at=NOW)
    world.say(MAPPINGS, "*", off)
    await world.settle()
    capture(world, invoice(1, "A"))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.CAPTURED
    world.say(MAPPINGS, "*", off.model_copy(update={"post": True}))
    await world.settle()
    assert world.status("Invoice:inv-1") is Status.POSTED


async def test_a_draft_ends_as_not_posted_with_the_reason() -> None:
    world = World()
    capture(world, invoice(1, "A", status="Draft"))
    await world.settle()
    last = world.history("Invoice:inv-1")[-1]
    assert (last.status, last.reason) == (Status.NOT_POSTED, "Draft in Zuora")


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"not json", "not a DocumentCaptured"), (b"{}", "not a DocumentCaptured"), (None, "not a DocumentCaptured")],
)
async def test_what_cannot_be_read_goes_to_the_dead_letters_whole(value: bytes | None, reason: str) -> None:
    world = World()
    world.log.append(DOCUMENTS, key=b"A", value=value, headers=[("ce_type", b"DocumentCaptured")])
    await world.settle()
    (dead,) = world.log.all(DEAD_LETTERS)
    assert (dead.key, dead.value) == (b"A", value)
    assert dead.headers["dlq.reason"].decode().startswith(reason)


async def test_a_record_in_another_partition_than_its_keys_goes_to_the_dead_letters() -> None:
    world = World()
    document = invoice(1, "A")
    right = world.say(DOCUMENTS, "A", document).partition
    world.log.append(DOCUMENTS, key=b"A", value=encode(document), partition=(right + 1) % PARTITIONS)
    await world.settle()
    (dead,) = world.log.all(DEAD_LETTERS)
    assert "not in the partition of its key" in dead.headers["dlq.reason"].decode()


async def test_a_reset_of_offsets_changes_nothing() -> None:
    world = World()
    capture(world, invoice(1, "A"))
    world.say(MAPPINGS, "A", account("A"))
    world.say(MAPPINGS, "10", product("ANL"))
    await world.settle()
    capture(world, invoice(2, "A", sku="OTHER"))
    await world.settle()
    before = {name: [step.status for step in world.history(name)] for name in ("Invoice:inv-1", "Invoice:inv-2")}
    commands = len(world.log.all(COMMANDS))
    world.cursors.clear()
    await world.settle()
    after = {name: [step.status for step in world.history(name)] for name in ("Invoice:inv-1", "Invoice:inv-2")}
    assert before == after
    assert len(world.log.all(COMMANDS)) == commands


ACCOUNTS, SKUS = ("A", "B", "C", "D"), ("ANL", "SVC")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("document"), st.sampled_from(ACCOUNTS), st.sampled_from(SKUS)),
        st.tuples(st.just("account"), st.sampled_from(ACCOUNTS), st.just("")),
        st.tuples(st.just("product"), st.just(""), st.sampled_from(SKUS)),
        st.tuples(st.just("settle"), st.just(""), st.just("")),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 2**16))
async def test_whatever_crashes_every_document_has_exactly_one_voucher(
    steps: list[tuple[str, str, str]], seed: int
) -> None:
    world = World(seed, crash_every=8)
    documents: list[str] = []
    for kind, account_id, sku in steps:
        if kind == "document":
            documents.append(account_id)
            capture(world, invoice(len(documents), account_id, sku=sku))
        elif kind == "account":
            world.say(MAPPINGS, account_id, account(account_id))
        elif kind == "product":
            world.say(MAPPINGS, "10", product(sku))
        else:
            await world.settle()
    for account_id in ACCOUNTS:
        world.say(MAPPINGS, account_id, account(account_id))
    for sku in SKUS:
        world.say(MAPPINGS, "10", product(sku))
    await world.settle()
    records = [f"Invoice:inv-{number}" for number in range(1, len(documents) + 1)]
    assert Counter(posted.record_id for posted in world.posted.values()) == Counter(records)
    assert [world.status(record) for record in records] == [Status.POSTED] * len(records)


async def test_a_mapping_under_another_key_than_its_own_goes_to_the_dead_letters() -> None:
    world = World()
    world.map("B", account("A"))
    world.map("20", product("ANL"))
    await world.settle()
    reasons = [dead.headers["dlq.reason"].decode() for dead in world.log.all(DEAD_LETTERS)]
    assert len(reasons) == 2
    assert all("is keyed by its account or company" in reason for reason in reasons)

"""Vouchers in batches: two requests for many, each voucher exactly once, and one bad one never costs the others."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from deploy.sandbox.ifs import batch
from schemas.base import Model, utc_now
from schemas.requests import PostingPaused, PostingResumed
from schemas.vouchers import PostVoucher, VoucherPosted, VoucherRejected
from tests.support.fakes import CrashError
from tests.support.posting import LEDGER, ROWS, Desk, command, open_desk

ALL = 50


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


def voucher(account: str, number: int = 1, **changes: Any) -> PostVoucher:
    return command(f"INV{account}{number}-AAAABBBBCCCCDDDDEEEE", account_id=account, **changes)


def vouchers(many: int, **changes: Any) -> list[PostVoucher]:
    return [voucher(f"A{number}x", **changes) for number in range(many)]


def names(outcomes: Sequence[Model], kind: type[VoucherPosted | VoucherRejected] = VoucherPosted) -> list[str]:
    return [outcome.reference.split("-")[0] for outcome in outcomes if isinstance(outcome, kind)]


def one_voucher_each(desk: Desk, commands: Sequence[PostVoucher]) -> bool:
    return all(len(desk.vouchers(each.reference)) == 1 for each in commands) and not desk.sandbox.ledger.duplicates()


def of_the_set(desk: Desk) -> dict[str, int]:
    """How often the set of vouchers was looked at, posted to, and given a batch."""
    kinds = {"look": "GET VoucherHandling.svc/VoucherSet", "post": "POST VoucherHandling.svc/VoucherSet"}
    kinds["batch"] = "POST VoucherHandling.svc/$batch"
    counted = desk.sandbox.traffic.by_endpoint
    return {kind: counted[name] for kind, name in kinds.items() if counted[name]}


async def post(desk: Desk, *commands: PostVoucher, batch_size: int = ALL, **settings: Any) -> list[Model]:
    """Let a new poster have all of them at once; returns the outcomes."""
    async with desk.poster(batch_size=batch_size, **settings) as poster:
        await desk.hand(poster, *commands)
        await desk.until_nobody_waits(poster)
    return desk.outcomes


def refuse(desk: Desk, *references: str) -> None:
    """Let IFS refuse vouchers with these references by a rule of its own."""
    check = desk.sandbox.checker

    def checker(**settings: Any) -> Any:
        made = check(**settings)
        inner = made.check

        def strict(body: Any) -> Any:
            if any(str(body.get("VoucherText2")).startswith(f"{name}-") for name in references):
                body = {**body, "VoucherType": "F"}
            return inner(body)

        made.check = strict
        return made

    desk.sandbox.checker = checker  # type: ignore[method-assign]


# --- the straight way -------------------------------------------------------------------------------------------------


async def test_many_vouchers_of_a_company_cost_one_look_and_one_batch(desk: Desk) -> None:
    commands = vouchers(40)
    outcomes = await post(desk, *commands)

    assert of_the_set(desk) == {"look": 1, "batch": 1}
    assert one_voucher_each(desk, commands)
    assert names(outcomes) == [f"INVA{number}x1" for number in range(40)]
    for posted in outcomes:
        assert isinstance(posted, VoucherPosted)
        [found] = desk.vouchers(posted.reference)
        assert (posted.company, posted.voucher_type, posted.accounting_year, posted.voucher_no) == found.key
        assert not posted.found


async def test_what_is_there_is_taken_up_to_the_batch_size_and_no_more_is_waited_for(desk: Desk) -> None:
    await post(desk, *vouchers(25), batch_size=10)
    assert of_the_set(desk) == {"look": 3, "batch": 3}

    desk.sandbox.traffic.reset()
    await asyncio.wait_for(post(desk, voucher("Z")), 10)
    assert of_the_set(desk) == {"look": 1, "post": 1}  # a look and a plain POST, as without batches


async def test_with_the_entry_assistant_the_batch_size_has_no_effect() -> None:
    async with open_desk(posting="entry-assistant") as desk:
        commands = vouchers(3)
        await post(desk, *commands)
        assert one_voucher_each(desk, commands)
        assert desk.sandbox.counts["batches"] == 0


async def test_references_that_do_not_fit_into_one_url_are_looked_for_in_several(desk: Desk) -> None:
    commands = [command(f"{number:03}{'X' * 45}", account_id=f"A{number}") for number in range(60)]
    await post(desk, *commands, batch_size=60)

    assert one_voucher_each(desk, commands)
    assert of_the_set(desk)["batch"] == 1


async def test_vouchers_that_are_there_already_are_adopted_and_the_others_posted(desk: Desk) -> None:
    commands = vouchers(6)
    await post(desk, *commands[:3])
    desk.table.durable.clear()  # another app id, or lost tables
    outcomes = await post(
        desk, *[each.model_copy(update={"command_id": f"new {each.command_id}"}) for each in commands]
    )

    assert one_voucher_each(desk, commands)
    assert [outcome.found for outcome in outcomes[3:] if isinstance(outcome, VoucherPosted)] == [True] * 3 + [False] * 3


async def test_a_command_that_comes_twice_in_a_batch_is_posted_once_and_told_twice(desk: Desk) -> None:
    first, other = voucher("A"), voucher("B")
    await post(desk, first, other, first)

    assert one_voucher_each(desk, [first, other])
    assert sorted(names(desk.outcomes)) == ["INVA1", "INVA1", "INVB1"]
    assert len(set(desk.ids)) == 2


# --- one bad voucher --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 3, 7])
async def test_one_bad_voucher_is_rejected_alone_and_costs_the_others_nothing(desk: Desk, place: int) -> None:
    commands = vouchers(8)
    refuse(desk, f"INVA{place}x1")
    outcomes = await post(desk, *commands)

    good = [each for number, each in enumerate(commands) if number != place]
    assert names(outcomes, VoucherRejected) == [f"INVA{place}x1"]
    assert one_voucher_each(desk, good)
    assert desk.progress == []
    assert not [key for key, value in desk.table.items() if b'"intent"' in value]


async def test_what_can_be_told_before_does_not_cost_the_batch_a_request(desk: Desk) -> None:
    unknown = voucher("B", rows=(ROWS[0].model_copy(update={"account": "0000"}), *ROWS[1:]))
    commands = vouchers(4)
    await post(desk, *commands, unknown)

    assert names(desk.outcomes, VoucherRejected) == ["INVB1"]
    assert of_the_set(desk) == {"look": 1, "batch": 1}
    assert one_voucher_each(desk, commands)


async def test_after_a_bad_voucher_those_of_its_account_follow_in_their_order(desk: Desk) -> None:
    refuse(desk, "INVA2")
    commands = [voucher("A", 1), voucher("B"), voucher("A", 2), voucher("A", 3), voucher("C"), voucher("A", 4)]
    outcomes = await post(desk, *commands)

    told = [outcome.reference.split("-")[0] for outcome in outcomes]  # type: ignore[attr-defined]
    assert [name for name in told if name.startswith("INVA")] == ["INVA1", "INVA2", "INVA3", "INVA4"]
    numbers = [desk.vouchers(each.reference)[0].key[3] for each in commands if each.reference[:5] != "INVA2"]
    assert numbers[0] < numbers[2] < numbers[4]


# --- answers that get lost --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["commit-then-drop", "commit-then-504"])
async def test_a_batch_that_was_booked_and_whose_answer_got_lost_is_found_with_one_more_look(
    desk: Desk, kind: str
) -> None:
    commands = vouchers(20)
    desk.fault(kind)
    outcomes = await post(desk, *commands)

    assert one_voucher_each(desk, commands)
    assert all(outcome.found for outcome in outcomes if isinstance(outcome, VoucherPosted))
    assert of_the_set(desk) == {"look": 2, "batch": 1}
    assert desk.progress == ["uncertain"] * 20


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop"},
        {"kind": "status", "status": 502, "body": "<html><h1>Bad Gateway</h1></html>"},
        {"kind": "status", "status": 200, "body": "<html>a page of the gateway's own</html>"},
        {"kind": "commit-late", "seconds": 0.6},
        {"kind": "commit-late", "seconds": 0.6, "status": 504},
    ],
    ids=["cut connection", "bad gateway", "garbage", "late commit", "late commit after 504"],
)
async def test_a_batch_of_unknown_effect_settles_before_anything_is_sent_again(
    desk: Desk, fault: dict[str, Any]
) -> None:
    started = asyncio.get_running_loop().time()
    commands = vouchers(12)
    desk.fault(**fault)
    outcomes = await post(desk, *commands, voucher("A0x", 2))

    assert one_voucher_each(desk, [*commands, voucher("A0x", 2)])
    assert asyncio.get_running_loop().time() - started >= 1  # ZIFS_IFS__SETTLE_SECONDS of this test
    assert len(outcomes) == 13
    assert desk.progress.count("uncertain") == 13
    assert names(outcomes).index("INVA0x1") < names(outcomes).index("INVA0x2")
    assert desk.sandbox.traffic.total < 50  # and not five looks for each of them


async def test_a_batch_that_moved_to_the_general_ledger_before_it_was_looked_for_is_found_there(desk: Desk) -> None:
    commands = vouchers(6)
    desk.fault("commit-then-drop")
    book = desk.sandbox.ledger.book

    def book_and_update(header: Any, rows: Any) -> Any:
        made = book(header, rows)
        desk.sandbox.ledger.update_general_ledger("10")
        return made

    desk.sandbox.ledger.book = book_and_update  # type: ignore[method-assign]
    await post(desk, *commands)

    assert one_voucher_each(desk, commands)
    assert desk.posts == 6
    assert any(LEDGER in name for name in desk.sandbox.traffic.by_endpoint)


def cut_short(raw: bytes) -> bytes:
    return raw[: len(raw) * 2 // 3]


def without_the_last_answer(raw: bytes) -> bytes:
    boundary = b"--changeset_" + raw.split(b"--changeset_")[1].split(b"\r\n")[0]
    pieces = raw.split(boundary)
    return boundary.join([*pieces[:-2], pieces[-1]])


def with_one_refused(raw: bytes) -> bytes:
    return raw.replace(b"HTTP/1.1 201", b"HTTP/1.1 400", 1)


def of_other_numbers(raw: bytes) -> bytes:
    return raw.replace(b"Content-ID: 2", b"Content-ID: 77")


def spoiling(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes], order: int = 1) -> None:
    written = batch._written

    def spoiled(answers: Any) -> web.Response:
        answer = written([each[::order] for each in answers])
        assert isinstance(answer.body, bytes)
        return web.Response(body=spoil(answer.body), headers={"Content-Type": answer.headers["Content-Type"]})

    monkeypatch.setattr(batch, "_written", spoiled)


@pytest.mark.parametrize("spoil", [cut_short, without_the_last_answer, with_one_refused, of_other_numbers])
async def test_an_answer_in_which_anything_is_missing_or_odd_counts_for_nothing_and_all_are_looked_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes]
) -> None:
    spoiling(monkeypatch, spoil)
    commands = vouchers(4)
    outcomes = await post(desk, *commands)

    assert one_voucher_each(desk, commands)
    assert [outcome.found for outcome in outcomes if isinstance(outcome, VoucherPosted)] == [True] * 4
    assert desk.progress == ["uncertain"] * 4


def of_nobody(raw: bytes) -> bytes:
    """Take out all that tells whose an answer is; lengths stay."""
    unnumbered = re.sub(rb"Content-ID: \d+\r\n", b"", raw)
    return unnumbered.replace(b"VoucherText2", b"VoucherText9").replace(b"INVA", b"XXXX")


@pytest.mark.parametrize("told", [bytes, of_nobody], ids=["of whom", "of nobody"])
async def test_answers_in_another_order_find_their_vouchers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, told: Callable[[bytes], bytes]
) -> None:
    spoiling(monkeypatch, told, order=-1)
    for posted in await post(desk, *vouchers(5)):
        assert isinstance(posted, VoucherPosted)
        assert posted.voucher_no == desk.vouchers(posted.reference)[0].key[3]


# --- others write, IFS is busy, batches are not offered ---------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 6])
async def test_another_writer_between_look_and_batch_means_a_fresh_look_each_time(desk: Desk, times: int) -> None:
    commands = vouchers(5)
    desk.fault("other-writer", times=times)
    await post(desk, *commands)

    assert one_voucher_each(desk, commands)
    assert desk.progress == []


@pytest.mark.parametrize("kind", ["locked", "metadata-changed", "rate-limit", "database-error"])
async def test_a_passing_trouble_is_waited_for(desk: Desk, kind: str) -> None:
    commands = vouchers(5)
    desk.fault(kind, seconds=0.05, times=2)
    await post(desk, *commands)

    assert one_voucher_each(desk, commands)
    assert desk.progress == []


async def test_where_batches_are_not_offered_every_voucher_goes_alone() -> None:
    async with open_desk(batch=False) as desk:
        commands = vouchers(8)
        await post(desk, *commands)
        assert one_voucher_each(desk, commands)
        assert of_the_set(desk)["batch"] == 3  # of 8, of 4, of 2, and never again


async def test_a_look_that_is_not_answered_costs_one_voucher_a_wait_and_the_others_go_on(desk: Desk) -> None:
    commands = vouchers(6)
    desk.fault("drop", method="GET")
    await post(desk, *commands)
    assert one_voucher_each(desk, commands)


async def test_a_poster_that_kafka_may_think_dead_sends_nothing(desk: Desk) -> None:
    commands = vouchers(4)
    desk.heard = [False, False]
    await post(desk, *commands)

    assert of_the_set(desk) == {"look": 3, "batch": 1}
    assert one_voucher_each(desk, commands)


# --- pauses, turns ----------------------------------------------------------------------------------------------------


async def test_a_pause_between_look_and_batch_sends_nothing_until_it_is_lifted(desk: Desk) -> None:
    commands = vouchers(12)
    desk.fault("slow", method="GET", seconds=0.4)
    async with desk.poster(batch_size=ALL) as poster:
        handing = asyncio.create_task(desk.hand(poster, *commands))
        await asyncio.sleep(0.2)
        desk.pauses.apply(PostingPaused(company="10", actor="ann", at=utc_now(), reason="audit"))
        await asyncio.wait_for(handing, 30)
        assert (desk.posts, desk.outcomes) == (0, [])
        assert not [value for value in desk.table.values() if b'"intent"' in value]

        desk.sandbox.traffic.reset()
        desk.pauses.apply(PostingResumed(company="10", actor="ann", at=utc_now(), reason="over"))
        await desk.until_nobody_waits(poster)
    assert one_voucher_each(desk, commands)
    assert of_the_set(desk) == {"look": 1, "batch": 1}  # they come back together


@pytest.mark.parametrize("batch_size", [1, 5])
async def test_a_company_with_many_in_front_does_not_hold_up_another_ones_few(desk: Desk, batch_size: int) -> None:
    many = vouchers(30)
    few = [voucher(f"B{number}", company="40", currency="EUR") for number in range(3)]
    outcomes = await post(desk, *many, *few, batch_size=batch_size)

    places = [number for number, name in enumerate(names(outcomes)) if name.startswith("INVB")]
    assert len(outcomes) == 33
    assert max(places) < 10  # in turn with the others, or after one batch of them
    assert one_voucher_each(desk, [*many, *few])


async def test_an_account_with_vouchers_in_two_companies_keeps_its_order(desk: Desk) -> None:
    other = {"company": "40", "currency": "EUR"}
    commands = [voucher("A", 1), voucher("A", 2, **other), voucher("A", 3), voucher("A", 4, **other), voucher("B", 1)]
    outcomes = await post(desk, *commands)

    assert [name for name in names(outcomes) if name.startswith("INVA")] == ["INVA1", "INVA2", "INVA3", "INVA4"]
    assert one_voucher_each(desk, commands)


# --- crashes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crash_at", range(1, 13))
async def test_a_crash_at_any_point_of_a_batch_leaves_one_voucher_each(desk: Desk, crash_at: int) -> None:
    commands = [voucher("A", 1), voucher("B", 1), voucher("A", 2), voucher("C", 1)]
    async with desk.poster(batch_size=ALL, settle_seconds=0.2) as poster:
        with suppress(CrashError):
            await desk.hand(poster, *commands, crash_at=crash_at)
    async with desk.poster(batch_size=ALL, settle_seconds=0.2) as poster:
        await desk.hand(poster, *commands, offset=1)  # not acknowledged, so they come again
        await desk.until_nobody_waits(poster)

    assert one_voucher_each(desk, commands)
    firsts = list(dict.fromkeys(names(desk.outcomes)))
    assert [name for name in firsts if name.startswith("INVA")] == ["INVA1", "INVA2"]
    assert set(firsts) == {"INVA1", "INVA2", "INVB1", "INVC1"}


FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "drop"},
    {"kind": "commit-then-drop"},
    {"kind": "commit-then-504"},
    {"kind": "commit-late", "seconds": 0.1},
    {"kind": "other-writer"},
    {"kind": "rate-limit", "seconds": 0.01},
    {"kind": "database-error"},
    {"kind": "locked", "times": 3},
    {"kind": "drop", "method": "GET"},
    {"kind": "status", "method": "GET", "status": 503, "times": 2},
)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 8])
async def test_faults_crashes_and_refusals_leave_one_voucher_each_in_order(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - chooses faults, guards no secret
    companies: list[dict[str, Any]] = [{}, {"company": "40", "currency": "EUR"}]
    commands = [voucher(chance.choice("ABCDEF"), number, **chance.choice(companies)) for number in range(30)]
    refused = {each.reference for each in chance.sample(commands, 3)}
    refuse(desk, *(reference.split("-")[0] for reference in refused))
    done, log = 0, [each for one in commands for each in [one] * chance.choice([1, 1, 1, 2])]
    while done < len(log) or desk.in_room_durably:
        with suppress(CrashError):
            async with desk.poster(batch_size=chance.choice([2, 5, 50]), settle_seconds=0.3) as poster:
                while done < len(log):
                    for fault in chance.sample(FAULTS, chance.randrange(2)):
                        desk.fault(**fault)
                    many = chance.choice([1, 4, 12])
                    crash_at = chance.choice([0, 0, 0, 1, 3, 9])
                    await desk.hand(poster, *log[done : done + many], crash_at=crash_at, offset=done + 1)
                    done += many
                desk.sandbox.faults.clear()
                await desk.tick(poster)
                await desk.until_nobody_waits(poster, crash_at=chance.choice([0, 1, 2, 4]))

    told = [outcome.reference for outcome in desk.outcomes]  # type: ignore[attr-defined]
    firsts = list(dict.fromkeys(told))
    for account in "ABCDEF":
        wanted = [each.reference for each in commands if each.account_id == account]
        assert [name for name in firsts if name in wanted] == wanted
    assert one_voucher_each(desk, [each for each in commands if each.reference not in refused])
    assert not [each for each in desk.sandbox.ledger.vouchers.values() if set(each.references) & refused]

"""A POST never leaves much later than its intent says, and what is spent is noted for a command that is in hand."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from agents.poster.state import Intent, read_entry
from agents.runtime import handling
from agents.runtime.work import current_work
from schemas.base import utc_now
from streams.systems.ifs import change_set, posting
from streams.systems.tokens import TokenSource
from tests.support.fakes import FakeWork
from tests.support.posting import DeskWork, command, open_desk


@pytest.mark.parametrize("many", [1, 2])
async def test_an_intent_that_kafka_confirms_late_is_written_anew_before_the_post(
    many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = timedelta()
    intents: list[float] = []
    async with open_desk() as desk, desk.poster(batch_size=50) as poster:
        confirmed = DeskWork.confirmed

        async def slowly(work: DeskWork) -> None:
            nonlocal late
            await confirmed(work)
            entries = [value for key, value in desk.table.items() if key.startswith("command/")]
            found = [entry for value in entries if isinstance(entry := read_entry(value), Intent)]
            if found and not late:
                late = timedelta(seconds=20)
            intents.extend((entry.sent_at - utc_now()).total_seconds() for entry in found)

        monkeypatch.setattr(DeskWork, "confirmed", slowly)
        poster._carrying.clock = lambda: utc_now() + late
        await desk.hand(poster, *(command(f"INV{n}-AAAABBBBCCCCDDDDEEEE", account_id=f"A{n}") for n in range(many)))
        assert len(desk.outcomes) == many
        assert desk.posts == many
    assert min(intents) < 10 < max(intents)


@pytest.mark.parametrize("many", [1, 2])
async def test_a_post_whose_token_is_renewed_late_is_not_sent_but_begun_anew(
    many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages: list[float] = []
    monkeypatch.setattr(posting, "LEAVES_WITHIN_SECONDS", 0.6)
    monkeypatch.setattr(change_set, "LEAVES_WITHIN_SECONDS", 0.6)
    async with open_desk() as desk, desk.poster(batch_size=50) as poster:
        book, ask, confirmed = desk.sandbox.ledger.book, TokenSource._ask, DeskWork.confirmed

        def noting(*voucher: Any) -> Any:
            entries = [read_entry(value) for key, value in desk.table.items() if key.startswith("command/")]
            ages.extend((utc_now() - entry.sent_at).total_seconds() for entry in entries if isinstance(entry, Intent))
            return book(*voucher)

        async def slowly(source: TokenSource) -> Any:
            await asyncio.sleep(1.2)
            return await ask(source)

        async def revoking(work: DeskWork) -> None:
            await confirmed(work)
            if desk.sandbox.counts["tokensIssued"] == 1:
                desk.sandbox.revoke_tokens()

        desk.sandbox.ledger.book = noting  # type: ignore[method-assign]
        monkeypatch.setattr(TokenSource, "_ask", slowly)
        monkeypatch.setattr(DeskWork, "confirmed", revoking)
        await desk.hand(poster, *(command(f"INV{n}-AAAABBBBCCCCDDDDEEEE", account_id=f"A{n}") for n in range(many)))
        await desk.until_nobody_waits(poster)
    assert (len(desk.outcomes), desk.posts, desk.sandbox.counts["tokensIssued"]) == (many, many, 2)
    assert desk.progress == []
    assert max(ages) < 1.2


async def test_a_batch_notes_what_is_spent_for_its_own_command_not_for_what_woke_the_poster() -> None:
    woke = FakeWork()
    noted: list[object] = []
    async with open_desk() as desk, desk.poster(batch_size=50) as poster:
        record = poster._budget.record

        async def noting(*, at_once: bool = False) -> None:
            noted.append(current_work.get())
            await record(at_once=at_once)

        poster._budget.record = noting  # type: ignore[method-assign]
        with handling(woke):  # type: ignore[arg-type]
            await desk.hand(poster, *(command(f"INV{n}-AAAABBBBCCCCDDDDEEEE", account_id=f"A{n}") for n in range(2)))
    assert noted
    assert woke not in noted

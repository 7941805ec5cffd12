"""Four eyes on a real log: what one person proposes takes effect when another approves, and never before."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from agents.cli.main import main
from agents.console.app import create_app
from agents.console.feed import FeedState, run_feed
from agents.serving import start_site
from schemas.base import Model, utc_now
from schemas.envelope import decode_any
from schemas.mappings import AccountMappingSet, ChartRuleSet
from schemas.proposals import ChangeProposed, ProposalApproved, ProposalRefused
from schemas.topics import MAPPING, PROPOSAL
from streams.log.reader import LogRecord, read_to_end
from streams.mapping_changes import change_message
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from streams.proposals import proposal_message
from streams.settings import ConsoleSettings
from tests.support.api_contract import Caller, Contract
from tests.support.projecting import Cluster

FILE = (
    "kind,zuora_account_id,company,match_value,gl_account,comment\n"
    "account,8ad0,10,,1510,first customer\n"
    "tax,,10,VAT25,2610,\n"
)
TOKENS = "anna:mapper:annas-token,bert:mapper:berts-token,carl:mapper:carls-token,vera:viewer:veras-token"
RULE = {"company": "10", "documentType": "Refund", "post": True, "comment": "refunds too"}
APPROVE, REFUSE = "/api/proposals/{proposal}/approve", "/api/proposals/{proposal}/refuse"

People = dict[str, Caller]
Command = Callable[..., Coroutine[Any, Any, str]]


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, tmp_path: Path) -> AsyncIterator[Cluster]:
    console = ConsoleSettings.model_validate({"host": "127.0.0.1", "tokens": TOKENS})
    cluster.settings = cluster.settings.model_copy(update={"four_eyes": True, "console": console})
    monkeypatch.setenv("ZIFS_FOUR_EYES", "true")
    # What the console logs would stand between what the commands say.
    with Store(tmp_path / "console.sqlite") as store, capture_logs():
        projector = Projector(store, cluster.names)
        feed = asyncio.ensure_future(run_feed(FeedState(), projector, cluster.kafka, cluster.names))
        yield cluster
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)


@pytest.fixture
async def people(cluster: Cluster, tmp_path: Path) -> AsyncIterator[People]:
    """Each person at a console; carl has one of his own."""
    async with AsyncExitStack() as stack:
        sites = []
        for _ in range(2):
            app = create_app(cluster.settings, ReadModel(tmp_path / "console.sqlite"), FeedState())
            sites.append(await start_site(app, "127.0.0.1", 0))
            stack.push_async_callback(sites[-1].stop)
        found: People = {}
        for name in ("anna", "bert", "carl", "vera"):
            url = sites[name == "carl"].url
            session = aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {name}s-token"})
            await stack.enter_async_context(session)
            found[name] = Caller(session, await Contract.of(session))
        yield found


@pytest.fixture
def zuora_ifs(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(words: tuple[str, ...], code: int) -> str:
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return said.err if code else said.out

    async def command(*words: str, code: int = 0) -> str:
        return await asyncio.to_thread(run, words, code)

    return command


async def records(cluster: Cluster, topic: str) -> list[LogRecord]:
    batches = read_to_end(cluster.kafka, [cluster.names.public(topic)], {})
    return [one async for batch in batches for one in batch.records]


async def events(cluster: Cluster, topic: str) -> list[Model]:
    return [decode_any(one.headers, one.value) for one in await records(cluster, topic)]


async def test_an_import_takes_effect_when_another_person_approves_it(
    people: People, zuora_ifs: Command, cluster: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "mappings.csv"
    file.write_text(FILE)

    told = json.loads(await zuora_ifs("mappings", "import", str(file), "--actor", "anna", "--json"))
    assert (told["new"], told["sent"]) == (2, 0)
    assert await events(cluster, MAPPING) == []
    shown = await people["vera"]("GET", "/api/proposals/{proposal}", proposal=told["proposal"])
    assert [(one["key"], one["before"], one["after"]["glAccount"]) for one in shown["items"]] == [
        ("account/8ad0", None, "1510"),
        ("10/tax/VAT25", None, "2610"),
    ]

    refused = await people["anna"]("POST", APPROVE, proposal=told["proposal"], body={}, expect=409)
    assert "your own" in refused["error"]
    await people["vera"]("POST", APPROVE, proposal=told["proposal"], body={}, expect=403)
    assert await events(cluster, MAPPING) == []
    done = await people["bert"]("POST", APPROVE, proposal=told["proposal"], body={"comment": "checked"})
    assert (done["status"], done["actor"], done["decidedBy"]) == ("approved", "anna", "bert")

    found = await events(cluster, MAPPING)
    assert {type(one) for one in found} == {AccountMappingSet, ChartRuleSet}
    listed = json.loads(await zuora_ifs("mappings", "list", "--json"))
    assert [(one["actor"], one["approvedBy"]) for one in listed] == [("anna", "bert")] * 2
    proposed, approved = await events(cluster, PROPOSAL)
    assert isinstance(proposed, ChangeProposed)
    assert isinstance(approved, ProposalApproved)
    assert (proposed.actor, approved.actor, approved.comment) == ("anna", "bert", "checked")
    assert "approved" in await zuora_ifs("approvals", "show", told["proposal"])
    assert "bert" in await zuora_ifs("approvals", "list")


async def test_commands_say_that_they_propose_and_do_not_wait(zuora_ifs: Command, cluster: Cluster) -> None:
    words = ("mappings", "set", "unapplied", "--company", "10", "--gl-account", "2420")

    assert "another person approves it" in await zuora_ifs(*words, "--wait", code=2)
    assert "10/unapplied: proposed as" in await zuora_ifs(*words)
    assert "10/rule/Refund: proposed as" in await zuora_ifs(
        "rules", "set", "--company", "10", "--document-type", "Refund", "--post", "yes"
    )
    assert "10/company: proposed as" in await zuora_ifs("companies", "set", "10", "--cutover", "2026-01-01")
    assert await events(cluster, MAPPING) == []


async def test_what_was_refused_or_changed_since_does_not_take_effect(people: People, cluster: Cluster) -> None:
    anna, bert = people["anna"], people["bert"]
    first, second, third = [
        (await anna("PUT", "/api/rules", body=RULE | {"comment": why}, expect=202))["id"] for why in ("1", "2", "3")
    ]
    taken_back = await anna("POST", REFUSE, proposal=first, body={"comment": "wrong company"})
    assert taken_back["status"] == "refused"
    assert "refused by anna" in (await bert("POST", APPROVE, proposal=first, body={}, expect=409))["error"]
    await bert("POST", APPROVE, proposal=second, body={})
    assert "has changed since" in (await bert("POST", APPROVE, proposal=third, body={}, expect=409))["error"]

    assert len(await events(cluster, MAPPING)) == 1
    listed = (await bert("GET", "/api/proposals"))["items"]
    assert [one["status"] for one in listed] == ["pending", "approved", "refused"]
    removal = await anna("DELETE", "/api/rules", query={"company": "10", "documentType": "Refund"}, expect=202)
    (item,) = (await bert("GET", "/api/proposals/{proposal}", proposal=removal["id"]))["items"]
    assert (item["before"]["approvedBy"], item["after"]) == ("bert", None)
    await bert("POST", APPROVE, proposal="none-of-that-id", body={}, expect=404)


async def test_an_approval_that_broke_off_is_completed_by_approving_again(
    people: People, cluster: Cluster, zuora_ifs: Command, tmp_path: Path
) -> None:
    file = tmp_path / "mappings.csv"
    file.write_text(FILE)
    told = json.loads(await zuora_ifs("mappings", "import", str(file), "--actor", "anna", "--json"))
    decision = ProposalApproved(proposal=told["proposal"], actor="bert", at=utc_now())
    (proposed,) = await events(cluster, PROPOSAL)
    assert isinstance(proposed, ChangeProposed)
    account = AccountMappingSet.model_validate(proposed.changes[0].event)
    reached = account.model_copy(update={"approved_by": "bert", "at": decision.at})
    topic = cluster.names.public(MAPPING)
    await cluster.send(
        [proposal_message(cluster.names, decision, "console"), change_message(topic, reached, process="console")]
    )

    await people["carl"]("POST", APPROVE, proposal=told["proposal"], body={})

    found = await events(cluster, MAPPING)
    assert sorted(type(one).__name__ for one in found) == ["AccountMappingSet", "ChartRuleSet"]
    assert {
        (one.actor, one.approved_by, one.at) for one in found if isinstance(one, AccountMappingSet | ChartRuleSet)
    } == {("anna", "bert", decision.at)}


async def test_two_who_decide_at_the_same_moment_send_the_same(people: People, cluster: Cluster) -> None:
    proposal = (await people["anna"]("PUT", "/api/rules", body=RULE, expect=202))["id"]

    answers = await asyncio.gather(
        *(people[name]("POST", APPROVE, proposal=proposal, body={}) for name in ("bert", "carl"))
    )

    assert len({one["decidedBy"] for one in answers}) == 1
    assert len({one.event_id for one in await records(cluster, MAPPING)}) == 1
    contested = (await people["anna"]("PUT", "/api/rules", body=RULE | {"post": False}, expect=202))["id"]
    before = len(await records(cluster, MAPPING))
    refusal = ProposalRefused(proposal=contested, actor="bert", at=utc_now())
    await cluster.send([proposal_message(cluster.names, refusal, "console")])
    await people["carl"]("POST", APPROVE, proposal=contested, body={}, expect=409)
    assert len(await records(cluster, MAPPING)) == before

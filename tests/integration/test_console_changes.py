"""What people change over the API reaches the log, with their names and why, and is answered as described."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agents.console.app import create_app
from agents.console.feed import FeedState
from agents.serving import start_site
from schemas.base import DocumentType, Model
from schemas.envelope import decode_any
from schemas.mappings import (
    AccountMappingRemoved,
    AccountMappingSet,
    ChartRuleRemoved,
    ChartRuleSet,
    CompanySet,
    PostingRuleRemoved,
    PostingRuleSet,
)
from schemas.requests import PostingPaused, PostingResumed
from schemas.topics import CONTROL, DEAD_LETTER, MAPPING, VOUCHER_COMMAND
from schemas.vouchers import VoucherNumber
from streams.log.messages import Message
from streams.log.reader import read_to_end
from streams.projection.feed import catch_up
from streams.projection.projector import PROJECTED, Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from tests.support.api_contract import Caller, Contract
from tests.support.projecting import Cluster, cluster_of, step

ACCOUNT = "/api/mappings/account/{accountId}"
PRODUCT = "/api/mappings/product/{company}/{matchOn}/{matchValue}"
VOUCHER = VoucherNumber(company="10", voucher_type="M", accounting_year=2026, voucher_no=7)


@pytest.fixture
async def cluster(kafka_bootstrap: str, unique: str, tmp_path: Path) -> Cluster:
    made = cluster_of(kafka_bootstrap, unique, tmp_path, host="127.0.0.1", tokens="ops:operator:run-it")
    await made.make_topics()
    return made


@pytest.fixture
async def ask(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Caller]:
    await read(cluster, tmp_path)
    model = ReadModel(tmp_path / "console.sqlite")
    site = await start_site(create_app(cluster.settings, model, FeedState()), "127.0.0.1", 0)
    async with aiohttp.ClientSession(site.url, headers={"Authorization": "Bearer run-it"}) as session:
        yield Caller(session, await Contract.of(session))
    await site.stop()


async def read(cluster: Cluster, folder: Path) -> None:
    """Bring the console's read model up to the log."""
    with Store(folder / "console.sqlite") as store:
        projector = Projector(store, cluster.names)
        await catch_up(projector, cluster.kafka, cluster.names, PROJECTED, lambda _done, _behind: None)


async def events(cluster: Cluster, topic: str) -> list[Model]:
    batches = read_to_end(cluster.kafka, [cluster.names.public(topic)], {})
    found = [one async for batch in batches for one in batch.records]
    return [decode_any(one.headers, one.value) for one in sorted(found, key=lambda one: one.timestamp)]


async def test_mappings_of_every_kind_are_set_and_removed(ask: Caller, cluster: Cluster, tmp_path: Path) -> None:
    places: list[tuple[str, dict[str, Any], str]] = [
        (ACCOUNT, {"accountId": "8ad0"}, "account/8ad0"),
        (PRODUCT, {"company": "10", "matchOn": "sku", "matchValue": "A%2FB%20%7B1%7D"}, "10/product/sku/A/B {1}"),
        ("/api/mappings/tax/{company}/{matchValue}", {"company": "10", "matchValue": "(none)"}, "10/tax/(none)"),
        ("/api/mappings/cash/{company}/{currency}", {"company": "10", "currency": "EUR"}, "10/cash/EUR/"),
        (
            "/api/mappings/cash/{company}/{currency}/{gateway}",
            {"company": "10", "currency": "EUR", "gateway": "GW1"},
            "10/cash/EUR/GW1",
        ),
        ("/api/mappings/unapplied/{company}", {"company": "10"}, "10/unapplied"),
        ("/api/mappings/rounding/{company}", {"company": "10"}, "10/rounding"),
    ]
    body = {"glAccount": "3010", "codeParts": {"B": "100"}, "comment": "new chart"}
    for path, parts, key in places:
        of_kind = {"company": "10"} if path == ACCOUNT else {"deferredAccount": "2970"} if path == PRODUCT else {}
        told = await ask("PUT", path, body=body | of_kind, **parts)
        assert (told["key"], told["glAccount"], told["actor"]) == (key, "3010", "ops")
    await read(cluster, tmp_path)

    standing = (await ask("GET", "/api/mappings"))["items"]
    assert sorted(one["key"] for one in standing) == sorted(key for _, _, key in places)
    for path, parts, key in places:
        told = await ask("DELETE", path, query={"comment": "closed"}, **parts)
        assert told["key"] == key
    found = await events(cluster, MAPPING)

    assert [type(one) for one in found[: len(places)]] == [AccountMappingSet, *[ChartRuleSet] * 6]
    assert [type(one) for one in found[len(places) :]] == [AccountMappingRemoved, *[ChartRuleRemoved] * 6]
    assert {(one.actor, one.comment) for one in found if isinstance(one, ChartRuleRemoved)} == {("ops", "closed")}
    set_product = found[1]
    assert isinstance(set_product, ChartRuleSet)
    assert (set_product.deferred_account, set_product.code_parts) == ("2970", {"B": "100"})


async def test_an_answer_tells_the_version_that_the_change_has_in_the_log(
    ask: Caller, cluster: Cluster, tmp_path: Path
) -> None:
    path, parts = "/api/mappings/unapplied/{company}", {"company": "10"}
    first = await ask("PUT", path, body={"glAccount": "2420"}, **parts)
    second = await ask("PUT", path, body={"glAccount": "2421"}, **parts)
    await read(cluster, tmp_path)

    (standing,) = (await ask("GET", "/api/mappings"))["items"]
    assert second["version"] == first["version"] + 1
    assert standing == second


async def test_moving_an_account_with_vouchers_needs_a_second_word(
    ask: Caller, cluster: Cluster, tmp_path: Path
) -> None:
    first = {"glAccount": "1510", "company": "10"}
    await ask("PUT", ACCOUNT, accountId="8ad0", body=first)
    await cluster.send_steps(step("Invoice:1", "posted", accountId="8ad0", voucher=VOUCHER, vouchers=[VOUCHER]))
    await read(cluster, tmp_path)

    await ask("PUT", ACCOUNT, accountId="8ad0", body=first | {"codeParts": {"B": "200"}})
    told = await ask("PUT", ACCOUNT, accountId="8ad0", body=first | {"glAccount": "1511"}, expect=409)
    assert "vouchers are posted for 8ad0" in told["error"]
    assert len(await events(cluster, MAPPING)) == 2
    await ask("PUT", ACCOUNT, accountId="8ad0", body=first | {"glAccount": "1511", "confirm": True})
    assert len(await events(cluster, MAPPING)) == 3


async def test_rules_and_companies_are_set_whole(ask: Caller, cluster: Cluster, tmp_path: Path) -> None:
    rule = {"company": "*", "documentType": "Adjustment", "post": True, "contraAccount": "6351", "comment": "audit"}
    company = {"company": "10", "cutover": "2026-01-01", "voucherType": "Z"}
    await ask("PUT", "/api/rules", body=rule)
    await ask("PUT", "/api/companies", body=company)
    await read(cluster, tmp_path)

    (told,) = (await ask("GET", "/api/rules"))["items"]
    assert {name: told[name] for name in rule} == rule
    (told,) = (await ask("GET", "/api/companies"))["items"]
    assert {name: told[name] for name in company} == company
    await ask("DELETE", "/api/rules", query={"company": "*", "documentType": "Adjustment", "comment": "no more"})
    found = {type(one): one for one in await events(cluster, MAPPING)}
    set_rule, removed, set_company = found[PostingRuleSet], found[PostingRuleRemoved], found[CompanySet]
    assert isinstance(set_rule, PostingRuleSet)
    assert isinstance(removed, PostingRuleRemoved)
    assert isinstance(set_company, CompanySet)
    assert (set_rule.document_type, set_rule.actor, set_rule.comment) == (DocumentType.ADJUSTMENT, "ops", "audit")
    assert (removed.actor, removed.comment) == ("ops", "no more")
    assert set_company.cutover == date(2026, 1, 1)


async def test_posting_is_paused_and_resumed_with_who_and_why(ask: Caller, cluster: Cluster) -> None:
    paused = await ask("POST", "/api/posting/pause", body={"company": "10", "reason": "year end"})
    assert [(one["company"], one["actor"], one["reason"]) for one in paused["paused"]] == [("10", "ops", "year end")]
    again = await ask("POST", "/api/posting/resume", body={"reason": "all of them"})
    assert (again["changed"], len(again["paused"])) == (False, 1)

    standing = await ask("GET", "/api/posting")
    assert [one["company"] for one in standing["paused"]] == ["10"]
    assert standing["backlog"] == 0
    done = await ask("POST", "/api/posting/resume", body={"company": "10", "reason": "done"})
    assert done == {"changed": True, "paused": []}
    assert [type(one) for one in await events(cluster, CONTROL)] == [PostingPaused, PostingResumed]


async def test_when_the_backlog_is_clear_is_told_and_never_while_all_is_paused(ask: Caller, cluster: Cluster) -> None:
    topic = cluster.names.public(VOUCHER_COMMAND)
    await cluster.send([Message(topic, b"10", b"{}", []) for _ in range(95)])

    told = await ask("GET", "/api/posting")
    assert (told["backlog"], told["requestsPerMinute"], told["secondsUntilClear"]) == (95, 950, 12.0)
    assert told["clearAt"]

    await ask("POST", "/api/posting/pause", body={"reason": "year end"})
    told = await ask("GET", "/api/posting")
    assert (told["backlog"], told["secondsUntilClear"], told["clearAt"]) == (95, None, None)


async def test_dead_letters_are_listed_shown_and_sent_back(ask: Caller, cluster: Cluster, tmp_path: Path) -> None:
    topic = cluster.names.public(MAPPING)
    headers = {
        "dlq.topic": topic.encode(),
        "dlq.partition": b"0",
        "dlq.offset": b"7",
        "dlq.reason": b"not JSON",
        "dlq.time": b"2026-03-01T08:00:00+00:00",
        "ce_type": b"CompanySet",
    }
    await cluster.send([Message(cluster.names.public(DEAD_LETTER), b"10", b"\xff\x00", list(headers.items()))])
    await read(cluster, tmp_path)

    (letter,) = (await ask("GET", "/api/dead-letters", query={"topic": MAPPING}))["items"]
    assert (letter["id"], letter["reason"]) == (f"{topic}/0/7", "not JSON")
    whole = await ask("GET", "/api/dead-letters/{letter}", letter=letter["id"])
    assert whole["value"] == {"hex": "ff00"}
    assert whole["headers"]["ce_type"] == "CompanySet"
    body = {"ids": [letter["id"]], "reason": "reader mended"}
    preview = await ask("POST", "/api/dead-letters/resend", body=body | {"dryRun": True})
    assert [one["id"] for one in preview["items"]] == [letter["id"]]
    assert await log_end(cluster) == 0
    done = await ask("POST", "/api/dead-letters/resend", body=body)
    assert len(done["items"]) == 1


async def log_end(cluster: Cluster) -> int:
    batches = read_to_end(cluster.kafka, [cluster.names.public(MAPPING)], {})
    return sum([len(batch.records) async for batch in batches])

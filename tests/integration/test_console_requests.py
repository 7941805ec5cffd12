"""What operators ask for over the API reaches the log with their names."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agents.console.app import create_app
from agents.console.feed import FeedState
from agents.serving import start_site
from schemas.base import Model
from schemas.envelope import decode_any
from schemas.requests import CorrectionRequested, ReplayRequested, SettlementRecorded
from schemas.topics import DOCUMENT, MAPPING, REQUEST, VOUCHER_COMMAND
from schemas.vouchers import PostVoucher
from streams.accounting.documents import read_document
from streams.accounting.evaluation import evaluate
from streams.log.messages import event_message
from streams.log.reader import read_to_end
from streams.mapping_changes import change_message
from streams.projection.chart import ProjectedChart
from streams.projection.feed import catch_up
from streams.projection.projector import PROJECTED, Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from tests.support.company_10 import MAPPINGS, invoice, item
from tests.support.projecting import START, Cluster, cluster_of, step

NOW = invoice("80.00", item("ANL", "80.00"))
MARKS = {"postedFingerprint": "1-before", "documentFingerprint": read_document(NOW).fingerprint}


@pytest.fixture
async def cluster(kafka_bootstrap: str, unique: str, tmp_path: Path) -> Cluster:
    made = cluster_of(kafka_bootstrap, unique, tmp_path, host="127.0.0.1", tokens="ops:operator:run-it")
    await made.make_topics()
    return made


@pytest.fixture
async def console(cluster: Cluster, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A console that has read a rejected invoice and one that changed after posting."""
    name = cluster.names.public(DOCUMENT)
    document = event_message(name, "A1", NOW, event_id="d", process="test", subject=NOW.record_id, time=START)
    mappings = [change_message(cluster.names.public(MAPPING), one, process="test") for one in MAPPINGS[:2]]
    await cluster.send([document, *mappings])
    await cluster.send_steps(
        step("Invoice:1", "rejected", accountId="A1"),
        step("Invoice:I1", "changed-after-posting", accountId="A1", **MARKS),
    )
    model = await read(cluster, tmp_path)
    site = await start_site(create_app(cluster.settings, model, FeedState()), "127.0.0.1", 0)
    async with aiohttp.ClientSession(site.url, headers={"Authorization": "Bearer run-it"}) as session:
        yield session
    await site.stop()


async def read(cluster: Cluster, folder: Path) -> ReadModel:
    """Bring the console's read model up to the log."""
    path = folder / "console.sqlite"
    with Store(path) as store:
        projector = Projector(store, cluster.names)
        await catch_up(projector, cluster.kafka, cluster.names, PROJECTED, lambda _done, _behind: None)
    return ReadModel(path)


async def post(console: aiohttp.ClientSession, path: str, **body: Any) -> tuple[int, Any]:
    async with console.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def requests(cluster: Cluster) -> list[Model]:
    batches = read_to_end(cluster.kafka, [cluster.names.public(REQUEST)], {})
    return [decode_any(one.headers, one.value) async for batch in batches for one in batch.records]


async def test_a_replay_and_a_settlement_carry_the_name_of_the_token(
    console: aiohttp.ClientSession, cluster: Cluster
) -> None:
    status, told = await post(console, "/api/replay", records=["Invoice:1"], reason="opened", date="2026-05-05")
    assert (status, [one["action"] for one in told["items"]]) == (200, ["evaluate"])
    status, _ = await post(console, "/api/records/Invoice:1/settle", reason="by hand", voucher="10/M/2026/9")
    assert status == 200

    replayed, settled = await requests(cluster)
    assert isinstance(replayed, ReplayRequested)
    assert (replayed.actor, replayed.reason, replayed.date) == ("ops", "opened", date(2026, 5, 5))
    assert isinstance(settled, SettlementRecorded)
    assert (settled.actor, settled.voucher) == ("ops", "10/M/2026/9")


async def test_a_correction_is_for_what_the_person_saw(console: aiohttp.ClientSession, cluster: Cluster) -> None:
    path = "/api/records/Invoice:I1/correct"
    status, seen = await post(console, path, reason="price changed", dryRun=True)
    assert status == 200
    assert [row["account"] for row in seen["posts"]["rows"]] == ["1510", "3010"]
    assert {name: seen[name] for name in MARKS} == MARKS

    status, told = await post(console, path, reason="price changed", postedFingerprint="1-older")
    assert (status, "look at it once more" in told["error"]) == (409, True)
    assert await requests(cluster) == []

    status, _ = await post(console, path, reason="price changed", **MARKS)
    assert status == 200
    [asked] = await requests(cluster)
    assert isinstance(asked, CorrectionRequested)
    assert (asked.actor, asked.posted_fingerprint, asked.document_fingerprint) == ("ops", *MARKS.values())


async def test_the_page_of_a_record_tells_why_its_voucher_is_as_it_is(
    console: aiohttp.ClientSession, cluster: Cluster, tmp_path: Path
) -> None:
    model = await read(cluster, tmp_path)
    document = read_document(NOW)
    voucher = evaluate(document, ProjectedChart(model.mapping)).voucher
    assert voucher
    command = PostVoucher(
        command_id="c", app_id="app", record_id=NOW.record_id, document_type=NOW.document_type, account_id="A1",
        reference="INV1-X", fingerprint=document.fingerprint, document_offset=0, company="10", voucher_type="M",
        voucher_date=voucher.voucher_date, rate_date=voucher.rate_date, text=voucher.text, currency="EUR",
        currency_type="1", rows=voucher.rows, rest_row=voucher.rest_row, mapping_versions=voucher.versions,
    )  # fmt: skip
    name = cluster.names.public(VOUCHER_COMMAND)
    sent = event_message(name, "10", command, event_id="c", process="test", subject=NOW.record_id, time=START)
    await cluster.send([sent])
    await read(cluster, tmp_path)

    async with console.get("/records/Invoice:I1") as answer:
        text = await answer.text()
    assert answer.status == 200, text
    assert "Why this voucher" in text
    assert "it comes out identical" in text
    assert "10/product/sku/ANL" in text
    assert "eva" in text

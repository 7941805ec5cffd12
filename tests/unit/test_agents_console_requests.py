"""Who may ask for what over the API, and what it says without sending anything."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agents.console.app import create_app
from agents.console.feed import FeedState
from agents.serving import start_site
from schemas.topics import AUDIT, TopicNames
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from streams.settings import Settings
from tests.support.projecting import log_record, step

OPERATOR = {"Authorization": "Bearer run-it"}
MAPPER = {"Authorization": "Bearer map-it"}


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    path = tmp_path / "console.sqlite"
    settings = Settings.model_validate(
        # Nobody listens there: what reaches for Kafka fails.
        {
            "kafka": {"bootstrap_servers": "127.0.0.1:1"},
            "console": {"tokens": "mia:mapper:map-it,ops:operator:run-it"},
        }
    )
    steps = [step("Invoice:1", "rejected", accountId="A1"), step("Invoice:2", "posted", accountId="A1")]
    with Store(path) as store:
        Projector(store, TopicNames("", "app")).apply([log_record(one, n, topic=AUDIT) for n, one in enumerate(steps)])
    app = create_app(settings, ReadModel(path), FeedState(caught_up=True, behind=0))
    site = await start_site(app, "127.0.0.1", 0)
    async with aiohttp.ClientSession(site.url) as session:
        yield session
    await site.stop()


async def post(
    console: aiohttp.ClientSession, path: str, body: Any, headers: dict[str, str] = OPERATOR
) -> tuple[int, Any]:
    async with console.post(path, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("path", ["/api/replay", "/api/records/Invoice:1/correct", "/api/records/Invoice:1/settle"])
async def test_only_operators_may_ask(console: aiohttp.ClientSession, path: str) -> None:
    assert (await post(console, path, {}, MAPPER))[0] == 403
    assert (await post(console, path, {}, {}))[0] == 401


async def test_a_dry_run_says_what_would_happen(console: aiohttp.ClientSession) -> None:
    status, told = await post(console, "/api/replay", {"records": ["Invoice:1", "Invoice:2"], "dryRun": True})

    assert status == 200
    assert told["dryRun"] is True
    assert [(one["id"], one["action"]) for one in told["items"]] == [
        ("Invoice:1", "evaluate"),
        ("Invoice:2", "nothing"),
    ]


async def test_records_are_chosen_by_status_and_time(console: aiohttp.ClientSession) -> None:
    chosen = {"status": "rejected", "dryRun": True}
    _, told = await post(console, "/api/replay", chosen)
    _, since = await post(console, "/api/replay", chosen | {"since": "2027-01-01T00:00:00Z"})

    assert [one["id"] for one in told["items"]] == ["Invoice:1"]
    assert since["items"] == []


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"dryRun": True}, 400, "name records"),
        ({"records": ["Invoice:1"], "status": "failed", "dryRun": True}, 400, "one of the two"),
        ({"records": ["Invoice:1"]}, 400, "reason"),
        ({"records": ["Invoice:1"], "reason": " "}, 400, "reason"),
        ({"records": ["Invoice:1"], "reason": "r", "colour": "red"}, 400, "colour"),
        ({"records": ["Invoice:1"], "reason": "r", "date": "soon"}, 400, "date"),
        ({"status": "lost", "reason": "r"}, 400, "status"),
        ({"records": ["Invoice:9"], "reason": "r"}, 404, "Invoice:9"),
        ({"records": ["Invoice:1"], "reason": "r"}, 503, "Kafka"),
    ],
)
async def test_a_replay_that_cannot_be_is_told(
    console: aiohttp.ClientSession, body: dict[str, Any], status: int, told: str
) -> None:
    answered, error = await post(console, "/api/replay", body)

    assert answered == status
    assert told in error["error"]


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/api/records/Invoice:2/correct", {"reason": "r"}, 409, "only what is changed-after-posting"),
        ("/api/records/Invoice:9/correct", {"reason": "r"}, 404, "no record Invoice:9"),
        ("/api/records/Invoice:2/correct", {}, 400, "reason"),
        ("/api/records/Invoice:2/settle", {"reason": "r", "voucher": "10/M/2026/1"}, 409, "is posted"),
        ("/api/records/Invoice:1/settle", {"reason": "r"}, 400, "voucher"),
    ],
)
async def test_what_cannot_be_done_with_a_record_is_told(
    console: aiohttp.ClientSession, path: str, body: dict[str, Any], status: int, told: str
) -> None:
    answered, error = await post(console, path, body)

    assert answered == status
    assert told in error["error"]


async def test_a_form_of_another_site_is_refused(console: aiohttp.ClientSession) -> None:
    async with console.post("/api/replay", data={"status": "failed"}, headers=OPERATOR) as answer:
        assert answer.status == 415

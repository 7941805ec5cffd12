"""What a replay does with a record of each status."""

from datetime import date

import pytest

from schemas.base import Status
from streams.views.records import record_after
from streams.views.replay import Action, Planned, Replay, plan
from tests.support.projecting import step


def planned(status: str, *, account: str | None = "A1", date: date | None = None, refetch: bool = False) -> Planned:
    return plan(record_after(step("Invoice:1", status, accountId=account)), Replay(date, refetch))


@pytest.mark.parametrize(
    ("status", "action", "by_bookkeeper", "with_refetch"),
    [
        ("received", "nothing", False, "fetch"),
        ("fetched", "nothing", False, "fetch"),
        ("ready", "nothing", False, "fetch"),
        ("posting", "look-up", False, "fetch"),
        ("uncertain", "look-up", False, "fetch"),
        ("posted", "nothing", False, "fetch"),
        ("corrected", "nothing", False, "fetch"),
        ("changed-after-posting", "nothing", False, "fetch"),
        ("mapping-missing", "evaluate", True, "fetch"),
        ("rejected", "evaluate", True, "fetch"),
        ("settled-by-hand", "evaluate", True, "fetch"),
        ("captured", "fetch", False, "fetch"),
        ("not-posted", "fetch", False, "fetch"),
        ("failed", "fetch", False, "fetch"),
    ],
)
def test_the_status_decides(status: str, action: str, by_bookkeeper: bool, with_refetch: str) -> None:  # noqa: FBT001
    found, fetched = planned(status), planned(status, refetch=True)

    assert (found.action, found.by_bookkeeper) == (action, by_bookkeeper)
    assert (fetched.action, fetched.by_bookkeeper) == (with_refetch, by_bookkeeper)
    assert found.reason


def test_every_status_is_decided_about() -> None:
    assert all(planned(status).reason for status in Status)


def test_what_is_posted_is_told_how_to_go_on() -> None:
    assert "records correct" in planned("changed-after-posting").reason
    assert "nothing that is in IFS is posted again" in planned("posted").reason
    assert "by itself" in planned("uncertain").reason


def test_a_record_whose_account_is_not_known_is_fetched() -> None:
    found = planned("rejected", account=None)

    assert (found.action, found.by_bookkeeper) == (Action.FETCH, False)


def test_a_date_that_moves_nothing_is_told() -> None:
    moved = date(2026, 5, 4)

    assert "the date moves nothing" in planned("failed", date=moved).reason
    assert "date" not in planned("rejected", date=moved).reason
    assert "date" not in planned("rejected", date=moved, refetch=True).reason
    assert "date" not in planned("posted", date=moved).reason


def test_a_plan_in_json_names_record_action_and_reason() -> None:
    assert planned("posting").as_json() == {
        "id": "Invoice:1",
        "action": "look-up",
        "reason": "sent to IFS: the poster resolves it by itself, by looking",
    }

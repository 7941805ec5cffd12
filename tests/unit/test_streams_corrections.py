"""What the preview of a refund's correction takes for posted: what stands in IFS, whatever its record is called."""

from pathlib import Path
from typing import Any

import pytest

from schemas.topics import AUDIT, TopicNames
from streams.corrections import PostedRecords
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from tests.support.projecting import log_record, step

STANDS: dict[str, Any] = {"postedFingerprint": "1-a"}


@pytest.mark.parametrize(
    ("last", "stands"),
    [
        (step("Payment:P1", "posted", **STANDS), True),
        (step("Payment:P1", "corrected", **STANDS), True),
        (step("Payment:P1", "corrected"), False),  # reversed, and nothing posted anew
        (step("Payment:P1", "posted", reason="shadow"), False),
        # Only its change of U waits, was refused, is on its way or was booked by hand.
        (step("Payment:P1", "mapping-missing", **STANDS), True),
        (step("Payment:P1", "rejected", **STANDS), True),
        (step("Payment:P1", "posting", **STANDS), True),
        (step("Payment:P1", "settled-by-hand", **STANDS), True),
        (step("Payment:P1", "settled-by-hand"), False),
    ],
)
def test_a_payment_is_posted_while_its_voucher_stands(tmp_path: Path, last: Any, *, stands: bool) -> None:
    late = step("Payment:P1", "fetched", minute=1)  # of a collector that slept
    path = tmp_path / "model.sqlite"
    with Store(path) as store:
        projector = Projector(store, TopicNames("", "app"))
        projector.partitions = {AUDIT: 1}
        projector.apply([log_record(event, offset, key=event.id) for offset, event in enumerate((last, late))])
    posted = PostedRecords(ReadModel(path))

    assert ("Payment:P1" in posted) is stands
    assert "Payment:P2" not in posted

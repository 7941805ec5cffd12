"""SECURITY.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_what_shows_each_defence_is_there() -> None:
    named = set(re.findall(r"`(test_\w+\.py)`", (ROOT / "SECURITY.md").read_text()))
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}

    assert (len(named) > 15, named - there) == (True, set())

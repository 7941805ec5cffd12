"""Tables on a volume: what a database knows when it is opened again, also after it was killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.runtime.entries import FORGET_AFTER_SECONDS, RocksEntries
from schemas.errors import SettingsError

ROOT = Path(__file__).resolve().parents[2]


def test_a_database_knows_its_offset_and_epoch_after_it_was_opened_again(tmp_path: Path) -> None:
    first = RocksEntries(tmp_path / "table" / "3")
    first.apply([(b"a", b"1"), (b"b", b"2"), (b"a", None)], 41, 7)
    first.close()

    again = RocksEntries(tmp_path / "table" / "3")

    assert (again.offset, again.epoch) == (41, 7)
    assert dict(again.items()) == {b"b": b"2"}
    again.close()


def test_a_database_that_was_not_kept_in_step_for_long_is_forgotten_since_deletions_are(tmp_path: Path) -> None:
    first = RocksEntries(tmp_path / "table" / "0")
    first.apply([(b"deleted meanwhile", b"1")], 5, 1)
    first.close()
    long_ago = time.time() - FORGET_AFTER_SECONDS - 60
    for path in (*(tmp_path / "table" / "0").iterdir(), tmp_path / "table" / "0", tmp_path / "table" / "0.in-step"):
        os.utime(path, (long_ago, long_ago))

    again = RocksEntries(tmp_path / "table" / "0")

    assert again.offset == -1
    assert list(again.items()) == []
    again.close()


def test_of_what_is_read_together_the_last_value_of_a_key_stays_whatever_the_order_of_keys(tmp_path: Path) -> None:
    entries = RocksEntries(tmp_path / "table" / "0")
    entries.apply([(b"gone", b"1"), (b"kept", b"1")], 1, 1)

    changes = [(b"b", b"1"), (b"a", b"1"), (b"gone", b"2"), (b"b", b"2"), (b"gone", None), (b"c", None), (b"c", b"")]
    entries.apply(changes, 8, 1, again=True)

    assert dict(entries.items()) == {b"a": b"1", b"b": b"2", b"c": b"", b"kept": b"1"}
    entries.close()


WRITES_AND_DIES = """
import os, sys
from pathlib import Path
from agents.runtime.entries import RocksEntries
entries = RocksEntries(Path(sys.argv[1]))
entries.apply([(b"before", b"1")], 0, 1)
for offset in range(1, 101):
    entries.apply([(b"read %d" % offset, b"1")], offset, 1, again=True)
if sys.argv[2] == "goes on":
    entries.apply([(b"written", b"1")], 101, 2)
os._exit(9)
"""


@pytest.mark.parametrize("end", ["goes on", "dies while it reads"])
def test_a_database_that_was_killed_has_all_that_its_offset_says(tmp_path: Path, end: str) -> None:
    folder = tmp_path / "table" / "0"
    killed = subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(folder), end], cwd=ROOT, check=False)
    assert killed.returncode == 9

    again = RocksEntries(folder)

    read = [b"read %d" % offset for offset in range(1, min(again.offset, 100) + 1)]
    written = [b"written"] if again.offset == 101 else []
    assert sorted(dict(again.items())) == sorted([b"before", *read, *written])
    assert again.offset >= (101 if end == "goes on" else 0)
    again.close()


def test_a_database_in_use_says_so(tmp_path: Path) -> None:
    first = RocksEntries(tmp_path / "table" / "0")

    with pytest.raises(SettingsError, match="another worker using the same ZIFS_DATA_DIR"):
        RocksEntries(tmp_path / "table" / "0")

    first.close()

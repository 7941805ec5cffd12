"""The reader of callouts under a coverage-guided fuzzer, for a moment; `make fuzz` does it for longer."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNS, SECONDS = 10_000, 5


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is made for Linux, below Python 3.14")
def test_no_input_that_the_fuzzer_finds_ends_the_reader(tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.mkdir()
    command = [sys.executable, "-m", "tests.fuzz.fuzz_callouts", str(found), str(ROOT / "tests/fuzz/callouts")]
    options = [
        f"-runs={RUNS}",
        f"-max_total_time={SECONDS}",
        "-max_len=2048",
        "-seed=1",
        f"-artifact_prefix={tmp_path}/",
    ]

    # In a process of its own, since the fuzzer ends it.
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode == 0, done.stderr[-4_000:]
    assert "DONE" in done.stderr or "Done" in done.stderr

"""The demonstration as a person runs it: held for missing mappings, released, posted, none twice, nothing left over."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import expect

from tests.support.browser import chromium
from tests.support.waiting import eventually_now

ROOT = Path(__file__).resolve().parents[2]
# Twenty seconds on a machine that has nothing else to do.
DONE_SECONDS = 300
STOP_SECONDS = 15
StartDemo = Callable[..., "Demo"]


class Demo:
    """`zuora-ifs demo` on the tests' broker, in a folder of its own."""

    def __init__(self, kafka_bootstrap: str, folder: Path, *options: str) -> None:
        self._output = folder / "output.txt"
        environment = {
            **os.environ,
            "ZIFS_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
            "ZIFS_DATA_DIR": str(folder / "data"),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "agents", "demo", "--invoices", "24", *options]
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def said(self) -> str:
        return self._output.read_text()

    def figure(self, pattern: str) -> int:
        """Return the number that it told in such a line."""
        found = re.search(rf"^\s*([\d,]+) {pattern}", self.said, re.MULTILINE)
        assert found, self.said
        return int(found[1].replace(",", ""))

    def until_said(self, pattern: str) -> re.Match[str]:
        """Wait for a line and return it."""
        eventually_now(lambda: re.search(pattern, self.said) or self.process.poll() is not None, seconds=DONE_SECONDS)
        found = re.search(pattern, self.said)
        assert found, self.said
        return found

    def family(self) -> list[psutil.Process]:
        """Return its processes, itself among them."""
        itself = psutil.Process(self.process.pid)
        return [itself, *itself.children(recursive=True)]


@pytest.fixture
def start_demo(kafka_bootstrap: str, tmp_path: Path) -> Iterator[StartDemo]:
    demos: list[Demo] = []

    def start(*options: str) -> Demo:
        demos.append(Demo(kafka_bootstrap, tmp_path, *options))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(60)


@pytest.mark.timeout(DONE_SECONDS + 60)
def test_what_is_held_for_missing_mappings_is_posted_once_they_are_there_and_nothing_twice(
    start_demo: StartDemo,
) -> None:
    demo = start_demo("--exit-when-done")

    assert demo.process.wait(DONE_SECONDS) == 0, demo.said
    held, posted = demo.figure("records were held"), demo.figure("posted")
    assert 0 < held < posted
    assert demo.figure("vouchers in the IFS sandbox, 0 of them twice") == posted
    assert posted >= 24
    assert re.search(r"^\s*tax\s+10\s+VAT25\s", demo.said, re.MULTILINE), demo.said
    assert re.search(r"^\s*account,\w+,10,", demo.said, re.MULTILINE), demo.said
    assert "mapping-missing" not in demo.said


@pytest.mark.timeout(DONE_SECONDS + 60)
def test_the_console_shows_it_and_ctrl_c_ends_every_process_within_seconds(start_demo: StartDemo) -> None:
    demo = start_demo()
    link = demo.until_said(r"Console: (\S+)")[1]
    with chromium() as browser:
        page = browser.new_page()
        page.goto(link)
        expect(page.get_by_role("heading", name="All records")).to_be_visible()
        demo.until_said("Everything goes on running")
        posted = demo.figure("posted")
        expect(page.get_by_role("link", name=f"Posted {posted}")).to_be_visible(timeout=20_000)
        family = demo.family()
    demo.process.send_signal(signal.SIGINT)

    assert demo.process.wait(STOP_SECONDS) == 0, demo.said
    assert len(family) == 6, "itself, two sandboxes, ingress, worker, console"
    _, left = psutil.wait_procs(family, timeout=1)
    assert left == []


@pytest.mark.timeout(DONE_SECONDS + 60)
def test_ctrl_c_before_the_end_is_told_by_the_exit_code_and_leaves_nothing_behind(start_demo: StartDemo) -> None:
    demo = start_demo("--exit-when-done")
    demo.until_said("Starting ingress")
    family = demo.family()
    demo.process.send_signal(signal.SIGINT)

    assert demo.process.wait(STOP_SECONDS) == 130, demo.said
    _, left = psutil.wait_procs(family, timeout=1)
    assert left == []

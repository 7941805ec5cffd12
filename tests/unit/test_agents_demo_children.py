"""The demonstration's child processes: none outlives it, however it ends."""

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agents.demo.children import ChildError, Children, clean_environment, free_port
from tests.support.waiting import eventually, eventually_now

ROOT = Path(__file__).resolve().parents[2]
WAITS = ("import time", "print('{}', flush=True)", "time.sleep(600)")
DEAF = ("import signal", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", *WAITS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two programs: one that waits, and one that does not listen either."""
    (tmp_path / "waits.py").write_text("\n".join(WAITS))
    (tmp_path / "deaf.py").write_text("\n".join(DEAF))
    return tmp_path


async def test_those_that_carry_others_are_ended_last(folder: Path) -> None:
    children = Children(folder / "logs", folder)
    ended: list[str] = []

    async def note(name: str, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        ended.append(name)

    carrier = await children.start("carrier", "waits", environment={}, carries=True)
    carried = await children.start("carried", "waits", environment={})
    notes = [asyncio.create_task(note("carrier", carrier)), asyncio.create_task(note("carried", carried))]
    await asyncio.gather(children.facts("carrier", carrier), children.facts("carried", carried))
    await children.stop()
    await asyncio.gather(*notes)

    assert ended == ["carried", "carrier"]


async def test_one_that_does_not_listen_is_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.demo.children.STOP_SECONDS", 0.2)
    children = Children(folder / "logs", folder)
    deaf = await children.start("deaf", "deaf", environment={})
    await children.facts("deaf", deaf)
    await children.stop()

    assert deaf.returncode == -9


async def test_what_has_to_be_done_afterwards_is_done_once_all_have_ended(folder: Path) -> None:
    children = Children(folder / "logs", folder)
    process = await children.start("waits", "waits", environment={})
    seen: list[bool] = []

    async def look() -> None:
        seen.append(process.returncode is not None)

    children.afterwards(look)
    await children.stop()
    await children.stop()

    assert seen == [True]


async def test_a_command_that_nobody_waits_for_any_more_is_ended(folder: Path) -> None:
    children = Children(folder / "logs", folder)
    running = asyncio.create_task(children.run("waits", environment={}))

    async def commands() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if child.cmdline()[-1:] == ["waits"]]

    (command,) = await eventually(commands)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert not command.is_running()


async def test_one_that_ends_by_itself_is_told_with_its_last_words(folder: Path) -> None:
    (folder / "fails.py").write_text("raise SystemExit('no room on the disk')")
    children = Children(folder / "logs", folder)
    process = await children.start("worker", "fails", environment={})
    await process.wait()

    with pytest.raises(ChildError, match="worker ended with 1: no room on the disk"):
        children.check()
    with pytest.raises(ChildError, match="worker did not start: no room on the disk"):
        await children.facts("worker", process)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to tell children that their parent died")
def test_a_child_does_not_outlive_a_killed_parent(folder: Path) -> None:
    starter = (
        "import asyncio, pathlib\n"
        "from agents.demo.children import Children\n"
        "async def main():\n"
        f"    folder = pathlib.Path({str(folder)!r})\n"
        "    child = await Children(folder / 'logs', folder).start('waits', 'waits', environment={})\n"
        "    print(child.pid, flush=True)\n"
        "    await child.wait()\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()

    eventually_now(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_our_own_settings_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZIFS_APP_ID", "mine")
    monkeypatch.setenv("PATH_OF_OTHERS", "kept")

    assert "ZIFS_APP_ID" not in clean_environment()
    assert clean_environment()["PATH_OF_OTHERS"] == "kept"


def test_a_free_port_lies_below_those_of_outgoing_connections() -> None:
    assert 10_000 <= free_port() < 15_000

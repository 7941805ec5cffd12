"""The rules that hold for the whole project."""

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agents", "streams", "schemas")
MOST_LINES = 450
# Written in two parts so that this file does not hold what it forbids.
MACHINE_PATHS = re.compile(r"(?<![\w.~])/(?:" + "home|root|" + r"work)/[\w.]")
REGISTRY_HOSTS = re.compile(
    r"files\.python" + r"hosted|pypi\." + r"org|repo1?\.maven|repo\.maven|registry\." + r"npmjs"
)


def tracked_files() -> list[Path]:
    """Return the project's files: tracked by git, or all of a copy that is no checkout."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],  # noqa: S607 - wherever git is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    visible = [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    return [file for path in visible for file in (path, *path.rglob("*")) if file.is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every tracked text, by its path from the root."""
    found: dict[str, str] = {}
    for file in tracked_files():
        try:
            found[str(file.relative_to(ROOT))] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a picture
            continue
    return found


def lines_with(pattern: re.Pattern[str], texts: dict[str, str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_imports_keep_to_the_layers() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert lint.returncode == 0, lint.stdout + lint.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_our_packages_lie_under_the_root_and_nobody_else_owns_their_names(package: str) -> None:
    spec = find_spec(package)

    assert spec
    assert spec.origin == str(ROOT / package / "__init__.py")
    assert set(packages_distributions().get(package, [])) <= {"zuora-ifs"}


def test_no_folder_below_the_root_has_the_name_of_a_package(texts: dict[str, str]) -> None:
    folders = {part for path in texts for part in Path(path).parts[1:-1]}

    assert folders.isdisjoint(PACKAGES)


def test_no_module_is_too_long_to_be_read(texts: dict[str, str]) -> None:
    lengths = {path: len(text.splitlines()) for path, text in texts.items() if path.endswith(".py")}

    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_every_module_says_what_it_is_for(texts: dict[str, str]) -> None:
    silent = [path for path, text in texts.items() if path.endswith(".py") and not ast.get_docstring(ast.parse(text))]

    assert silent == []


def test_no_file_names_a_folder_of_somebodys_machine(texts: dict[str, str]) -> None:
    assert lines_with(MACHINE_PATHS, texts) == []


def test_no_file_names_a_registrys_host(texts: dict[str, str]) -> None:
    assert lines_with(REGISTRY_HOSTS, texts) == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_pin_with_hashes_and_name_no_address(lock: str, texts: dict[str, str]) -> None:
    requirements = re.split(r"\n(?=\S)", texts[lock].strip())
    pins = [one for one in requirements if not one.startswith("#")]

    assert "://" not in texts[lock]
    assert len(pins) > 20
    assert [pin.split()[0] for pin in pins if "==" not in pin.split()[0] or "--hash=sha256:" not in pin] == []


def test_what_the_image_installs_is_what_the_tests_ran_with(texts: dict[str, str]) -> None:
    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", texts[lock], re.MULTILINE))

    assert pins("requirements.lock") - pins("requirements-dev.lock") == set()

"""The audit of dependencies: a failure when something is found, never for want of a network."""

from pathlib import Path
from typing import Any

import pytest

from deploy.audit import IGNORED, audit, first_pin, ignored

ROOT = Path(__file__).resolve().parents[2]
FLAW: dict[str, Any] = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-7"], "fix_versions": ["2.0"]}
CLEAN = {"name": "yarl", "version": "1.25", "vulns": []}


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages)}


def run(answer: dict[str, Any], accepted: dict[str, str]) -> tuple[int, str]:
    return audit(accepted, reachable=lambda: True, ask=lambda _: answer)


def test_what_is_found_is_a_failure_and_named_once_for_both_locks() -> None:
    code, words = run(report(CLEAN, {"name": "foo", "version": "1.0", "vulns": [FLAW]}), {})

    assert (code, words.count("foo 1.0: PYSEC-2026-1, fixed in 2.0")) == (1, 1)


@pytest.mark.parametrize("name", ["PYSEC-2026-1", "CVE-2026-7"])
def test_what_is_accepted_under_any_of_its_names_is_none(name: str) -> None:
    code, words = run(report({"name": "foo", "version": "1.0", "vulns": [FLAW]}), {name: "never called"})

    assert (code, words) == (0, "no known vulnerabilities, 1 accepted with a reason")


def test_packages_without_data_are_named_and_no_failure() -> None:
    assert run(report(CLEAN, {"name": "bar", "skip_reason": "not found"}), {}) == (
        0,
        "no known vulnerabilities, 0 accepted with a reason; no data on bar",
    )


def test_without_a_network_one_line_says_so() -> None:
    code, words = audit({}, reachable=lambda: False)

    assert (code, words.count("\n"), "cannot be reached" in words) == (0, 0, True)


def test_a_package_is_asked_for_in_the_version_that_is_pinned() -> None:
    yarl = "yarl==1.25.1 \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\n"
    lock = f"# made by uv\n{yarl}    # via aiohttp\nzstd==1 \\\n    --hash=sha256:2\n"
    assert first_pin(lock) == yarl


def test_data_that_is_cut_off_in_the_middle_is_no_failure() -> None:
    def cut_off(_lock: str) -> dict[str, Any]:
        raise ValueError("ConnectionError")

    assert audit({}, reachable=lambda: True, ask=cut_off)[0] == 0


def test_nothing_is_accepted_without_a_reason() -> None:
    assert ignored("# none\n\nGHSA-1 never called\n") == {"GHSA-1": "never called"}
    with pytest.raises(ValueError, match="GHSA-2"):
        ignored("GHSA-2\n")
    ignored(IGNORED.read_text())


def test_every_package_of_the_locks_is_pinned_with_its_hash() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        entries = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
        pinned = [line for line in entries if line.strip() and not line.lstrip().startswith("#")]
        assert [line for line in pinned if "==" not in line or "--hash=sha256:" not in line] == []
        assert len(pinned) > 30

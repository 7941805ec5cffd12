"""`python -m deploy.audit`: known vulnerabilities in what the lock files pin, asked of PyPI by pip-audit.

Without a way to PyPI's data it says so in one line and is no failure: a check must work on a train. What is found and
is not in `audit-ignored.txt`, with a reason, is a failure.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
LOCKS: Final = ("requirements.lock", "requirements-dev.lock")
IGNORED: Final = HERE / "audit-ignored.txt"
AUDIT_SECONDS: Final = 120.0
"""For some 150 packages, one small request each."""
OPTIONS: Final = ("--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json", "--timeout=5")
MOST_NAMED: Final = 5

Report = dict[str, Any]


def ignored(text: str) -> dict[str, str]:
    """Return ids of vulnerabilities that are known and accepted, each with the reason; `#` begins a comment.

    Raises:
        ValueError: one has no reason.

    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    found = {words[0]: " ".join(words[1:]) for words in map(str.split, lines)}
    without = [name for name, reason in found.items() if not reason]
    if without:
        raise ValueError(f"{IGNORED.name}: no reason is given for {', '.join(without)}")
    return found


def findings(report: Report, accepted: dict[str, str]) -> list[str]:
    """Return a line for each vulnerability that is not accepted under any of its names."""
    return [
        f"{package['name']} {package['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'none'}"
        for package in report["dependencies"]
        for flaw in package.get("vulns", ())
        if not accepted.keys() & {flaw["id"], *flaw.get("aliases", ())}
    ]


def not_asked(report: Report) -> list[str]:
    """Return the packages of which PyPI had no data."""
    return [package["name"] for package in report["dependencies"] if "skip_reason" in package]


def first_pin(lock: str) -> str:
    """Return what a lock file says of its first package, hashes and all."""
    lines = [line for line in lock.splitlines() if line and not line.lstrip().startswith("#")]
    last = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
    return "\n".join(lines[: last + 1]) + "\n"


def is_reachable() -> bool:
    """Tell whether PyPI's data can be had, by a single package: mirrors often have none, and a train has no network."""
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "one.lock"
        alone.write_text(first_pin(Path(LOCKS[0]).read_text()))
        try:
            return not not_asked(ask(str(alone)))
        except (ValueError, subprocess.TimeoutExpired):
            return False


def ask(lock: str) -> Report:
    """Run pip-audit over a lock file.

    Raises:
        ValueError: it gave no report, as when its data was cut off in the middle; the end of its words.
        subprocess.TimeoutExpired: it took too long.

    """
    command = (sys.executable, "-m", "pip_audit", "--requirement", lock, *OPTIONS)
    done = subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_SECONDS, check=False)  # noqa: S603
    try:
        report: Report = json.loads(done.stdout)
    except ValueError:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ValueError(words[-1][:200]) from None
    return report


def audit(
    accepted: dict[str, str],
    *,
    locks: Sequence[str] = LOCKS,
    reachable: Callable[[], bool] = is_reachable,
    ask: Callable[[str], Report] = ask,
) -> tuple[int, str]:
    """Return the exit code and what to say."""
    if not reachable():
        return 0, "not audited: PyPI's data on vulnerabilities cannot be reached from here"
    found: set[str] = set()
    silent: set[str] = set()
    for lock in locks:
        try:
            report = ask(lock)
        except (ValueError, subprocess.TimeoutExpired) as error:
            return 0, f"not audited: pip-audit did not come to an end with {lock}: {error}"
        found.update(findings(report, accepted))
        silent.update(not_asked(report))
    if found:
        return 1, "\n".join(["known vulnerabilities:", *sorted(found), "renew with `make lock ARGS=--upgrade`"])
    few = ", ".join(sorted(silent)) if len(silent) <= MOST_NAMED else f"{len(silent)} packages"
    left = f"; no data on {few}" if silent else ""
    return 0, f"no known vulnerabilities, {len(accepted)} accepted with a reason{left}"


if __name__ == "__main__":
    code, words = audit(ignored(IGNORED.read_text()))
    print(words)
    sys.exit(code)

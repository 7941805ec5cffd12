"""What every command does with errors, and where its packages come from."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click
import pytest

from agents.cli.main import COMMANDS, main, program
from agents.cli.output import actor_option, print_json
from agents.cli.ownership import ROOT, foreign_package
from schemas.errors import LogUnavailableError, SettingsError, UsageError


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command as the script does; return exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Give the program a command `fail` that raises what the test puts into the list."""
    errors: list[BaseException] = []

    @click.command("fail")
    def fail() -> None:
        raise errors[0]

    monkeypatch.setitem(program.commands, "fail", fail)
    return errors


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_of_the_table_has_its_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, err = run(capsys, command, "--help")

    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: zuora-ifs {command}")


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")

    assert code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in out


def test_without_a_command_the_help_is_shown_as_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)

    assert (code, out) == (2, "")
    assert err.startswith("Usage: zuora-ifs")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["bogus"], "No such command 'bogus'. (see `zuora-ifs --help`)\n"),
        (["topics", "--bogus"], "No such option: --bogus (see `zuora-ifs topics --help`)\n"),
        (["kafka", "--port", "x"], "Invalid value for '--port': 'x' is not a valid integer range. "),
    ],
)
def test_wrong_usage_is_one_line_and_ends_with_2(
    capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    code, out, err = run(capsys, *words)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(line)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("ZIFS_X: is missing"), 2),
        (UsageError("no such record"), 2),
        (LogUnavailableError("Kafka is away"), 1),
        (PermissionError(13, "Permission denied", "data"), 1),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(
    capsys: pytest.CaptureFixture[str], failing: list[BaseException], error: BaseException, code: int
) -> None:
    failing.append(error)

    assert run(capsys, "fail") == (code, "", f"{error}\n")


def test_an_error_of_several_lines_becomes_one(
    capsys: pytest.CaptureFixture[str], failing: list[BaseException]
) -> None:
    failing.append(LogUnavailableError("first\n  second"))

    assert run(capsys, "fail") == (1, "", "first second\n")


def test_an_unexpected_error_is_one_line_unless_its_place_is_asked_for(
    capsys: pytest.CaptureFixture[str], failing: list[BaseException]
) -> None:
    failing.append(KeyError("amount"))
    code, _, err = run(capsys, "fail")

    assert code == 1
    assert err == "unexpected KeyError: 'amount' (`zuora-ifs --debug …` shows where)\n"
    with pytest.raises(KeyError):
        main(["--debug", "fail"])


def test_an_interrupt_ends_quietly_with_130(capsys: pytest.CaptureFixture[str], failing: list[BaseException]) -> None:
    failing.append(KeyboardInterrupt())
    code, out, err = run(capsys, "fail")

    assert (code, out, err.strip()) == (130, "", "")


def test_json_is_one_value_with_decimals_and_times_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([{"amount": Decimal("10.50"), "at": datetime(2026, 1, 2, tzinfo=UTC)}])

    out = capsys.readouterr().out
    assert '"amount": "10.50"' in out
    assert '"at": "2026-01-02T00:00:00+00:00"' in out


def test_the_actor_is_the_operating_system_user_unless_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    @actor_option
    def who(actor: str) -> None:
        click.echo(actor)

    monkeypatch.setitem(program.commands, "who", who)
    monkeypatch.setenv("LOGNAME", "ada")

    assert run(capsys, "who")[1] == "ada\n"
    assert run(capsys, "who", "--actor", "bob")[1] == "bob\n"


@pytest.mark.parametrize(
    "words",
    [
        ("posting", "pause", "--reason", "x" * 1_001),
        ("replay", "--status", "failed", "--reason", "x" * 1_001),
        ("posting", "pause", "--reason", "why", "--actor", "x" * 201),
    ],
)
def test_texts_that_are_too_long_for_an_event_are_wrong_usage(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, _, error = run(capsys, *words)

    assert (code, "characters are too many: at most" in error) == (2, True)


@pytest.mark.parametrize("program_words", [["-m", "agents"], ["-c", "from agents.cli import main; main()"]])
def test_the_program_runs_from_its_folder_and_says_its_version(program_words: list[str]) -> None:
    answer = subprocess.run(
        [sys.executable, *program_words, "--version"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert answer.stdout.startswith("zuora-ifs, version ")


def test_another_distributions_package_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "__init__.py").touch()
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import agents.__main__",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr  # importing alone touches none of the hidden packages

    answer = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; from agents.cli import main; main()"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert answer.returncode == 1
    assert answer.stderr.startswith("another distribution's package `schemas`")
    assert answer.stderr.count("\n") == 1


def test_our_own_packages_are_found_where_the_program_lies() -> None:
    assert foreign_package() is None


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    assert "`no_such_package` is missing" in str(foreign_package(tmp_path, ("no_such_package",)))

"""`zuora-ifs topics` against a real broker."""

import json

import pytest

from agents.cli.main import main


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, unique: str) -> None:
    monkeypatch.setenv("ZIFS_KAFKA__BOOTSTRAP_SERVERS", kafka_bootstrap)
    monkeypatch.setenv("ZIFS_KAFKA__PARTITIONS", "2")
    monkeypatch.setenv("ZIFS_KAFKA__REPLICATION_FACTOR", "1")
    monkeypatch.setenv("ZIFS_KAFKA__TOPIC_PREFIX", f"{unique}.")
    monkeypatch.setenv("ZIFS_APP_ID", unique)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_check_apply_check(capsys: pytest.CaptureFixture[str], unique: str) -> None:
    code, out, _ = run(capsys, "topics", "check")
    assert code == 1
    assert f"{unique}.zuora.document.v1: missing\n" in out

    code, out, _ = run(capsys, "topics", "apply")
    assert code == 0
    assert f"{unique}.zuora.document.v1: created\n" in out
    assert out.endswith("all topics are as declared\n")

    assert run(capsys, "topics", "check") == (0, "all topics are as declared\n", "")


def test_json_tells_the_same(capsys: pytest.CaptureFixture[str], unique: str) -> None:
    code, out, err = run(capsys, "topics", "apply", "--json")
    assert (code, err) == (0, "")
    applied = json.loads(out)
    assert f"{unique}.zuora.document.v1" in applied["created"]
    assert applied["differences"] == []

    code, out, err = run(capsys, "topics", "check", "--json")
    assert (code, json.loads(out), err) == (0, {"differences": []}, "")


def test_apply_says_what_it_does_not_change(
    capsys: pytest.CaptureFixture[str], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "topics", "apply")
    monkeypatch.setenv("ZIFS_KAFKA__PARTITIONS", "3")

    code, out, _ = run(capsys, "topics", "apply")

    assert code == 1
    assert f"{unique}.zuora.document.v1: has 2 partitions, 3 declared\n" in out


def test_a_kafka_that_is_away_is_one_line_and_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZIFS_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")

    code, out, err = run(capsys, "topics", "check")

    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "127.0.0.1:1" in err

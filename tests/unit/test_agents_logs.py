"""Logs: structured, on standard error, without secrets."""

import base64
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import structlog
from pydantic import SecretStr

from agents.logs import configure_logging, mask_secrets


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Put back what the test's process had."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_json_logs_are_one_object_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    structlog.get_logger("poster").info("voucher posted", record="Invoice:1", amount="10.00")

    said = capsys.readouterr()
    line = json.loads(said.err)
    assert said.out == ""
    assert line["event"] == "voucher posted"
    assert (line["record"], line["level"], line["logger"]) == ("Invoice:1", "info", "poster")
    assert line["timestamp"].endswith("Z")


def test_the_libraries_logs_take_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    logging.getLogger("aiohttp.server").error("lost %s", "a connection")

    assert json.loads(capsys.readouterr().err)["event"] == "lost a connection"


@pytest.mark.parametrize("name", ["aiokafka.consumer", "faust.app", "mode.workers", "aiohttp.access"])
def test_talkative_libraries_are_heard_from_warnings_up(capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure_logging("console")
    logging.getLogger(name).info("heartbeat")
    logging.getLogger(name).warning("trouble")

    err = capsys.readouterr().err
    assert "heartbeat" not in err
    assert "trouble" in err


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_secrets_never_reach_the_log(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logging(log_format)  # type: ignore[arg-type]
    structlog.get_logger().warning(
        "refused",
        client_secret="hunter2",
        headers={"Authorization": "Bearer hunter2", "accept": "json"},
        parts=[{"access_token": "hunter2"}],
        key=SecretStr("hunter2"),
    )

    err = capsys.readouterr().err
    assert "hunter2" not in err
    assert "json" in err


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_an_exception_is_logged_without_local_variables(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logging(log_format)  # type: ignore[arg-type]
    unseen = base64.b64decode("dW5zcG9rZW4=")  # written so that the traceback's source lines do not show it
    try:
        int(len(unseen) * "x")
    except ValueError:
        structlog.get_logger().exception("broken")

    err = capsys.readouterr().err
    assert "ValueError: invalid literal" in err
    assert "unspoken" not in err


def test_names_that_only_sound_near_a_secret_are_kept() -> None:
    event = {"event": "e", "key": "A1", "account": "A2", "missing": None, "token": None, "has_token": True}

    assert mask_secrets(None, "info", dict(event)) == event


def test_what_a_library_says_again_and_again_is_said_once_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("agents.logs.time", SimpleNamespace(monotonic=lambda: now[0]))
    configure_logging("json")
    for node in range(50):
        logging.getLogger("aiokafka.conn").error("Unable connect to node with id %s", node)
        logging.getLogger("zuora").error("ours is always said")
    now[0] += 60
    logging.getLogger("aiokafka.conn").error("Unable connect to node with id %s", 51)

    lines = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert [line for line in lines if "Unable" in line] == [
        f"Unable connect to node with id {node}" for node in (0, 51)
    ]
    assert lines.count("ours is always said") == 50

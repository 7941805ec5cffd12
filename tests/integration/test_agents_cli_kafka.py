"""`zuora-ifs kafka`: the local broker as a person starts it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from deploy.kafka.readiness import answers
from tests.support.brokers import ROOT


def test_the_broker_runs_over_the_data_folder_from_any_folder_until_ctrl_c(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "agents", "kafka", "--port", "0"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "ZIFS_DATA_DIR": "kept"},
        stdout=subprocess.PIPE,
    )
    assert program.stdout
    try:
        host, port = json.loads(program.stdout.readline())["bootstrapServers"].split(":")

        assert answers(host, int(port))
        assert (tmp_path / "kept" / "kafka" / "log" / "meta.properties").exists()
    finally:
        program.send_signal(signal.SIGINT)
        assert program.wait(timeout=30) == 0
        program.stdout.close()
    assert not answers(host, int(port))


def test_a_worker_without_a_broker_ends_with_69_and_says_so_in_one_line(tmp_path: Path) -> None:
    environment = {
        "ZIFS_DATA_DIR": str(tmp_path),
        "ZIFS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "ZIFS_WORKER__PORT": "0",
    }
    command = [sys.executable, "-m", "agents", "worker", "--agents", "bookkeeper"]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 69
    last = ended.stderr.splitlines()[-1]
    assert "Kafka cannot be reached at 127.0.0.1:1" in last
    assert "Traceback" not in ended.stderr

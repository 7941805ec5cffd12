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

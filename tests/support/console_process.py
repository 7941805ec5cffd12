"""The console as a process of its own, as it runs in a container."""

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.projecting import Cluster
from tests.support.waiting import eventually_now

PORT = re.compile(r'"port": ?(\d+)')
ROOT = Path(__file__).resolve().parents[2]


class ConsoleProcess:
    """`python -m agents console` on a free port; `url` is known once it listens."""

    def __init__(self, cluster: Cluster, folder: Path, tokens: str = "", port: int = 0, **settings: str) -> None:
        self._log = folder / f"console-{port}.log"
        kafka = cluster.kafka
        environment: Mapping[str, str] = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "ZIFS_KAFKA__BOOTSTRAP_SERVERS": str(kafka.bootstrap_servers),
            "ZIFS_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
            "ZIFS_APP_ID": cluster.settings.app_id,
            "ZIFS_DATA_DIR": str(folder / "data"),
            "ZIFS_LOG_FORMAT": "json",
            "ZIFS_CONSOLE__HOST": "127.0.0.1",
            "ZIFS_CONSOLE__PORT": str(port),
            "ZIFS_CONSOLE__TOKENS": tokens,
            **settings,
        }
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agents", "console"], cwd=folder, env=environment, stderr=log, stdout=log
            )

    @property
    def said(self) -> str:
        """What it wrote so far."""
        return self._log.read_text()

    @property
    def url(self) -> str:
        """Where it answers."""
        eventually_now(lambda: PORT.search(self.said) or self.process.poll() is not None, seconds=60)
        found = PORT.search(self.said)
        assert found, self.said
        return f"http://127.0.0.1:{found[1]}"

    def until_ready(self) -> str:
        """Wait until it has caught up with the log and return its URL."""
        url = self.url
        eventually_now(lambda: ask(f"{url}/readyz")[0] == 200, seconds=60)
        return url

    def stop(self) -> int:
        """Ask it to stop, as an orchestrator does, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def ask(url: str, **headers: str) -> tuple[int, str]:
    """Return status and body of an answer; status 0 when there is none."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("GET", parts.path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()

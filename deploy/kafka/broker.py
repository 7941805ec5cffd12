"""The broker's process: started, waited for, stopped; never left behind."""

import ctypes
import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from deploy.kafka.errors import BrokerError
from deploy.kafka.jars import cache_folder, fetch_jars
from deploy.kafka.java import find_java
from deploy.kafka.ports import require_free
from deploy.kafka.readiness import answers
from deploy.kafka.storage import Addresses, format_once, java_command, properties, require_room

HEAP_MIB = 512
START_SECONDS = 90.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.1
# How long a broker whose parent was killed may take to go before its folder counts as in use.
HANDOVER_SECONDS = 15.0
PR_SET_PDEATHSIG = 1


class Broker:
    """One Kafka node over one folder; everything that it wrote is there again at the next start."""

    def __init__(self, addresses: Addresses, folder: Path, further: str = "", scram: Sequence[str] = ()) -> None:
        """Take settings that come after our own, and SCRAM users that the storage begins with."""
        self.addresses = addresses
        self.folder = folder
        self._further = further
        self._scram = scram
        self.log_file = folder / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Start Kafka, return its process id once it answers.

        Raises:
            BrokerError: it cannot start; the message says why.

        """
        require_free(self.addresses.host, self.addresses.port)
        with _own(self.folder) as lock:
            require_room(self.folder)
            java = find_java()
            jars = fetch_jars(cache_folder(self.folder))
            settings = self.folder / "server.properties"
            settings.write_text(properties(self.addresses, self.folder / "log", self._further))
            format_once(java, jars, self.folder, settings, self._scram)
            command = [*java_command(java, jars, HEAP_MIB, *_log_options()), "kafka.Kafka", str(settings)]
            self._process = self._spawn(command, lock)
        self._await_answer(self._process)
        return self._process.pid

    def wait(self) -> None:
        """Return when Kafka has ended.

        Raises:
            BrokerError: always, since nobody asked it to end.

        """
        if self._process:
            raise self._ended(self._process.wait())

    def stop(self) -> None:
        """End Kafka cleanly, by force when it takes longer than 20 seconds; harmless when it has ended already."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _spawn(self, command: list[str], lock: IO[str]) -> subprocess.Popen[bytes]:
        if self.log_file.exists():
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        with self.log_file.open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop Kafka in order
                pass_fds=(lock.fileno(),),  # the folder stays locked for as long as Kafka itself lives
                preexec_fn=end_with_parent,  # noqa: PLW1509 - this process has one thread
            )

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.addresses.host, self.addresses.port):
            if (code := process.poll()) is not None:
                raise self._ended(code)
            if time.monotonic() > deadline:
                self.stop()
                raise BrokerError(f"Kafka did not answer within {START_SECONDS:.0f} s: see {self.log_file}")
            time.sleep(POLL_SECONDS)

    def _ended(self, code: int) -> BrokerError:
        lines = self.log_file.read_text(errors="replace").splitlines()
        errors = [line for line in lines if "ERROR" in line or "Exception" in line]
        last = (errors or lines or ["nothing logged"])[-1].strip()
        return BrokerError(f"Kafka ended by itself with code {code}: {last[:300]} (see {self.log_file})")


def end_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent dies, however it dies: PR_SET_PDEATHSIG of prctl(2), Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _own(folder: Path) -> IO[str]:
    """Make the folder and hold it for one broker; closing what is returned lets go, unless a child holds it too."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise BrokerError(f"{folder} cannot be written: {error.strerror}") from error
    deadline = time.monotonic() + HANDOVER_SECONDS
    while not _locked(lock):
        if time.monotonic() > deadline:
            lock.close()
            raise BrokerError(f"another broker uses {folder}: stop it, or choose another --data-dir")
        time.sleep(POLL_SECONDS)
    return lock


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _log_options() -> list[str]:
    """Return Java's options for a log with a time on each line."""
    return [
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "-Dorg.slf4j.simpleLogger.showThreadName=false",
    ]

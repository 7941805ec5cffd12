"""The plan of a chaos run: which harm is done to what, and when. The same seed and seconds give the same plan."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal[
    "kill",
    "stop",
    "freeze",
    "broker-stop",
    "broker-kill",
    "broker-freeze",
    "ingress-kill",
    "ifs-fault",
    "zuora-fault",
    "revoke-tokens",
    "pause",
    "invoice",
    "edit",
    "cancel",
    "correct",
]
WORKERS = 3
SESSION_SECONDS = 4.0
SETTLE_SECONDS = 14.0
"""Of the poster; IFS is told to give up after 4."""
LATEST_COMMIT_SECONDS = 9.0
"""Of a POST that IFS carries out though its answer was lost: well within the settle seconds, as IFS is told."""

EVERY: dict[str, tuple[float, float]] = {
    "kill": (2, 8),
    "stop": (6, 16),
    "freeze": (8, 20),
    "broker": (18, 40),
    "ingress-kill": (8, 20),
    "ifs-fault": (1, 4),
    "zuora-fault": (1, 4),
    "revoke-tokens": (15, 40),
    "pause": (15, 35),
    "invoice": (0.5, 2.5),
    "edit": (1, 5),
    "cancel": (6, 16),
    "correct": (8, 20),
}
"""Seconds between two acts of a kind, from and to."""


@dataclass(frozen=True)
class Act:
    """One harm: when in the run, what, to which (a worker, or any number), for how long, and what a sandbox is told."""

    second: float
    kind: Kind
    number: int = 0
    seconds: float = 0.0
    order: Json = field(default_factory=dict)

    def __str__(self) -> str:
        """Tell it in a line."""
        details = (f"for {self.seconds} s" if self.seconds else "", str(self.order) if self.order else "")
        return " ".join((f"{self.second:7.1f}", self.kind, str(self.number), *(one for one in details if one)))


def plan(seed: int, seconds: float) -> list[Act]:
    """Return the acts of a run, in the order of time. Each kind has chance of its own."""
    acts: list[Act] = []
    for kind, (least, most) in EVERY.items():
        chance = random.Random(f"{seed}-{kind}")  # noqa: S311 - a plan that can be run again
        second = chance.uniform(least, most)
        while second < seconds:
            acts.append(_act(chance, round(second, 1), kind))
            second += chance.uniform(least, most)
    return sorted(acts, key=lambda act: act.second)


def counts(acts: list[Act]) -> str:
    """Tell how many acts of each kind there are."""
    return ", ".join(f"{count} {kind}" for kind, count in Counter(act.kind for act in acts).most_common())


def _act(chance: random.Random, second: float, kind: str) -> Act:
    number = chance.randrange(1_000_000)
    match kind:
        case "freeze":  # longer than the session: its partitions are moved before it wakes
            return Act(second, "freeze", number, round(chance.uniform(1.3, 2.5) * SESSION_SECONDS, 1))
        case "broker":
            how: tuple[Kind, ...] = ("broker-stop", "broker-kill", "broker-freeze")
            return Act(second, chance.choice(how), seconds=round(chance.uniform(1, 8), 1))
        case "pause":
            return Act(second, "pause", seconds=round(chance.uniform(2, 6), 1))
        case "ifs-fault":
            return Act(second, "ifs-fault", order=_order(chance, IFS_FAULTS))
        case "zuora-fault":
            return Act(second, "zuora-fault", order=_order(chance, ZUORA_FAULTS))
        case _:
            return Act(second, kind, number)  # type: ignore[arg-type] # the other names of EVERY are kinds


Fault = Callable[[random.Random], Json]


def _order(chance: random.Random, faults: tuple[Fault, ...]) -> Json:
    """Return a fault of the next requests: of any, or, two times in three, of those that carry documents."""
    path = chance.choice(("", DOCUMENTS, DOCUMENTS))
    return {"times": chance.randint(1, 4), "path": path, **chance.choice(faults)(chance)}


def _lasting(kind: str, most: float, **more: Any) -> Fault:
    return lambda chance: {"kind": kind, "seconds": round(chance.uniform(0.5, most), 1), **more}


def _plain(kind: str, **more: Any) -> Fault:
    return lambda _: {"kind": kind, **more}


DOCUMENTS = "/v1/"
"""In the paths of Zuora's documents and of IFS's projections, and of no token."""
POSTED = {"method": "POST", "path": DOCUMENTS}
IFS_FAULTS: tuple[Fault, ...] = (
    _plain("commit-then-drop"),
    _plain("commit-then-drop"),
    _plain("commit-then-504"),
    _lasting("commit-late", LATEST_COMMIT_SECONDS, status=504),
    _lasting("commit-late", LATEST_COMMIT_SECONDS),
    _plain("other-writer"),
    _plain("status", status=500),
    _plain("status", status=502, body="<html>bad gateway</html>", **POSTED),
    _plain("status", status=503),
    _plain("database-error"),
    _plain("locked"),
    _plain("metadata-changed"),
    _lasting("rate-limit", 2),
    _lasting("slow", 6),
    _lasting("hang", 5),
    _plain("drop"),
)
ZUORA_FAULTS: tuple[Fault, ...] = (
    _plain("status", status=500),
    _plain("status", status=503),
    _plain("not-found", times=2),  # of a document captured before the third in a row is believed
    _lasting("rate-limit", 2),
    _lasting("concurrency", 2),
    _lasting("slow", 4),
    _lasting("hang", 4),
    _plain("garbage"),
    _plain("drop"),
)

"""What callers are told: a status and a reason, never more."""

from dataclasses import dataclass

RETRY_AFTER_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """What the caller is told, and under which type it is counted."""

    status: int
    body: dict[str, object]
    headers: dict[str, str]
    counted_as: str = "none"


def refusal(status: int, reason: str, counted_as: str = "none", **headers: str) -> Answer:
    """Return a refusal; `Retry_After="30"` becomes the header `Retry-After`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"success": False, "error": reason}, named, counted_as)


def come_again(reason: str, counted_as: str = "none") -> Answer:
    """Return a refusal of what may come right later: Zuora sends it again."""
    return refusal(503, reason, counted_as, Retry_After=str(RETRY_AFTER_SECONDS))

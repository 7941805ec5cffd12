"""Dead letters that are larger than what their topic takes."""

from collections.abc import Iterable

LONGEST_KEY_BYTES = 64 * 1024
"""Of the key of a dead letter whose bytes are left out."""
ABOUT_LETTERS = "dlq."
"""What the names of headers begin with that tell of a dead letter, and not of what is in it."""
LEFT_OUT = "dlq.left-out"
"""Header of a dead letter that is too large to be parked: its bytes are where it came from."""

Headers = Iterable[tuple[str, bytes]]


def without_bytes(key: bytes | None, headers: Headers) -> tuple[bytes | None, tuple[tuple[str, bytes], ...]] | None:
    """Return key and headers of a dead letter that leaves its bytes where it came from, in a topic kept forever.

    None for what is no dead letter, and for a webhook's callout, whose bytes are nowhere else.
    """
    about = tuple((name, value) for name, value in headers if name.startswith(ABOUT_LETTERS) and name != LEFT_OUT)
    if not dict(about).get("dlq.offset", b"-").isdigit():
        return None
    return key if len(key or b"") <= LONGEST_KEY_BYTES else None, (*about, (LEFT_OUT, b"true"))

"""How much one source may ask in a minute; bounded memory, however many sources there are."""

import hashlib
import math
import secrets
import time
from ipaddress import IPv6Address, ip_address, ip_network

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

SLOTS = 4096
"""Sources share this many slots by a digest with a salt of this process: two counters each are 2 MB at most. Zuora's
few addresses almost never share one with somebody else's, and nobody can aim at theirs."""


class SourceLimit:
    """At most so many in any minute from one source; 0 is no limit."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._salt = secrets.token_bytes(16)

    async def take(self, source: str) -> bool:
        """Count one more; False, and nothing counted, where the limit is reached."""
        return self._item is None or await self._limiter.hit(self._item, self._slot(source))

    async def is_reached(self, source: str) -> bool:
        """Say whether another one would be refused."""
        return self._item is not None and not await self._limiter.test(self._item, self._slot(source))

    async def seconds_until_room(self, source: str) -> int:
        """Return after how many seconds it is worth to come again, for `Retry-After`."""
        if self._item is None:
            return 0
        stats = await self._limiter.get_window_stats(self._item, self._slot(source))
        return max(1, math.ceil(float(stats.reset_time) - time.time()))

    def _slot(self, source: str) -> str:
        digest = hashlib.blake2b(_network(source).encode(), key=self._salt, digest_size=8).digest()
        return str(int.from_bytes(digest) % SLOTS)


def _network(source: str) -> str:
    """One subscriber has a whole /64 of IPv6 addresses."""
    try:
        address = ip_address(source)
    except ValueError:
        return source
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else source

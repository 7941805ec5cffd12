"""Faults on order: "the next N requests that match this shall go wrong like so"."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from deploy.sandbox.exact import Json


@dataclass
class Fault:
    """One order. `path` is searched in the path as a regular expression; `times` counts down to nothing."""

    kind: str
    path: str = ""
    method: str = ""
    times: int = 1
    #: Seconds to wait: how long a slow answer takes, how late a late commit comes, what Retry-After says.
    seconds: float = 0.0
    status: int = 500
    body: str | None = None

    def matches(self, method: str, path: str, kinds: frozenset[str] | None) -> bool:
        """Tell whether this order is for such a request."""
        return (
            (kinds is None or self.kind in kinds)
            and (not self.method or self.method.upper() == method)
            and re.search(self.path, path) is not None
        )


class Faults:
    """The orders still open, oldest first."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self.kinds = kinds
        self.open: list[Fault] = []
        self.carried_out: list[Json] = []

    def order(self, wanted: dict[str, Any]) -> Fault:
        """Take an order. Raises ValueError for an unknown kind or field, or a pattern that is none."""
        if wanted.get("kind") not in self.kinds:
            raise ValueError(f"kind must be one of {', '.join(sorted(self.kinds))}")
        known = Fault.__dataclass_fields__
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            raise ValueError(f"unknown: {', '.join(unknown)}; a fault has {', '.join(known)}")
        fault = Fault(**wanted)
        fault.times, fault.seconds = int(fault.times), float(fault.seconds)
        try:
            re.compile(fault.path)
        except re.error as error:
            raise ValueError(f"path is no regular expression: {error}") from error
        self.open.append(fault)
        return fault

    def take(self, method: str, path: str, kinds: frozenset[str] | None = None) -> Fault | None:
        """Use up one turn of the oldest order that matches, if there is one."""
        for fault in self.open:
            if fault.matches(method, path, kinds):
                fault.times -= 1
                if fault.times <= 0:
                    self.open.remove(fault)
                self.carried_out.append({"kind": fault.kind, "method": method, "path": path})
                return fault
        return None

    def clear(self) -> None:
        """Withdraw all orders."""
        self.open.clear()

    def report(self) -> Json:
        """Open orders and what was carried out, as `/_sandbox/faults` gives them."""
        return {"open": [asdict(fault) for fault in self.open], "carriedOut": self.carried_out}

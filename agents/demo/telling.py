"""How the demonstration looks on a terminal: live where there is one, lines elsewhere."""

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.demo.story import Ending, Progress
from schemas.base import Status

STYLES = {
    Status.POSTED: "green",
    Status.MAPPING_MISSING: "yellow",
    Status.REJECTED: "red",
    Status.FAILED: "red",
    Status.UNCERTAIN: "red",
}
LINE_SECONDS = 2.0
"""How often a line is printed where nothing can be redrawn."""


class Screen(AbstractContextManager["Screen"]):
    """Shows progress while it lasts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._chapter = ""
        self._printed_at = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show how far it has come; a new chapter stays on the screen."""
        if progress.chapter != self._chapter:
            self._chapter = progress.chapter
            self._console.print(f"[bold]▸[/bold] {progress.chapter}")
        if self._live:
            self._live.update(_picture(progress), refresh=True)
        elif progress.counts and time.monotonic() - self._printed_at > LINE_SECONDS:
            self._printed_at = time.monotonic()
            self._console.print("  " + _line(progress))


def _picture(progress: Progress) -> Group:
    table = Table.grid(padding=(0, 2))
    for status in Status:
        count = progress.counts.get(status, 0)
        if count:
            table.add_row(Text(f"  {status}", style=STYLES.get(status, "")), Text(f"{count:,}", justify="right"))
    return Group(table, Text(f"  {_line(progress)}", style="dim"))


def _line(progress: Progress) -> str:
    counts = progress.counts
    resting = f"{counts.get(Status.MAPPING_MISSING, 0):,} held · {counts.get(Status.POSTED, 0):,} posted"
    return f"{progress.known:,} received · {resting} · {progress.posted_per_second:.0f} vouchers/s"


def tell_ending(console: Console, ending: Ending) -> None:
    """Tell what was held, why, what released it, and what is in IFS Cloud."""
    console.print(f"\n[bold]{ending.held:,} records were held[/bold], because these mappings were missing:")
    console.print(_missing_table(ending.missing))
    console.print(f"They were released by adding {len(ending.added)} lines to the mapping:")
    for line in ending.added:
        console.print(f"  [dim]{line}[/dim]", highlight=False)
    console.print("\n[bold]At the end[/bold]")
    for status, count in ending.counts.items():
        console.print(f"  {count:>7,} {status}", style=STYLES.get(status, ""))
    console.print(
        f"  {ending.vouchers:>7,} vouchers in the IFS sandbox, {ending.duplicates} of them twice "
        f"({ending.seconds:.0f} s in all)"
    )


def _missing_table(missing: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for title in ("missing", "company", "key", "records", "amounts"):
        table.add_column(title, justify="right" if title == "records" else "left")
    for gap in missing:
        key = gap.get("accountName") or gap.get("key") or gap.get("currency") or ""
        amounts = ", ".join(f"{money['amount']} {money['currency']}" for money in gap["amounts"])
        table.add_row(gap["kind"], gap.get("company") or "", str(key), str(gap["records"]), amounts)
    return table

"""Tables for terminals and pipes: aligned columns, one line a row, nothing cut off, so that grep and awk work."""

from collections.abc import Iterable, Sequence

import click

from streams.views.summary import Money

GUTTER = "  "


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Write rows under their headers; the columns named in `right` are aligned to the right. None is a dash."""
    texts = [["-" if cell in (None, "") else _one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [headers, *texts]) for column in range(len(headers))]
    for line in [headers, *texts]:
        cells = [
            text.rjust(width) if header in right else text.ljust(width)
            for header, text, width in zip(headers, line, widths, strict=True)
        ]
        click.echo(GUTTER.join(cells).rstrip())


def _one_line(text: str) -> str:
    """Return text without line breaks and without what would steer a terminal: records hold what others wrote."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())


def amounts_text(amounts: Iterable[Money]) -> str:
    """Return amounts per currency in one cell."""
    return ", ".join(f"{money.amount:,f} {money.currency or '?'}" for money in amounts)

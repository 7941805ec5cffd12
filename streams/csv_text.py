"""The bytes of a CSV file as text, and cells that a spreadsheet program shows instead of running them.

A spreadsheet takes a cell that begins with one of `= + - @` for a formula (OWASP: CSV injection). Such a cell is
written with an apostrophe before it, which is taken off again when it is read.
"""

import codecs
import re

LARGEST_FILE_BYTES = 16 * 1024 * 1024
"""Some 250,000 lines; a file is read whole, which takes 30 times its size of memory."""

_APOSTROPHE = "'"
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that a spreadsheet would run; the last four are the wide forms of the first. With any apostrophes
before it, so that a value that begins with one itself comes back as it was."""
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_REMEDY = "save the file as 'CSV UTF-8'"


class NotTextError(ValueError):
    """Bytes that are no UTF-8, or too many; `line` is where that shows."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def csv_text(content: bytes) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark.

    Raises:
        NotTextError: it is in another encoding, or larger than `LARGEST_FILE_BYTES`.

    """
    if len(content) > LARGEST_FILE_BYTES:
        raise NotTextError(f"begins a file of more than {LARGEST_FILE_BYTES // 1024**2} MiB: split it", 1)
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            raise NotTextError(f"is {encoding}: {_REMEDY}", 1)
    zero = content.find(b"\0")
    if zero >= 0:  # UTF-16 without its mark is full of them, and can be read as UTF-8 for all that
        raise NotTextError(f"has a NUL byte, as UTF-16 has: {_REMEDY}", content.count(b"\n", 0, zero) + 1)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotTextError(f"is not UTF-8: {_REMEDY}", content.count(b"\n", 0, error.start) + 1) from None


def harmless(value: str) -> str:
    """Return the cell that stands for a value and that no spreadsheet program runs."""
    return _APOSTROPHE + value if _FORMULA.match(value) else value


def meant(cell: str) -> str:
    """Return the value that a cell stands for: without blanks around it, and as it was before `harmless`."""
    cell = cell.strip()
    return cell[1:] if cell.startswith(_APOSTROPHE) and _FORMULA.match(cell) else cell

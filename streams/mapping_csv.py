"""Mappings as a CSV file: one file for all kinds, read and written by spreadsheet programs.

`kind,zuora_account_id,company,match_on,match_value,gl_account,cost_center,code_c..code_j,currency,gateway,
deferred_account,comment`: UTF-8 with or without a byte order mark, separated by commas or (as spreadsheets of many
countries save it) semicolons; columns that are not needed may be left out.

A cell that a spreadsheet would take for a formula has an apostrophe before it, which is none of the value's.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from iso4217 import Currency
from pydantic import ValidationError

from schemas.mappings import NONE_VALUE, AccountMappingRemoved, AccountMappingSet, ChartRuleRemoved, ChartRuleSet
from streams.accounting.keys import mapping_key
from streams.csv_text import NotTextError, csv_text, harmless, meant
from streams.views.mappings import MAPPING_KINDS, kind_of

MappingSet = AccountMappingSet | ChartRuleSet
MappingRemoved = AccountMappingRemoved | ChartRuleRemoved

CODE_COLUMNS = {"B": "cost_center", **{part: f"code_{part.lower()}" for part in "CDEFGHIJ"}}
"""Code part of IFS to the column that holds it."""
COLUMNS = (
    "kind",
    "zuora_account_id",
    "company",
    "match_on",
    "match_value",
    "gl_account",
    *CODE_COLUMNS.values(),
    "currency",
    "gateway",
    "deferred_account",
    "comment",
)
MATCH_ON = ("sku", "product_name", "charge_type", "accounting_code")
LONGEST_VALUE = 255
"""Characters of an id, match value or comment: what Zuora's own fields take."""
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MOST_ERRORS = 100
"""Errors of one file; a person mends the first ones, and the same mistake is often in every line."""
_LONGEST_TOLD, _MOST_TOLD = 40, 5
"""Characters of what a file has instead of a known word, and how many unknown columns are told of."""

_ALWAYS = ("kind", "company", "gl_account")
_REQUIRED = {
    "account": ("zuora_account_id",),
    "product": ("match_on", "match_value"),
    "tax": ("match_value",),
    "cash": ("currency",),
    "unapplied": (),
    "rounding": (),
}
_OPTIONAL = {"cash": ("gateway",), "product": ("deferred_account",)}
_CHART_KEY = ("kind", "match_on", "match_value", "currency", "gateway")
_COLUMN_OF_FIELD = {
    "accountId": "zuora_account_id",
    "glAccount": "gl_account",
    "matchOn": "match_on",
    "matchValue": "match_value",
    "deferredAccount": "deferred_account",
}


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong in a line (1 is the header), in words for the person who edits the file."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class MappingLine:
    """A mapping with the line that it stands in."""

    line: int
    event: MappingSet

    @property
    def key(self) -> str:
        """The key under which the mapping holds."""
        return mapping_key(self.event)


def parse_mappings(content: bytes, *, actor: str, at: datetime) -> tuple[list[MappingLine], list[LineError]]:
    """Read a file; every line is checked, and the errors are returned in their order, at most `MOST_ERRORS`."""
    try:
        rows = _rows(csv_text(content))
        header = next(rows, (1, []))[1]
        columns = [name.strip().lower() for name in header]
        wrong = _header_errors(columns)
        return ([], wrong) if wrong else _lines(rows, columns, actor, at)
    except NotTextError as error:
        return [], [LineError(error.line, str(error))]
    except csv.Error as error:
        message, line = error.args
        return [], [LineError(line, f"is not CSV: {message}")]


def render_mappings(mappings: Iterable[MappingSet]) -> str:
    """Return the file that `parse_mappings` reads the same mappings from; the same mappings always give the same text.

    All columns are there, mappings are ordered by kind and key, lines end with a line feed.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for event in sorted(mappings, key=_order):
        writer.writerow({column: harmless(cell) for column, cell in _cells(event).items()})
    return text.getvalue()


def check_mapping(cells: Mapping[str, str], *, actor: str, at: datetime) -> tuple[MappingSet | None, list[str]]:
    """Return the mapping that the cells of one line (column to text) describe, or all that is wrong with them."""
    given = {column: cell.strip() for column, cell in cells.items() if cell.strip()}
    wrong = _cell_errors(given)
    if wrong:
        return None, wrong
    try:
        return _event(given, actor, at), []
    except ValidationError as error:
        return None, _told(error)


def check_removal(cells: Mapping[str, str], *, actor: str, at: datetime) -> tuple[MappingRemoved | None, list[str]]:
    """Return the removal of the mapping that the cells of one line name, or all that is missing to tell which."""
    given = {column: cell.strip() for column, cell in cells.items() if cell.strip()}
    kind = given.get("kind", "")
    if kind not in _REQUIRED:
        return None, _cell_errors(given)
    needed = _REQUIRED[kind] if kind == "account" else ("company", *_REQUIRED[kind])
    missing = [f"{column} is empty, {kind} needs it" for column in needed if column not in given]
    if missing:
        return None, missing
    change = {"actor": actor, "at": at, "comment": given.get("comment")}
    try:
        if kind == "account":
            return AccountMappingRemoved.model_validate(change | {"account_id": given["zuora_account_id"]}), []
        named = {name: given.get(name) for name in (*_CHART_KEY, "company")}
        return ChartRuleRemoved.model_validate(change | named), []
    except ValidationError as error:
        return None, _told(error)


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Give each row with the number of the line that it begins in; a quoted cell may span lines."""
    first_line = text.partition("\n")[0]
    delimiter = ";" if ";" in first_line and "," not in first_line else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise csv.Error(str(error), line) from error
        yield line, row


def _header_errors(columns: list[str]) -> list[LineError]:
    if not any(columns):
        return [LineError(1, f"has no header; the first line names the columns: {','.join(COLUMNS)}")]
    unknown = [name[:_LONGEST_TOLD] for name in columns if name not in COLUMNS][:_MOST_TOLD]
    twice = sorted(name for name in COLUMNS if columns.count(name) > 1)
    missing = [name for name in _ALWAYS if name not in columns]
    wrong = [f"unknown column {name!r}; columns are {', '.join(COLUMNS)}" for name in unknown]
    wrong += [f"column {name} is there twice" for name in twice]
    wrong += [f"column {name} is missing" for name in missing]
    return [LineError(1, message) for message in wrong]


def _lines(
    rows: Iterator[tuple[int, list[str]]], columns: list[str], actor: str, at: datetime
) -> tuple[list[MappingLine], list[LineError]]:
    lines: list[MappingLine] = []
    errors: list[LineError] = []
    first_lines: dict[str, int] = {}
    for number, row in rows:
        if len(errors) >= MOST_ERRORS:
            errors[MOST_ERRORS:] = [LineError(number, "and what follows was not checked: mend the lines above first")]
            break
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(columns):
            errors.append(LineError(number, f"has {len(row)} cells, the header {len(columns)}"))
            continue
        event, wrong = check_mapping(dict(zip(columns, map(meant, row), strict=False)), actor=actor, at=at)
        errors += [LineError(number, message) for message in wrong]
        if event is None:
            continue
        line = MappingLine(number, event)
        if line.key in first_lines:
            errors.append(LineError(number, f"maps the same as line {first_lines[line.key]} ({line.key})"))
        first_lines.setdefault(line.key, number)
        lines.append(line)
    return ([], errors) if errors else (lines, [])


def _cell_errors(given: Mapping[str, str]) -> list[str]:
    kind = given.get("kind", "")
    if kind not in _REQUIRED:
        told = f"kind is {kind[:_LONGEST_TOLD]!r}, must be one of {', '.join(MAPPING_KINDS)}"
        return [told if kind else "kind is empty"]
    required = (*_ALWAYS, *_REQUIRED[kind])
    allowed = {*required, *_OPTIONAL.get(kind, ()), *CODE_COLUMNS.values(), "comment"}
    wrong = [f"{column} is empty, {kind} needs it" for column in required if column not in given]
    wrong += [f"{column} is not used by {kind}" for column in given if column not in allowed]
    wrong += [f"{name} is longer than {LONGEST_VALUE} characters" for name in given if len(given[name]) > LONGEST_VALUE]
    wrong += [f"{name} has a control character" for name, cell in given.items() if CONTROL.search(cell)]
    return wrong or _value_errors(kind, given)


def _value_errors(kind: str, given: Mapping[str, str]) -> list[str]:
    wrong = []
    if given["company"] == "*":
        wrong.append("company is *, a mapping is of one company")
    if kind == "product" and given["match_on"] not in MATCH_ON:
        wrong.append(f"match_on is {given['match_on']!r}, must be one of {', '.join(MATCH_ON)}")
    elif kind == "product" and given["match_value"] == NONE_VALUE and given["match_on"] != "accounting_code":
        wrong.append(f"match_value {NONE_VALUE} goes with match_on accounting_code only")
    if kind == "cash" and not _is_currency(given["currency"]):
        wrong.append(f"currency is {given['currency']!r}, must be a code of ISO 4217 such as EUR")
    return wrong


def _event(given: Mapping[str, str], actor: str, at: datetime) -> MappingSet:
    common = {
        "actor": actor,
        "at": at,
        "comment": given.get("comment"),
        "company": given["company"],
        "gl_account": given["gl_account"],
        "code_parts": {part: given[column] for part, column in CODE_COLUMNS.items() if column in given},
    }
    if given["kind"] == "account":
        return AccountMappingSet.model_validate(common | {"account_id": given["zuora_account_id"]})
    chart = {name: given.get(name) for name in (*_CHART_KEY, "deferred_account")}
    return ChartRuleSet.model_validate(common | chart)


def _cells(event: MappingSet) -> dict[str, str]:
    cells: dict[str, str | None] = {"kind": kind_of(event), "company": event.company, "gl_account": event.gl_account}
    cells |= {CODE_COLUMNS[part]: code for part, code in event.code_parts.items()} | {"comment": event.comment}
    if isinstance(event, AccountMappingSet):
        cells["zuora_account_id"] = event.account_id
    else:
        chart = ("match_on", "match_value", "currency", "gateway", "deferred_account")
        cells |= {name: getattr(event, name) for name in chart}
    return {column: cell for column, cell in cells.items() if cell is not None}


def _order(event: MappingSet) -> tuple[int, str]:
    return MAPPING_KINDS.index(kind_of(event)), mapping_key(event)


def _told(error: ValidationError) -> list[str]:
    return [_told_once(one["loc"], one["msg"]) for one in error.errors(include_input=False, include_url=False)]


def _told_once(location: tuple[int | str, ...], message: str) -> str:
    names = [_COLUMN_OF_FIELD.get(str(part), str(part)) for part in location]
    column = CODE_COLUMNS.get(names[1], names[1]) if names[0] == "codeParts" else names[0]
    return f"{column}: {message[0].lower()}{message[1:]}"


def _is_currency(code: str) -> bool:
    try:
        return bool(Currency(code))
    except ValueError:
        return False

"""`$filter`: a small parser of OData 4.01 expressions (section 5.1.1 of part 2), strict about names and types.

Knows eq ne gt ge lt le, in, and or not, parentheses, startswith contains endswith tolower toupper length, texts (quotes
doubled), numbers, dates, moments, true false null, and enumeration values such as
`IfsApp.VoucherHandling.VoucherStatus'Approved'`.
Lambda operators and `has` are refused, as IFS refuses them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from deploy.sandbox.exact import Json
from deploy.sandbox.ifs.errors import OdataError

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>(?:[A-Za-z_][\w.]*)?'(?:[^']|'')*')
    | (?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)
    | (?P<date>\d{4}-\d\d-\d\d)
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}
_TESTS: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": lambda a, b: b in a,
}
_CHANGES: dict[str, tuple[Callable[[str], Any], str]] = {
    "tolower": (str.lower, "text"),
    "toupper": (str.upper, "text"),
    "length": (len, "number"),
}


@dataclass(frozen=True)
class Term:
    """A value in an expression: how to get it from a row, its type, and the plain property's name if it is one."""

    value: Callable[[Json], Any]
    type: str
    name: str = ""
    constant: Any = None


@dataclass(frozen=True)
class Condition:
    """A parsed filter: `holds` tests a row; `equal` narrows: property -> the values one of which it must have."""

    holds: Callable[[Json], bool]
    equal: dict[str, frozenset[Any]]


def parse(text: str, types: dict[str, str]) -> Condition:
    """Parse a filter over properties of the given types (`text`, `number`, `date`, `boolean`).

    Raises OdataError 400.
    """
    return _Parser(text, types).whole()


def _bad(message: str) -> OdataError:
    return OdataError(400, "ODP_UNSUPPORTED_URL", f"$filter: {message}")


class _Parser:
    def __init__(self, text: str, types: dict[str, str]) -> None:
        self._types = types
        self._tokens: list[tuple[str, str]] = []
        position = 0
        text = text.strip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise _bad(
                    f"cannot read at {text[position : position + 20]!r} (a space is %20 in a URL, not a plus sign)"
                )
            self._tokens.append((match.lastgroup, match.group(match.lastgroup)))
            position = match.end()
        self._at = 0

    def whole(self) -> Condition:
        condition = self._either()
        if self._at != len(self._tokens):
            raise _bad(f"{self._tokens[self._at][1]!r} is not expected there")
        return condition

    def _next(self, *values: str) -> str | None:
        """Take the next token if it is one of these."""
        if (
            self._at < len(self._tokens)
            and self._tokens[self._at][0] in {"word", "mark"}
            and self._tokens[self._at][1] in values
        ):
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def _expect(self, value: str) -> None:
        if self._next(value) is None:
            found = self._tokens[self._at][1] if self._at < len(self._tokens) else "the end"
            raise _bad(f"{value!r} is missing before {found!r}")

    def _either(self) -> Condition:
        condition = self._both()
        while self._next("or"):
            other = self._both()
            shared = {
                name: values | other.equal[name] for name, values in condition.equal.items() if name in other.equal
            }
            condition = Condition(_any_of(condition, other), shared)
        return condition

    def _both(self) -> Condition:
        condition = self._not()
        while self._next("and"):
            other = self._not()
            condition = Condition(_all_of(condition, other), {**other.equal, **condition.equal})
        return condition

    def _not(self) -> Condition:
        if self._next("not"):
            inner = self._not()
            return Condition(lambda row: not inner.holds(row), {})
        if self._next("("):
            condition = self._either()
            self._expect(")")
            return condition
        return self._comparison()

    def _comparison(self) -> Condition:
        name = self._tokens[self._at][1] if self._at < len(self._tokens) else ""
        if name in _TESTS:
            self._at += 1
            left, right = self._arguments()
            test = _TESTS[name]
            return Condition(lambda row: _test_text(test, left.value(row), right.value(row)), {})
        left = self._term()
        operator = self._next("eq", "ne", "gt", "ge", "lt", "le", "in", "has")
        if operator is None or operator == "has":
            if operator is None and left.type == "boolean":
                return Condition(lambda row: left.value(row) is True, {})
            raise _bad("a comparison (eq, ne, gt, ge, lt, le, in) is missing")
        if operator == "in":
            return self._in(left)
        right = self._term()
        if "null" not in {left.type, right.type} and left.type != right.type:
            raise _bad(f"{left.type} cannot be compared with {right.type}")
        return _compared(operator, left, right)

    def _in(self, left: Term) -> Condition:
        self._expect("(")
        choices = [self._term()]
        while self._next(","):
            choices.append(self._term())
        self._expect(")")
        if any(choice.type != left.type for choice in choices):
            raise _bad(f"the list does not hold values of type {left.type}")
        values = frozenset(choice.constant for choice in choices)
        return Condition(lambda row: left.value(row) in values, {left.name: values} if left.name else {})

    def _arguments(self) -> tuple[Term, Term]:
        self._expect("(")
        left = self._term()
        self._expect(",")
        right = self._term()
        self._expect(")")
        if (left.type, right.type) != ("text", "text"):
            raise _bad("a text function takes two texts")
        return left, right

    def _term(self) -> Term:
        if self._at >= len(self._tokens):
            raise _bad("it ends too early")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return _constant(text[text.index("'") + 1 : -1].replace("''", "'"), "text")
        if kind == "number":
            return _constant(Decimal(text), "number")
        if kind in {"date", "moment"}:
            return _constant(text, kind)
        if kind == "word":
            return self._word(text)
        raise _bad(f"{text!r} is not expected there")

    def _word(self, text: str) -> Term:
        if text in {"true", "false"}:
            return _constant(text == "true", "boolean")
        if text == "null":
            return _constant(None, "null")
        if text in _CHANGES:
            change, kind = _CHANGES[text]
            self._expect("(")
            inner = self._term()
            self._expect(")")
            return Term(lambda row: None if inner.value(row) is None else change(inner.value(row)), kind)
        if text not in self._types:
            raise OdataError(
                400,
                "EXPRESSION_PROPERTY_NOT_IN_TYPE",
                f"The property '{text}', used in a query expression, is not defined.",
            )
        return Term(lambda row: row.get(text), self._types[text], text)


def _constant(value: Any, kind: str) -> Term:
    return Term(lambda _: value, kind, "", value)


def _any_of(one: Condition, other: Condition) -> Callable[[Json], bool]:
    return lambda row: one.holds(row) or other.holds(row)


def _all_of(one: Condition, other: Condition) -> Callable[[Json], bool]:
    return lambda row: one.holds(row) and other.holds(row)


def _test_text(test: Callable[[str, str], bool], left: Any, right: Any) -> bool:
    return left is not None and right is not None and test(left, right)


def _compared(operator: str, left: Term, right: Term) -> Condition:
    if operator == "eq":
        named, other = (left, right) if left.name else (right, left)
        equal = {named.name: frozenset([other.constant])} if named.name and not other.name else {}
        return Condition(lambda row: left.value(row) == right.value(row), equal)
    if operator == "ne":
        return Condition(lambda row: left.value(row) != right.value(row), {})
    compare = _COMPARE[operator]

    def holds(row: Json) -> bool:
        a, b = left.value(row), right.value(row)
        return a is not None and b is not None and compare(a, b)

    return Condition(holds, {})

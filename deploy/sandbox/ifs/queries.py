"""The system query options: which rows, in which order, how many, which properties."""

import re
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import unquote

from deploy.sandbox.exact import Json
from deploy.sandbox.ifs.entities import META, EntitySet
from deploy.sandbox.ifs.errors import OdataError
from deploy.sandbox.ifs.odata_filter import Condition, parse
from deploy.sandbox.ifs.settings import IfsSettings
from deploy.sandbox.ifs.state import IfsSandbox

_KNOWN = frozenset({"$filter", "$top", "$skip", "$orderby", "$select", "$count", "$skiptoken", "$format"})
_EVERYTHING = Condition(lambda _: True, {})


def options(raw_query: str) -> dict[str, str]:
    """Read query options as IFS does: `$` as it is, values percent-encoded, a plus sign is a plus sign."""
    read: dict[str, str] = {}
    for pair in filter(None, raw_query.split("&")):
        name, _, value = pair.partition("=")
        if name == "$expand":
            raise OdataError(501, "ODP_NOT_IMPLEMENTED", "$expand is not supported here; read the array by itself")
        if name.lower().startswith("%24"):
            raise OdataError(400, "ODP_UNSUPPORTED_URL", f"The query option {name} is unknown; $ must not be encoded")
        if name.startswith("$") and name not in _KNOWN:
            raise OdataError(400, "ODP_UNSUPPORTED_URL", f"The query option {name} is not supported")
        read[name] = unquote(value)
    return read


def condition_of(query: dict[str, str], entity_set: EntitySet) -> Condition:
    """The parsed `$filter`, or one that lets all through."""
    return parse(query["$filter"], entity_set.types) if query.get("$filter") else _EVERYTHING


def the_company(condition: Condition) -> str | None:
    """The one company that a filter names, if it names exactly one."""
    values = condition.equal.get("Company", frozenset())
    return str(next(iter(values))) if len(values) == 1 else None


def listing(
    sandbox: IfsSandbox,
    entity_set: EntitySet,
    query: dict[str, str],
    condition: Condition,
    within: Json | None = None,
) -> Json:
    """The body of a list answer, without its context.

    `condition` is the query's; `within` are key values that rows must have (an array of a parent).
    """
    narrowed = {**condition.equal, **{name: frozenset([value]) for name, value in (within or {}).items()}}
    fitting = (
        row
        for row in entity_set.source(sandbox, narrowed)
        if condition.holds(row) and all(row.get(name) == value for name, value in (within or {}).items())
    )
    rows = list(islice(fitting, _enough(query)))
    _order(rows, query.get("$orderby", ""), entity_set)
    body: Json = {"@odata.count": len(rows)} if query.get("$count", "").lower() == "true" else {}
    start = _whole(query, "$skip", 0) + _whole(query, "$skiptoken", 0)
    top = _whole(query, "$top", len(rows)) if "$top" in query else len(rows)
    wanted = rows[start : start + top]
    if sandbox.settings.server_page_size and len(wanted) > sandbox.settings.server_page_size:
        wanted = wanted[: sandbox.settings.server_page_size]
        body["@odata.nextLink"] = _next_link(entity_set, query, len(wanted))
    if len(wanted) > sandbox.settings.most_elements:
        raise OdataError(500, "INTERNAL_ERROR", f"The response would hold {len(wanted)} elements")
    return {**body, "value": [select(row, query, entity_set) for row in wanted]}


def _enough(query: dict[str, str]) -> int | None:
    """How many rows suffice.

    With `$top`, and nothing that needs all of them, a large set need not be walked through.
    """
    if "$top" not in query or query.get("$orderby") or query.get("$count", "").lower() == "true":
        return None
    return _whole(query, "$skip", 0) + _whole(query, "$skiptoken", 0) + _whole(query, "$top", 0)


def _next_link(entity_set: EntitySet, query: dict[str, str], taken: int) -> str:
    rest = {name: value for name, value in query.items() if name not in {"$skiptoken", "$top"}}
    if "$top" in query:
        rest["$top"] = str(_whole(query, "$top", 0) - taken)
    rest["$skiptoken"] = str(_whole(query, "$skiptoken", 0) + taken)
    return f"{entity_set.name}?" + "&".join(f"{name}={value.replace(' ', '%20')}" for name, value in rest.items())


def select(row: Json, query: dict[str, str], entity_set: EntitySet) -> Json:
    """Cut a row down to `$select`; its tag and its meta fields stay."""
    if not query.get("$select"):
        return row
    names = [name.strip() for name in query["$select"].split(",")]
    for name in names:
        if name not in entity_set.types:
            raise OdataError(400, "ODP_UNSUPPORTED_URL", f"$select: {name} is no property of {entity_set.unit}")
    return {name: row.get(name) for name in ("@odata.etag", *META, *names) if name in row}


def _order(rows: list[Json], text: str, entity_set: EntitySet) -> None:
    for part in reversed([part.split() for part in text.split(",") if part.strip()]):
        if part[0] not in entity_set.types or len(part) > 2 or (len(part) == 2 and part[1] not in {"asc", "desc"}):
            raise OdataError(400, "ODP_UNSUPPORTED_URL", f"$orderby: {' '.join(part)} is not understood")
        rows.sort(key=partial(_rank, part[0]), reverse=part[-1] == "desc")


def _rank(name: str, row: Json) -> tuple[bool, Any]:
    """Null sorts before all values (OData 4.01 11.2.6.2)."""
    value = row.get(name)
    return value is not None, 0 if value is None else value


def _whole(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise OdataError(400, "ODP_UNSUPPORTED_URL", f"{name} must be a whole number")
    return int(text)


def key_values(text: str, entity_set: EntitySet) -> Json:
    """Read `Company='10',VoucherNo=5` of a resource path. Raises OdataError for keys that are not the entity's."""
    found: dict[str, Any] = {}
    for match in re.finditer(r"(\w+)=('(?:[^']|'')*'|[^,']+)(?:,|$)", text):
        name, value = match.groups()
        kind = entity_set.types.get(name)
        if (kind == "text") != value.startswith("'"):
            raise OdataError(400, "ODP_UNSUPPORTED_URL", f"The key {name} is written wrong: {value}")
        found[name] = value[1:-1].replace("''", "'") if kind == "text" else _key_number(value, kind)
    if set(found) != set(entity_set.keys):
        raise OdataError(400, "ODP_UNSUPPORTED_URL", f"The keys of {entity_set.name} are {', '.join(entity_set.keys)}")
    return found


def _key_number(value: str, kind: str | None) -> Decimal | str:
    if kind == "date":
        return value
    if not value.isdecimal():
        raise OdataError(400, "ODP_UNSUPPORTED_URL", f"{value} is no number")
    return Decimal(value)


def tag_company(settings: IfsSettings, condition: Condition) -> str | None:
    """The company whose tag a read of the set answers with."""
    return the_company(condition) if settings.etag_scope == "company" else None

"""Mappings and rules as they stand, folded from `ledger.mapping.v1`: the newest event of a key holds."""

from typing import Any

import orjson

from schemas.base import Model
from schemas.envelope import encode
from schemas.mappings import (
    AccountMappingRemoved,
    AccountMappingSet,
    ChartKey,
    ChartRuleRemoved,
    ChartRuleSet,
    CompanySet,
    PostingRuleRemoved,
    PostingRuleSet,
)

MappingEvent = (
    AccountMappingSet
    | AccountMappingRemoved
    | ChartRuleSet
    | ChartRuleRemoved
    | PostingRuleSet
    | PostingRuleRemoved
    | CompanySet
)
REMOVALS = (AccountMappingRemoved, ChartRuleRemoved, PostingRuleRemoved)
MAPPING_KINDS = ("account", "product", "tax", "cash", "unapplied", "rounding")
"""The kinds of mappings, in the order in which lists give them."""
_CHANGE_FIELDS = {"actor", "at", "comment", "approved_by"}


def kind_of(event: Model) -> str:
    """Return the kind of a mapping or rule: one of MAPPING_KINDS, `rule` or `company`."""
    match event:
        case AccountMappingSet() | AccountMappingRemoved():
            return "account"
        case ChartKey():
            return event.kind
        case PostingRuleSet() | PostingRuleRemoved():
            return "rule"
    return "company"


def same_content(one: Model | None, other: Model | None, *, with_comment: bool = True) -> bool:
    """Return whether two events say the same, whoever said it and whenever."""
    if one is None or other is None or type(one) is not type(other):
        return one is other
    ignored = _CHANGE_FIELDS - ({"comment"} if with_comment else set())
    return one.model_dump(exclude=ignored) == other.model_dump(exclude=ignored)


def mapping_json(key: str, version: int, event: Model) -> dict[str, Any]:
    """Return a mapping or rule as lists give it: its own fields with its key, kind and version."""
    fields: dict[str, Any] = orjson.loads(encode(event))
    return {"key": key, "kind": kind_of(event), "version": version, **fields}

"""JSON Schemas (draft 2020-12) of all events, made from the models that write and read them."""

from typing import Any

from schemas.envelope import EVENT_TYPES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of every event by its `ce_type`, as its JSON value is written."""
    return {
        name: {"$schema": DIALECT, "$id": f"urn:zuora-ifs:event:{name}"}
        | event.model_json_schema(by_alias=True, mode="serialization")
        for name, event in sorted(EVENT_TYPES.items())
    }

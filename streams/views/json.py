"""What people's programs get: one place that says how models look as JSON."""

from typing import Any

from schemas.audit import Gap
from schemas.base import Model


def json_value(model: Model) -> dict[str, Any]:
    """Return a model as JSON has it: camelCase, amounts and times as text; gaps without what they do not name."""
    value = model.model_dump(mode="json", by_alias=True)
    if isinstance(model, Gap):
        return {name: part for name, part in value.items() if part is not None}
    if "missing" in value:
        value["missing"] = [{name: part for name, part in gap.items() if part is not None} for gap in value["missing"]]
    return value

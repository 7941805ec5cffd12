"""Says so when another distribution's package hides one of ours: names like `agents` are not ours alone."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUR_PACKAGES = ("agents", "streams", "schemas")


def foreign_package(root: Path = ROOT, names: tuple[str, ...] = OUR_PACKAGES) -> str | None:
    """Return one sentence about the first package that does not lie where this program lies; None when all do."""
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None:
            return f"the package `{name}` is missing beside {root}: run zuora-ifs from a complete checkout or image"
        if spec.origin is None or Path(spec.origin).resolve().parent != root / name:
            place = spec.origin or ", ".join(spec.submodule_search_locations or [])
            return (
                f"another distribution's package `{name}` ({place}) hides ours: uninstall it, "
                "or run `python -m agents` from the project's folder"
            )
    return None

"""Templates with the words and signs of the pages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agents.console import wording

TEMPLATES = web.AppKey("templates", Environment)
HERE = Path(__file__).parent


def environment() -> Environment:
    """Return the templates; everything that is put into them is escaped."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["words"] = wording
    for name in ("amount", "number", "moment", "gap_text", "gap_value", "voucher_text", "tone"):
        made.filters[name] = getattr(wording, name)
    return made


def page(request: web.Request, template: str, values: Mapping[str, Any], *, status: int = 200) -> web.Response:
    """Return a page."""
    text = request.app[TEMPLATES].get_template(template).render(path=request.path, **values)
    return web.Response(text=text, content_type="text/html", status=status)

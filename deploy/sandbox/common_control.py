"""What both sandboxes offer alike under `/_sandbox/…`: faults on order, counting from nothing, settings by name."""

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import InvalidOperation
from typing import Any, Protocol

from aiohttp import web

from deploy.sandbox.exact import Json, json_response, read_json
from deploy.sandbox.faults import Faults
from deploy.sandbox.traffic import Traffic

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Controlled(Protocol):
    """What a sandbox has, whichever far side it plays."""

    traffic: Traffic
    faults: Faults
    counts: Counter[str]

    def revoke_tokens(self) -> None:
        """Make every token issued so far void."""


def common_routes(sandbox_of: Callable[[web.Request], Controlled]) -> list[web.RouteDef]:
    """Return the routes that are the same on both sides."""

    async def reset_requests(request: web.Request) -> web.Response:
        """Count from nothing again."""
        sandbox_of(request).traffic.reset()
        sandbox_of(request).counts.clear()
        return json_response({})

    async def faults(request: web.Request) -> web.Response:
        """Open orders and what was carried out."""
        return json_response(sandbox_of(request).faults.report())

    async def order_fault(request: web.Request) -> web.Response:
        """`{"kind", "path"?, "method"?, "times"?, "seconds"?, "status"?, "body"?}`."""
        return json_response(dataclasses.asdict(sandbox_of(request).faults.order(await read_json(request))), 201)

    async def clear_faults(request: web.Request) -> web.Response:
        """Withdraw all orders."""
        sandbox_of(request).faults.clear()
        return json_response({})

    async def revoke_tokens(request: web.Request) -> web.Response:
        """Make every token issued so far void."""
        sandbox_of(request).revoke_tokens()
        return json_response({})

    return [
        web.post("/_sandbox/requests/reset", reset_requests),
        web.get("/_sandbox/faults", faults),
        web.post("/_sandbox/faults", order_fault),
        web.delete("/_sandbox/faults", clear_faults),
        web.post("/_sandbox/tokens/revoke", revoke_tokens),
    ]


async def guarded(request: web.Request, handler: Handler, refused: type[Exception]) -> web.StreamResponse:
    """Answer what cannot be done with 422 and the reason; `refused` is what the sandbox itself raises."""
    try:
        return await handler(request)
    except (refused, ValueError, KeyError, TypeError, InvalidOperation) as error:
        return json_response({"error": f"{type(error).__name__}: {error}"}, 422)


def set_settings(settings: Any, wanted: Json) -> None:
    """Change fields of a dataclass by their names in camelCase.

    Raises:
        ValueError: there is no such field, or the value is none for it.

    """
    known = {field.name for field in dataclasses.fields(settings)}
    for name, value in wanted.items():
        own = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        if own not in known:
            raise ValueError(f"there is no setting {name}")
        setattr(settings, own, type(getattr(settings, own))(value))

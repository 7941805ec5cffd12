"""What the API can do, as a table: each operation is checked, carried out, answered and described from one entry."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from agents.console.roles import Role, at_least
from schemas.base import Model
from schemas.errors import UsageError
from schemas.requests import LONGEST_REASON

USUAL_LIMIT = 50
LARGEST_LIMIT = 500
LONGEST_CURSOR = 1_000

M = TypeVar("M", bound=Model)


def _digits(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError(f"must be a number from 1 to {LARGEST_LIMIT}")
    return value


Limit = Annotated[int, Field(ge=1, le=LARGEST_LIMIT), BeforeValidator(_digits)]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_CURSOR)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_REASON)]


class Asked(Model):
    """What the API is asked; the texts below its fields stand in the OpenAPI document."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class NoQuestion(Asked):
    """Of an operation that takes no parameters."""


class ListQuery(Asked):
    """Which part of a list."""

    limit: Limit = USUAL_LIMIT
    cursor: Cursor | None = None
    """`nextCursor` of the page before."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the API can do.

    `asks` is the body of a PUT or POST, else the query; `act` is given it, checked.
    """

    method: str
    path: str
    summary: str
    asks: type[Model]
    answer: type[Model]
    act: Callable[[web.Request, Any], Awaitable[Model]]
    role: Role = Role.VIEWER
    also: Sequence[int] = ()
    """Refusals beyond those that every operation has."""
    accepted: type[Model] | None = None
    """What is answered with 202, where nothing has taken effect yet."""

    @property
    def has_body(self) -> bool:
        """Whether it is asked with a body."""
        return self.method in ("PUT", "POST")


def add_operations(app: web.Application, operations: Sequence[Operation]) -> None:
    """Add a route for each operation; a part of a path may hold any character, an encoded slash too."""
    for operation in operations:
        route = operation.path.replace("{letter}", "{letter:.+}").replace("}", ":[^/]+}").replace("+:[^/]+}", "+}")
        app.router.add_route(operation.method, route, _handler(operation), name=None)


def _handler(operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    @at_least(operation.role)
    async def handle(request: web.Request) -> web.StreamResponse:
        read = await _body(request, operation.asks) if operation.has_body else query(request, operation.asks)
        answer = await operation.act(request, read)
        status = 202 if operation.accepted and isinstance(answer, operation.accepted) else 200
        body = answer.model_dump_json(by_alias=True).encode()
        return web.Response(body=body, status=status, content_type="application/json")

    return handle


def query(request: web.Request, model: type[M]) -> M:
    """Return the query of a request.

    Raises:
        UsageError: a parameter is unknown, given twice, or not what it should be.

    """
    twice = [name for name in request.query if len(request.query.getall(name)) > 1]
    if twice:
        raise UsageError(f"{twice[0]}: is given twice")
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise UsageError(_first(error)) from None


async def _body(request: web.Request, model: type[M]) -> M:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
    try:
        return model.model_validate_json(await request.read(), strict=True)
    except ValidationError as error:
        raise UsageError(_first(error)) from None


def _first(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return f"{where}: {first['msg']}"

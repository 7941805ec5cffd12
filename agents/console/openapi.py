"""The OpenAPI document: made of the same models that check what the API is asked and shape what it answers."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, get_args

from aiohttp import web
from openapi_pydantic import (
    Components,
    Info,
    MediaType,
    OpenAPI,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Response,
    Schema,
    SecurityScheme,
)
from openapi_pydantic import Operation as DescribedOperation
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from agents.console.answers import Refusal
from agents.console.cross_site import SESSION_COOKIE
from agents.console.operations import Operation
from schemas.mappings import MatchOn

DESCRIBED = web.AppKey("described", tuple[Operation, ...])
VERSION = "1"
"""Of the API; a change that breaks callers raises it."""
JSON = "application/json"
REF = "#/components/schemas/{model}"
LONGEST_PART = 255

PATH_PARTS = {
    "id": "A record's id, such as Invoice:8ad08d2989bd1f2c0189bd5a7e3a2001.",
    "accountId": "A Zuora account id.",
    "proposal": "A proposal's id.",
    "letter": "A dead letter's id: topic/partition/offset.",
    "company": "An IFS company.",
    "matchOn": "What a product is matched on.",
    "matchValue": "What is matched; (none) for no tax code. A slash is written %2F.",
    "currency": "A code of ISO 4217.",
    "gateway": "Zuora's id of a payment gateway.",
}
REFUSALS = {
    400: "What is asked cannot be; `error` says what and why.",
    401: "Nobody known asks: a bearer token is needed, or a session.",
    403: "The role is too low, or a page of another site asks with a session.",
    404: "There is nothing of that name.",
    409: "It cannot be done with this as it stands; nothing was sent.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    429: "Too many failed attempts from this address.",
    503: "Kafka does not answer; nothing was sent, or `error` says how much.",
}
ALWAYS = (400, 401, 403, 429)
WITH_BODY = (413, 415)
_PART = re.compile(r"\{(\w+)\}")


async def get_openapi(request: web.Request) -> web.Response:
    """Answer `GET /api/openapi.json`: what the API can do, for programs that make clients of it."""
    return web.Response(body=_rendered(request.app[DESCRIBED]), content_type=JSON)


@lru_cache(maxsize=1)
def _rendered(operations: tuple[Operation, ...]) -> bytes:
    return describe(operations).model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True).encode()


def describe(operations: Sequence[Operation]) -> OpenAPI:
    """Return the document (OpenAPI 3.1) of operations."""
    answers: list[type[BaseModel]] = [Refusal, *(operation.answer for operation in operations)]
    answers += [operation.accepted for operation in operations if operation.accepted]
    modes: dict[tuple[type[BaseModel], JsonSchemaMode], None] = dict.fromkeys((one, "serialization") for one in answers)
    modes |= dict.fromkeys((operation.asks, "validation") for operation in operations)
    names, definitions = models_json_schema(list(modes), ref_template=REF)
    schemas: dict[str, Any] = definitions["$defs"]
    paths: dict[str, dict[str, DescribedOperation]] = {}
    for operation in operations:
        asked = names[operation.asks, "validation"]["$ref"]
        answered = names[operation.answer, "serialization"]["$ref"]
        described = _operation(operation, asked, answered, names[Refusal, "serialization"]["$ref"], schemas)
        if operation.accepted and described.responses is not None:
            accepted = names[operation.accepted, "serialization"]["$ref"]
            described.responses["202"] = _response("Proposed: it takes effect when another person approves.", accepted)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    queries = {names[one.asks, "validation"]["$ref"].rpartition("/")[2] for one in operations if not one.has_body}
    return OpenAPI(
        openapi="3.1.0",
        info=Info(
            title="zuora-ifs console",
            version=VERSION,
            description="Records, mappings and posting of the connector between Zuora and IFS Cloud."
            " Amounts are strings, times ISO 8601 in UTC. Every change records who did it, and why.",
        ),
        paths={path: PathItem(**methods) for path, methods in paths.items()},
        components=Components(
            schemas={name: Schema.model_validate(one) for name, one in schemas.items() if name not in queries},
            securitySchemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", description="A token of the console."),
                "session": SecurityScheme(
                    type="apiKey",
                    security_scheme_in="cookie",
                    name=SESSION_COOKIE,
                    description="Of people's pages; changes need `Origin` or `Sec-Fetch-Site` of the console itself.",
                ),
            },
        ),
        security=[{"bearer": []}, {"session": []}],
    )


def _operation(
    operation: Operation, asked: str, answered: str, refused: str, schemas: dict[str, Any]
) -> DescribedOperation:
    statuses = sorted({*ALWAYS, *operation.also, *(WITH_BODY if operation.has_body else ())})
    refusals = {str(status): _response(REFUSALS[status], refused) for status in statuses}
    query = [] if operation.has_body else _query(schemas[asked.rpartition("/")[2]])
    body = RequestBody(required=True, content={JSON: MediaType(media_type_schema=_reference(asked))})
    return DescribedOperation(
        operationId=_operation_id(operation),
        summary=operation.summary,
        description=f"Needs the role {operation.role.name.lower()}.",
        parameters=[*_path_parameters(operation.path), *query] or None,
        requestBody=body if operation.has_body else None,
        responses={"200": _response("Done.", answered), **refusals},
    )


def _operation_id(operation: Operation) -> str:
    """Return a name for clients: `get_records_by_id`."""
    words = _PART.sub(r"by_\1", operation.path.removeprefix("/api/"))
    return f"{operation.method.lower()}_{re.sub(r'[/-]', '_', words)}"


def _response(description: str, reference: str) -> Response:
    return Response(description=description, content={JSON: MediaType(media_type_schema=_reference(reference))})


def _reference(to: str) -> Reference:
    return Reference.model_validate({"$ref": to})


def _path_parameters(path: str) -> list[Parameter]:
    return [
        _parameter(
            name,
            "path",
            PATH_PARTS[name],
            Schema(type="string", enum=list(get_args(MatchOn)))
            if name == "matchOn"
            else Schema(type="string", minLength=1, maxLength=LONGEST_PART),
            required=True,
        )
        for name in _PART.findall(path)
    ]


def _query(schema: dict[str, Any]) -> list[Parameter]:
    required = schema.get("required", [])
    return [
        _parameter(
            name,
            "query",
            one.get("description"),
            Schema.model_validate(_without_null(one)),
            required=name in required,
        )
        for name, one in schema.get("properties", {}).items()
    ]


def _parameter(name: str, place: str, description: str | None, schema: Schema, *, required: bool) -> Parameter:
    return Parameter.model_validate(
        {"name": name, "in": place, "required": required, "description": description, "schema": schema}
    )


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a parameter is where it is given: a query has no null."""
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "title", "description")}
    variants = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    merged = kept | (variants[0] if len(variants) == 1 else {"anyOf": variants} if variants else {})
    return {name: value for name, value in merged.items() if not (name == "default" and value is None)}

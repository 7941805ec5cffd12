"""The OData answers of all projections: service document, metadata, sets, single entities, arrays, POST, `$batch`."""

import re
from xml.sax.saxutils import quoteattr

from aiohttp import web

from deploy.sandbox.exact import Json, json_response
from deploy.sandbox.ifs import assistant, queries
from deploy.sandbox.ifs.batch import post_batch
from deploy.sandbox.ifs.booking import post_voucher
from deploy.sandbox.ifs.entities import PROJECTIONS, EntitySet
from deploy.sandbox.ifs.errors import OdataError, not_found
from deploy.sandbox.ifs.state import SANDBOX, IfsSandbox

_EDM = {"text": "Edm.String", "number": "Edm.Decimal", "date": "Edm.Date", "boolean": "Edm.Boolean"}
_ALL = {**PROJECTIONS, assistant.PROJECTION: assistant.SETS}
_RESOURCE = re.compile(r"(?P<set>\w+)(?:\((?P<key>.*?)\))?(?:/(?P<array>\w+))?")
ROOT = "/{segment:main|int}/ifsapplications/projection/v1/{projection}.svc"


def routes() -> list[web.RouteDef]:
    """All routes of the projections, and discovery of the token endpoint."""
    return [
        web.get("/auth/realms/{realm}/.well-known/openid-configuration", discovery),
        web.get(f"{ROOT}/", service_document),
        web.get(f"{ROOT}/$metadata", metadata),
        web.post(f"{ROOT}/$batch", post_batch),
        web.get(ROOT + "/{resource:.+}", read),
        web.post(ROOT + "/{resource:.+}", write),
        web.patch(ROOT + "/{resource:.+}", change),
        web.route("*", ROOT + "/{resource:.+}", not_offered),
    ]


async def discovery(request: web.Request) -> web.Response:
    """Where tokens come from."""
    if request.match_info["realm"] != request.app[SANDBOX].settings.realm:
        return json_response({"error": "Realm does not exist"}, 404)
    issuer = f"http://{request.host}/auth/realms/{request.match_info['realm']}"
    return json_response(
        {
            "issuer": issuer,
            "token_endpoint": f"{issuer}/protocol/openid-connect/token",
            "grant_types_supported": ["client_credentials"],
        }
    )


def projection_of(request: web.Request) -> dict[str, EntitySet]:
    """The sets of the projection in the path."""
    name = request.match_info["projection"]
    if name not in _ALL:
        raise OdataError(404, "MI_METADATA_NOTFOUND", f"The projection {name} was not found.")
    return _ALL[name]


async def service_document(request: web.Request) -> web.Response:
    """Names of the sets."""
    sets = projection_of(request)
    return json_response({"value": [{"name": name, "kind": "EntitySet", "url": name} for name in sets]})


async def metadata(request: web.Request) -> web.Response:
    """The model as EDMX."""
    parts = []
    for entity_set in projection_of(request).values():
        for each in (entity_set, *entity_set.arrays.values()):
            fields = "".join(
                f"<Property Name={quoteattr(name)} Type={quoteattr(_EDM[kind])}/>" for name, kind in each.types.items()
            )
            keys = "".join(f"<PropertyRef Name={quoteattr(name)}/>" for name in each.keys)
            text = f"<EntityType Name={quoteattr(each.unit)}><Key>{keys}</Key>{fields}</EntityType>"
            if text not in parts:
                parts.append(text)
    sets = "".join(
        f"<EntitySet Name={quoteattr(name)} EntityType={quoteattr('IfsApp.' + each.unit)}/>"
        for name, each in projection_of(request).items()
    )
    schema = f'<Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="IfsApp">{"".join(parts)}'
    container = f'<EntityContainer Name="Container">{sets}</EntityContainer></Schema>'
    edmx = '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>'
    return web.Response(
        text=f"{edmx}{schema}{container}</edmx:DataServices></edmx:Edmx>", content_type="application/xml"
    )


async def read(request: web.Request) -> web.Response:
    """A set, an entity by its key, or an array of an entity."""
    sets = projection_of(request)
    raw_query = request.raw_path.partition("?")[2]
    body, tag = answer(request.app[SANDBOX], sets, request.match_info["resource"], raw_query)
    context = f"http://{request.host}{request.path.partition('.svc')[0]}.svc/$metadata#{request.match_info['resource'].partition('(')[0]}"
    headers = {"OData-Version": "4.0"} | ({"ETag": tag} if tag else {})
    return json_response({"@odata.context": context, **body}, headers=headers)


def answer(sandbox: IfsSandbox, sets: dict[str, EntitySet], resource: str, raw_query: str) -> tuple[Json, str | None]:
    """Body and tag of a read. The tag of the voucher set stands in the header and at the body's root."""
    query = queries.options(raw_query)
    match = _RESOURCE.fullmatch(resource)
    if match is None or match["set"] not in sets:
        raise not_found(resource)
    entity_set = sets[match["set"]]
    if match["key"] is None:
        if match["array"]:
            raise not_found(resource)
        condition = queries.condition_of(query, entity_set)
        body = queries.listing(sandbox, entity_set, query, condition)
        if entity_set.unit != "Voucher":
            return body, None
        tag = sandbox.ledger.set_tag(queries.tag_company(sandbox.settings, condition))
        return {"@odata.etag": tag, **body}, tag
    keys = queries.key_values(match["key"], entity_set)
    narrowed: dict[str, frozenset[object]] = {name: frozenset([value]) for name, value in keys.items()}
    found = [
        row
        for row in entity_set.source(sandbox, narrowed)
        if all(row.get(name) == value for name, value in keys.items())
    ]
    if not found:
        raise not_found(resource)
    if match["array"] is None:
        return queries.select(found[0], query, entity_set), str(found[0]["@odata.etag"])
    if match["array"] not in entity_set.arrays:
        raise not_found(resource)
    array = entity_set.arrays[match["array"]]
    return queries.listing(sandbox, array, query, queries.condition_of(query, array), within=keys), None


async def write(request: web.Request) -> web.StreamResponse:
    """A POST: the voucher set of VoucherHandling takes one, and the entry assistant."""
    projection_of(request)
    if request.match_info["projection"] == assistant.PROJECTION:
        return await assistant.write(request.app[SANDBOX], request)
    if (request.match_info["projection"], request.match_info["resource"]) != ("VoucherHandling", "VoucherSet"):
        raise OdataError(500, "ODP_ILLEGAL_STATE", "The operation is not offered here.")
    return await post_voucher(request.app[SANDBOX], request)


async def change(request: web.Request) -> web.StreamResponse:
    """A PATCH: only drafts of the entry assistant take one."""
    projection_of(request)
    if request.match_info["projection"] != assistant.PROJECTION:
        return await not_offered(request)
    return await assistant.change(request.app[SANDBOX], request)


async def not_offered(request: web.Request) -> web.Response:
    """PUT and DELETE, and other PATCHes, are not part of what the sandbox plays."""
    raise OdataError(405, "ODP_ILLEGAL_STATE", f"{request.method} is not offered here.")

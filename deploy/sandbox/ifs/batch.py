"""`$batch` (to come): refused as not implemented until then."""

from aiohttp import web

from deploy.sandbox.ifs.errors import OdataError


async def post_batch(request: web.Request) -> web.StreamResponse:
    """Refuse."""
    raise OdataError(501, "ODP_NOT_IMPLEMENTED", f"{request.path} is not offered")

"""What a caller is told whose bytes are not HTTP, or whose request met a fault: a status and its name.

aiohttp's own answer repeats the line that it could not read, its log too, with a traceback: a header with one wrong
byte can hold a password, and anyone may send as many of them as he likes.
"""

from http import HTTPStatus

from aiohttp import web


class _PlainHandler(web.RequestHandler):
    """One connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer and log in our own words; `message` is aiohttp's, with the caller's bytes in it."""
        del message
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log_exception("a request from %s met a fault", request.remote, exc_info=exc)
        else:
            self.logger.info("a request from %s is not HTTP: %s", request.remote, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, so there is no place for another")
        response = web.json_response({"success": False, "error": HTTPStatus(status).phrase}, status=status)
        response.force_close()
        return response


class _PlainServer(web.Server):
    """Makes such connections."""

    def __call__(self) -> web.RequestHandler:
        """Return the handler of a new connection."""
        return _PlainHandler(self, loop=self._loop, **self._kwargs)


class PlainRunner(web.AppRunner):
    """An application's runner whose connections answer errors in our own words."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        loop, options = made._loop, made._kwargs  # noqa: SLF001 - there is no other way to a handler of one's own
        return _PlainServer(made.request_handler, request_factory=made.request_factory, loop=loop, **options)

"""A far side that answers with whatever bytes a test wants: over real TCP, below HTTP."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Send = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Writes an answer in its own time; the connection is closed when it returns."""


@dataclass(frozen=True)
class Request:
    """What came in: the first line, headers by their names in lower case, the body."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HostileServer:
    """Answers token requests well and all else with `answer`, unless a test says otherwise."""

    url: str = ""
    answer: bytes | Send = b""
    token_answer: bytes | Send = b""
    requests: list[Request] = field(default_factory=list)
    handling: set[asyncio.Task[None]] = field(default_factory=set)
    sent_bytes: int = 0
    """Of answers that are written piece by piece (`pour`): how much the other side took."""

    @property
    def tokens(self) -> list[Request]:
        """Requests for tokens."""
        return [request for request in self.requests if _asks_for_token(request)]

    @property
    def others(self) -> list[Request]:
        """Requests for anything else."""
        return [request for request in self.requests if not _asks_for_token(request)]

    def pour(self, head: bytes, piece: bytes, most_bytes: int = 1 << 40) -> Send:
        """Return an answer of `head` and then `piece` again and again, until it is `most_bytes` or nobody listens."""

        async def send(writer: asyncio.StreamWriter) -> None:
            writer.write(head)
            while self.sent_bytes < most_bytes:
                writer.write(piece)
                await writer.drain()
                self.sent_bytes += len(piece)

        return send

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        if (task := asyncio.current_task()) is not None:
            self.handling.add(task)
            task.add_done_callback(self.handling.discard)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _read(reader)
        self.requests.append(request)
        answer = self.token_answer if _asks_for_token(request) else self.answer
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(writer)


def _asks_for_token(request: Request) -> bool:
    return request.target.endswith("/token")


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.splitlines()
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = first.split(" ", 2)
    return Request(method, target, headers, body)


def http(body: bytes | object = b"", status: int = 200, **headers: str) -> bytes:
    """Return a whole answer; what is not bytes becomes JSON. `content_length` may lie, "" leaves it out."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Content-Type": "application/json", "Content-Length": str(len(content)), "Connection": "close"}
    told |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items() if value)
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + content


def gzipped(body: bytes) -> bytes:
    """Return an answer packed with gzip."""
    return http(gzip.compress(body), content_encoding="gzip")


TOKEN = http({"access_token": "planted-token", "expires_in": 3600})


@asynccontextmanager
async def hostile_server(answer: bytes | Send = b"") -> AsyncIterator[HostileServer]:
    """Run a server on a free port for as long as the context is open."""
    server = HostileServer(answer=answer, token_answer=TOKEN)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in server.handling:
            task.cancel()
        await asyncio.gather(*server.handling, return_exceptions=True)

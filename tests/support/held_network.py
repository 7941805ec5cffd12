"""A network between a client and a broker that can stand still: what was sent arrives later, as it was sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PRODUCE = (0).to_bytes(2, "big")
"""Kafka's number for a request that appends records; a request begins with its size, in four bytes, and that."""


class HeldNetwork:
    """Forwards whole requests to the broker, and answers as they come; `hold_at` a request all stand still."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._word: bytes | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self.holds = asyncio.Event()
        """Set once the request has come, which is not forwarded; nothing else is either, from then on."""
        self._pumps: set[asyncio.Task[None]] = set()

    def hold_at(self, word: bytes) -> None:
        """Stand still at the first request to append records that has this word in it."""
        self._word = word

    def release(self) -> None:
        """Let everything arrive that was held, also where whoever sent it has gone."""
        self._word = None
        self._flows.set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        broker_reader, broker_writer = await asyncio.open_connection(*self._target)
        for pump in (self._requests(reader, broker_writer), _answers(broker_reader, writer)):
            task = asyncio.create_task(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = await reader.readexactly(4)
                request = await reader.readexactly(int.from_bytes(size, "big"))
                if self._word is not None and request.startswith(PRODUCE) and self._word in request:
                    self._flows.clear()
                    self.holds.set()
                await self._flows.wait()
                writer.write(size + request)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def end(self) -> None:
        """End all connections."""
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while some := await reader.read(65_536):
            writer.write(some)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def held_network(port: int, target_port: int) -> AsyncIterator[HeldNetwork]:
    """Listen on a port of this machine for what is meant for another."""
    network = HeldNetwork("127.0.0.1", target_port)
    server = await asyncio.start_server(network.connect, "127.0.0.1", port)
    try:
        yield network
    finally:
        server.close()
        await network.end()

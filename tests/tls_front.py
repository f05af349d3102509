"""TLS in front of a server that has none of its own, as stunnel puts it there; it asks for a client's certificate."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

from certificates import Certificates


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def tls_front(port: int, certificates: Certificates) -> AsyncIterator[int]:
    """Serve what listens at `port` over TLS; gives the port of that."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificates.server, certificates.server_key)
    pumps: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        for ends in ((reader, inner_writer), (inner_reader, writer)):
            pumps.add(task := asyncio.create_task(_pump(*ends)))
            task.add_done_callback(pumps.discard)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

"""In development: tells the sandbox with each call of the Bot API what it belongs to."""

from types import SimpleNamespace

from aiohttp import ClientSession, TraceConfig, TraceRequestStartParams

from shared import trace

HEADER = "X-Trace"


def telling_trace() -> TraceConfig:
    """Return what puts the correlation id of the running task into a header of each request.

    Telegram gets no such header: only a worker that is told of a sandbox uses this.
    """
    config = TraceConfig()
    config.on_request_start.append(_tell)
    config.freeze()
    return config


async def _tell(_client: ClientSession, _context: SimpleNamespace, request: TraceRequestStartParams) -> None:
    if now := trace.current():
        request.headers[HEADER] = now

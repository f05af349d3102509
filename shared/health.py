"""What every process answers to `/healthz`, `/readyz` and `/metrics`, whatever serves it."""

from dataclasses import dataclass

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.lifecycle import Process

PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response in parts."""

    status: int
    content_type: str
    body: bytes


def answer(process: Process, path: str) -> Answer | None:
    """Return the answer to one of `PATHS`, or None for any other path.

    `/healthz` is 200 while the event loop runs; `/readyz` is 503 with the reasons while the process should get no
    traffic; `/metrics` is Prometheus text.
    """
    match path:
        case "/healthz":
            return _json(200, {"status": "ok", "kind": process.kind})
        case "/readyz":
            troubles = process.troubles()
            status = "not ready" if troubles else "ready"
            return _json(503 if troubles else 200, {"status": status, "kind": process.kind, "troubles": troubles})
        case "/metrics":
            return Answer(200, CONTENT_TYPE_LATEST, generate_latest() + generate_latest(process.registry))
    return None


def _json(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, "application/json", orjson.dumps(body) + b"\n")

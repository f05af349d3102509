"""`python -m ws_server`: one WebSocket node."""

import sys
from collections.abc import Sequence

from shared import entry
from ws_server.server import serve


def main(argv: Sequence[str] | None = None) -> int:
    """Run a node to its end and return the exit code."""
    return entry.main("ws", serve, argv)


if __name__ == "__main__":
    sys.exit(main())

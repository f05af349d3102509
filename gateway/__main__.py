"""`python -m gateway`: the HTTP edge."""

import sys
from collections.abc import Sequence

from gateway.server import serve
from shared import entry


def main(argv: Sequence[str] | None = None) -> int:
    """Run a gateway to its end and return the exit code."""
    return entry.main("gateway", serve, argv)


if __name__ == "__main__":
    sys.exit(main())

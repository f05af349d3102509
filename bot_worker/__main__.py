"""`python -m bot_worker`: one bot worker."""

import sys
from collections.abc import Sequence

from bot_worker.worker import serve
from shared import entry


def main(argv: Sequence[str] | None = None) -> int:
    """Run a bot worker to its end and return the exit code."""
    return entry.main("bot", serve, argv)


if __name__ == "__main__":
    sys.exit(main())

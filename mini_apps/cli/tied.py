"""How a child of `dev` ends with it, even when that was killed: it watches the pipe both hold."""

import os
import sys
import threading


def end_with_parent() -> None:
    """End this process at once when standard input ends, which the parent's death brings about on any system."""
    threading.Thread(target=_watch, name="tied", daemon=True).start()


def _watch() -> None:
    while os.read(
        sys.stdin.fileno(), 1024
    ):  # nobody writes; not through `sys.stdin`, whose lock would hold up the exit
        pass
    os._exit(1)

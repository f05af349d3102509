"""The embedded Valkey as a child of `dev`: a process that holds the server and ends with the runner."""

import os
import signal
import sys
import threading
from pathlib import Path

from mini_apps.embedded import EmbeddedValkey, NoServer

LOOK_SECONDS = 0.5


def hold(port: int, folder: Path) -> int:
    """Run a server until a signal, the end of standard input, or its own end.

    Args:
        port: where it listens at 127.0.0.1.
        folder: where it keeps its append-only file, so that a server that died comes back with everything.

    Returns:
        The exit code.
    """
    stopping = threading.Event()
    threading.Thread(target=_wait_for_end_of_input, args=(stopping,), daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    server = EmbeddedValkey(folder, port=port, durable=True)
    try:
        server.start()
    except NoServer as error:
        print(error, file=sys.stderr)
        return 1
    try:
        while not stopping.wait(LOOK_SECONDS):
            if server.process is None or server.process.poll() is not None:
                print("Valkey ended by itself; its log is", folder / "valkey.log", file=sys.stderr)
                return 1
    finally:
        server.stop()
    return 0


def _wait_for_end_of_input(stopping: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stopping.set()

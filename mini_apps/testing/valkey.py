"""The Valkey of all tests of one interpreter: started at first use, stopped at the interpreter's end at the latest."""

import atexit
import shutil
import tempfile
from pathlib import Path

from mini_apps.embedded import EmbeddedValkey

_running: EmbeddedValkey | None = None


def shared_valkey() -> EmbeddedValkey:
    """Return the server that all tests of this interpreter share, started if it does not run.

    Raises:
        NoServer: there is none on this machine; the text says how to get one.
    """
    global _running  # noqa: PLW0603 - one server for the interpreter is the point
    if _running is None or _running.process is None or _running.process.poll() is not None:
        stop_shared_valkey()
        _running = EmbeddedValkey(Path(tempfile.mkdtemp(prefix="mini-apps-test-"))).start()
    return _running


@atexit.register
def stop_shared_valkey() -> None:
    """Stop it, where it runs, and remove its files."""
    global _running
    if _running is not None:
        running, _running = _running, None
        running.stop()
        shutil.rmtree(running.folder, ignore_errors=True)

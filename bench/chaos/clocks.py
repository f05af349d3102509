"""Wall clocks that can be set, one for each process: by libfaketime, which a process loads before it starts."""

from pathlib import Path

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def why_not() -> str:
    """Say why no clock can be set here, empty where one can."""
    return "" if LIBRARIES else "needs libfaketime (the package faketime of Debian)"


class Clock:
    """The wall clock of one process; its monotonic clock goes on.

    Args:
        file: which the process reads again each second.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Set it so many seconds before or behind the time."""
        self._file.write_text(f"{seconds:+d}\n")

    def environ(self) -> dict[str, str]:
        """Return what a process needs in its environment to live by this clock."""
        if not LIBRARIES:
            return {}
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

"""The run of the pixel board in small: everybody paints at once, and everybody ends at the board that Redis has."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from bench.pixels.run import Size, exact, run
from mini_apps.embedded import EmbeddedValkey

SMALL = Size(clients=120, each=5, rate=5.0)


def test_all_who_paint_at_once_end_at_the_same_board(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    if not sys.platform.startswith("linux") or not (shutil.which("gcc") or shutil.which("cc")):
        reason = "the clients are a C program for Linux, and there is no compiler: apt-get install gcc libc6-dev"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    found = run(SMALL, tmp_path, valkey.url, prefix=prefix)
    assert exact(found), found
    assert found["painted"] == SMALL.clients * SMALL.each
    assert found["pixels"] == found["painted"] * SMALL.clients  # each client saw each pixel once
    assert found["batches"] == found["version"] * SMALL.clients
    assert found["version"] < found["painted"] / 3  # many pixels to a frame

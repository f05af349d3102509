"""A process of a starter is what `python -m` would have made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import forking

COMMAND = [sys.executable, "-P", "-m", "mini_apps"]


@pytest.mark.parametrize(
    ("words", "code"),
    [(["version"], 0), (["init-data", "check", "-"], 2), (["nothing"], 2), (["check", "--settings", "x y"], 2)],
)
def test_output_and_exit_code_are_the_same(words: list[str], code: int, tmp_path: Path) -> None:
    env = {**os.environ, "COLUMNS": "90"}
    forked, plain = (
        _end(kind([*COMMAND, *words], cwd=tmp_path, env=env, stdin=-1, stdout=-1, stderr=-1, text=True))
        for kind in (forking.Forked, forking.plain)
    )
    assert forked == plain
    assert forked[0] == code


def test_it_is_a_child_of_ours_that_a_signal_ends(tmp_path: Path) -> None:
    process = forking.Forked(
        [*COMMAND, "sandbox", "--port", "0"], cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL
    )
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    assert int(status["PPid"]) == os.getpid()
    process.kill()
    assert process.wait(60) == -9


def _end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate("", timeout=120)
    return process.returncode, out, err

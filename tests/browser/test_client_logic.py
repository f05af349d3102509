"""The browser client's own tests, which are JavaScript: run by the node that Playwright brings along."""

import subprocess
from pathlib import Path

import playwright
from deployment import ROOT

NODE = Path(playwright.__file__).parent / "driver" / "node"


def test_the_clients_own_tests_pass() -> None:
    files = sorted(map(str, ROOT.glob("client/test/*.test.js")))
    assert files
    result = subprocess.run([NODE, "--test", *files], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr

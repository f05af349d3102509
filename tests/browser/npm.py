"""The client as an npm package, with the frameworks and tools that some of its tests need."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from deployment import ROOT

CLIENT = ROOT / "client"
SECONDS = 240


def installed_client(folder: Path) -> Path:
    """Copy the client into a folder and install what it names as `devDependencies`; skips the test where that fails."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("there is no npm: the tests with React, Vue and TypeScript need it")
    client = folder / "client"
    shutil.copytree(CLIENT, client, ignore=shutil.ignore_patterns("node_modules"))
    quietly = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error")
    result = run_npm(client, "install", *quietly)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"npm could not install React, Vue and TypeScript: {reason}")
    return client


def run_npm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one npm command to its end."""
    env = {**os.environ, "npm_config_update_notifier": "false"}
    command = ["npm", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)

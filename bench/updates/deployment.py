"""The settings of a proof run."""

import json
from pathlib import Path
from typing import Literal

from shared.settings import Settings, load

TOKEN = "42:sandbox-proof"
LANES = 16

Mode = Literal["polling", "webhook"]


def write_settings(folder: Path, mode: Mode, sandbox: str, redis: str, gateway: int) -> Settings:
    """Write the settings file all processes read, and read it.

    Args:
        folder: where it goes, and the diaries.
        mode: how updates come in.
        sandbox: address of the local Telegram.
        redis: address of the broker.
        gateway: port of the gateway.
    """
    content = {
        "log": {"level": "info", "format": "json"},
        "redis": {"url": redis},
        "database": {"url": f"sqlite+aiosqlite:///{folder}/proof.sqlite"},
        "telegram": {"api-server": sandbox, "ingest": mode},
        "gateway": {"port": gateway, "public-url": f"http://127.0.0.1:{gateway}"},
        "bot": {"port": 0, "lanes": LANES},
        "apps": {
            "proof": {"class": "bench.updates.app:Diary", "bot-token": TOKEN, "diary": str(folder / "diary")},
        },
    }
    path = folder / "settings.json"
    path.write_text(json.dumps(content))
    return load(path, {})

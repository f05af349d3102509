"""A running gateway follows its settings file: apps come, go and get new secrets; a mistake changes nothing."""

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway_support import answers, settings_of, started
from mini_apps.embedded import EmbeddedValkey, free_port
from support import TOKEN, eventually

NEW_TOKEN = "42:another-secret"
COUNTER = f"""
[apps.counter]
bot-token = "{TOKEN}"
pages = "pages"
"""
SECOND = """
[apps.second]
pages = "pages"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mini-apps.toml").write_text(COUNTER)
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.html").write_text("hello")
    return tmp_path


@pytest.fixture
async def url(valkey: EmbeddedValkey, prefix: str, folder: Path) -> AsyncIterator[str]:
    port = free_port()
    with started(folder, valkey.url, prefix, "--port", str(port)) as child:
        await answers(f"http://127.0.0.1:{port}/readyz")
        (folder / "pid").write_text(str(child.pid))
        yield f"http://127.0.0.1:{port}"


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def said(folder: Path, text: str) -> list[dict[str, Any]]:
    return [line for line in lines(folder) if text in line["event"]]


async def post(url: str, path: str, secret: str) -> int:
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
    body = json.dumps({"update_id": int.from_bytes(os.urandom(4))})
    async with aiohttp.ClientSession() as session, session.post(url + path, data=body, headers=headers) as answer:
        return answer.status


async def test_an_app_comes_and_goes_by_the_file(folder: Path, url: str) -> None:
    await answers(f"{url}/apps/second/", 404)
    (folder / "mini-apps.toml").write_text(COUNTER + SECOND)
    await answers(f"{url}/apps/second/")
    await answers(f"{url}/apps/second/settings.json")
    (folder / "mini-apps.toml").write_text(COUNTER + SECOND + "enabled = false\n")
    await answers(f"{url}/apps/second/", 404)
    await answers(f"{url}/negotiate?app=second", 404)
    await answers(f"{url}/apps/counter/")
    changes = [(line["added"], line["removed"]) for line in said(folder, "the apps were changed")]
    assert changes == [(["second"], []), ([], ["second"])]


async def test_a_new_token_changes_the_webhook(valkey: EmbeddedValkey, prefix: str, folder: Path, url: str) -> None:
    old = settings_of(folder, valkey.url, prefix, text=COUNTER).apps["counter"]
    path, secret = f"/webhook/{old.webhook_path()}", old.effective_webhook_secret() or ""
    assert await post(url, path, secret) == 200
    new = settings_of(folder, valkey.url, prefix, text=COUNTER.replace(TOKEN, NEW_TOKEN)).apps["counter"]
    new_path, new_secret = f"/webhook/{new.webhook_path()}", new.effective_webhook_secret() or ""

    async def taken() -> bool:
        return await post(url, new_path, new_secret) == 200

    await eventually(taken, what="the webhook of the new token")
    assert await post(url, path, secret) == 404
    [line] = said(folder, "the apps were changed")
    assert line["changed"] == {"counter": ["bot_token"]}
    text = (folder / "log").read_text()
    assert not [hidden for hidden in (NEW_TOKEN, new_secret, new.webhook_path()) if hidden in text]


async def test_mistakes_are_a_line_each_and_change_nothing(folder: Path, url: str) -> None:
    (folder / "mini-apps.toml").write_text(COUNTER.replace("bot-token", "bot-tokn") + SECOND + "enabled = 7\n")
    [line] = await eventually(lambda: said(folder, "the apps stay as they were"))
    assert line["mistakes"] == 2
    assert said(folder, "apps.counter.bot-tokn")
    assert said(folder, "apps.second.enabled")
    await answers(f"{url}/apps/counter/")
    await answers(f"{url}/apps/second/", 404)
    (folder / "mini-apps.toml").unlink()
    await eventually(lambda: said(folder, "cannot be read"))
    await answers(f"{url}/apps/counter/")
    (folder / "mini-apps.toml").write_text(COUNTER + SECOND)
    await answers(f"{url}/apps/second/")


async def test_what_needs_a_restart_is_said_and_left_alone(folder: Path, url: str) -> None:
    (folder / "mini-apps.toml").write_text('[telegram]\ningest = "webhook"\n' + COUNTER + SECOND)
    await answers(f"{url}/apps/second/")
    [line] = said(folder, "needs a restart")
    assert line["setting"] == "telegram.ingest"
    [line] = said(folder, "the apps were changed")
    assert line["changed"] == {}  # though apps inherit it


async def test_a_signal_reads_at_once(folder: Path, url: str) -> None:
    file = folder / "mini-apps.toml"
    before = file.stat()
    text = COUNTER.replace('pages = "pages"', 'pages = "other"')
    assert len(text) == before.st_size
    with file.open("r+") as opened:  # to the eye the same file, so only the signal can tell
        opened.write(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.kill(int((folder / "pid").read_text()), signal.SIGHUP)
    await answers(f"{url}/apps/counter/", 404)
    assert said(folder, "the folder of an app's pages does not exist")

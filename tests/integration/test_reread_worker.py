"""A running bot worker follows its settings file: each bot comes, goes and starts anew on its own."""

import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app_mesh import bound, open_mesh
from bot_rig import TOKEN, Rig, rig
from mini_apps import App
from mini_apps.bot_status import BotStatus, read_status
from shared.broker import Broker
from support import eventually

OTHER = "43:sandbox-other"


def app(token: str = TOKEN, **more: Any) -> dict[str, Any]:
    return {"class": "reread_app:Looking", "bot-token": token, **more}


@pytest.fixture
async def deployment(broker: Broker, tmp_path: Any) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        made.apps = {"bot": app()}
        yield made


def said(deployment: Rig, text: str) -> list[dict[str, Any]]:
    text_of_log = (deployment.path / "worker-0.log").read_text()
    lines = [json.loads(line) for line in text_of_log.splitlines() if line.startswith("{")]
    return [line for line in lines if text in line["event"]]


async def changed(deployment: Rig, number: int = 1) -> dict[str, Any]:
    """Write the settings, wait until they were taken over so many times, and return what the log says of the last."""
    deployment.settings()
    await eventually(lambda: len(said(deployment, "the apps were changed")) >= number, what="the new settings")
    return said(deployment, "the apps were changed")[-1]


async def answered(deployment: Rig, answer: str, bot: str = "bot") -> None:
    async def there() -> bool:
        return answer in await deployment.answers(bot=bot)

    await eventually(there, what=f"the answer {answer!r}")


async def ticked(deployment: Rig, greeting: str) -> bool:
    return greeting in await deployment.listed("ticks")


async def running(deployment: Rig, name: str) -> None:
    await eventually(lambda: deployment.runs(name), seconds=300, what=f"{name} to run")


async def test_a_bot_comes_and_goes_and_the_other_takes_no_notice(deployment: Rig) -> None:
    worker = deployment.start_worker()
    await running(deployment, "bot")
    since = (await deployment.status())["since"]
    deployment.apps["other"] = app(OTHER, greeting="hi")
    assert (await changed(deployment))["added"] == ["other"]
    await running(deployment, "other")
    await deployment.say("you", bot="other")
    await answered(deployment, "hi, you", "other")
    await eventually(lambda: deployment.listed("ticks", "other"))

    await deployment.say("wait", bot="other")
    await eventually(lambda: deployment.listed("begun", "other"))
    deployment.apps["other"]["enabled"] = False
    assert (await changed(deployment, 2))["removed"] == ["other"]
    await answered(deployment, "hi, wait", "other")  # the hook that ran was let finish
    broker = deployment.broker
    assert await read_status(broker.client, broker.keys, "other") is BotStatus.Offline
    base = broker.keys.app("other").base
    assert [key async for key in broker.client.scan_iter(f"{base}*lease")] == []

    await deployment.say("still here")
    await answered(deployment, "hello, still here")
    assert (await deployment.status())["since"] == since
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0


async def test_another_token_and_other_settings_start_that_bot_anew(deployment: Rig) -> None:
    deployment.apps = {"bot": app("42:wrong"), "other": app(OTHER)}
    deployment.start_worker()
    await running(deployment, "other")

    async def crashed() -> bool:
        return (await deployment.status())["status"] == "crashed"

    await eventually(crashed)
    since = (await deployment.status("other"))["since"]
    deployment.apps["bot"] = app()
    assert (await changed(deployment))["changed"] == {"bot": ["bot_token"]}
    await running(deployment, "bot")
    await deployment.say("you")
    await answered(deployment, "hello, you")
    deployment.apps["bot"] = app(greeting="hi")
    assert (await changed(deployment, 2))["changed"] == {"bot": ["greeting"]}
    await deployment.say("again")
    await answered(deployment, "hi, again")
    await eventually(lambda: ticked(deployment, "hi"), what="the server tasks of the new app")
    assert (await deployment.status("other"))["since"] == since
    text = (deployment.path / "worker-0.log").read_text()
    assert "42:wrong" not in text
    assert TOKEN not in text


async def test_calls_of_other_processes_are_made_after_the_bot_started_anew(deployment: Rig) -> None:
    deployment.start_worker()
    await running(deployment, "bot")
    await deployment.say("you")
    await answered(deployment, "hello, you")
    async with open_mesh(deployment.settings(), "ws-1") as mesh:
        page = await bound(App, mesh, "bot")
        await page.telegram.send_message(1001, "before")
        deployment.apps["bot"] = app(greeting="hi")
        await changed(deployment)
        await page.telegram.send_message(1001, "after")
    assert (await deployment.answers())[-2:] == ["before", "after"]


async def test_a_ban_holds_without_a_new_start(deployment: Rig) -> None:
    deployment.start_worker()
    await running(deployment, "bot")
    since = (await deployment.status())["since"]
    deployment.apps["bot"] = app(banned=[1001])
    await changed(deployment)
    await deployment.say("banned")
    await deployment.say("free", user=1002)
    await eventually(lambda: deployment.listed("done"))
    deployment.apps["bot"] = app()
    await changed(deployment, 2)
    await deployment.say("back")
    await answered(deployment, "hello, back")
    assert await deployment.listed("done") == ["hello:free", "hello:back"]
    assert (await deployment.status())["since"] == since


async def test_what_cannot_run_changes_nothing(deployment: Rig) -> None:
    deployment.start_worker()
    await running(deployment, "bot")
    deployment.apps = {"bot": app(greeting="never"), "other": app(OTHER, **{"class": "reread_app:Nothing"})}
    deployment.settings()
    [line] = await eventually(lambda: said(deployment, "the apps stay as they were"))
    assert line["mistakes"] == 1
    assert said(deployment, "apps.other.class: the module reread_app has no Nothing; it has Looking")
    await deployment.say("you")
    await answered(deployment, "hello, you")

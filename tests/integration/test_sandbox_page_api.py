"""The page API: launches that validate, live events, and who is kept out."""

import asyncio
import signal
import sys
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from sandbox_desk import ADA, APP_URL, BEN, TOKEN, desk
from shared.init_data import InitDataError, validate, validate_signature, webapp_key
from support import eventually


async def launched(running, user=ADA, **fields):
    url = (await running.act(user, "launch", **fields))["url"]
    parts = urlsplit(url)
    return parts, {name: values[0] for name, values in parse_qs(parts.fragment, keep_blank_values=True).items()}


async def test_launch_is_signed_for_the_bot():
    async with desk() as running:
        parts, fields = await launched(running)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == APP_URL
        assert set(fields) == {
            "tgWebAppData", "tgWebAppVersion", "tgWebAppPlatform", "tgWebAppBotInline", "tgWebAppThemeParams",
        }  # fmt: skip
        data = validate(fields["tgWebAppData"], webapp_key(TOKEN))
        assert (data.telegram_id, data.user["first_name"]) == (ADA, "Ada")
        assert "allows_write_to_pm" not in data.user, "Ada has not started the bot"
        assert data.query_id
        async with running.http.get(f"{running.base}/sandbox/api/state") as response:
            public_key = bytes.fromhex((await response.json())["public_key"])
        assert validate_signature(fields["tgWebAppData"], 42, public_key=public_key).telegram_id == ADA
        with pytest.raises(InitDataError):
            validate(fields["tgWebAppData"], webapp_key("43:sandbox-other"))


async def test_launch_by_direct_link():
    async with desk() as running:
        await running.act(ADA, "messages", text="/start")
        parts, fields = await launched(running, start_param="room_7", theme="dark")
        data = validate(fields["tgWebAppData"], webapp_key(TOKEN))
        assert (data.start_param, data.chat_type, data.query_id) == ("room_7", "private", None)
        assert data.user["allows_write_to_pm"] is True
        assert parse_qs(parts.query) == {"tgWebAppStartParam": ["room_7"]}
        assert '"bg_color":"#1c242e"' in fields["tgWebAppThemeParams"]
        _, shared_by_ada = await launched(running, start_param="x", chat_instance="123")
        _, shared_by_ben = await launched(running, BEN, start_param="x", chat_instance="123")
        for fields in (shared_by_ada, shared_by_ben):
            assert validate(fields["tgWebAppData"], webapp_key(TOKEN)).chat_instance == "123"


async def test_launch_from_a_keyboard_button_has_no_init_data():
    async with desk() as running:
        _, fields = await launched(running, source="keyboard_button")
        assert fields["tgWebAppData"] == ""


async def test_launch_refusals():
    async with desk() as running:
        answer = await running.act(ADA, "launch", expect=400, url="https://evil.example/")
        assert "http://127.0.0.1:8080" in answer["error"]
        assert "url" in (await running.act(ADA, "launch", bot="other", expect=404))["error"]
        assert "source" in (await running.act(ADA, "launch", expect=400, source="nowhere"))["error"]
        assert "user" in (await running.act(7, "launch", expect=404))["error"]
        assert "no bot" in (await running.act(ADA, "launch", bot="none", expect=404))["error"]
        await running.act(ADA, "messages", expect=400, text="  ")
        await running.act(ADA, "messages", expect=400, text=7)


async def test_add_a_user_with_html_in_the_name():
    name = "<img src=x onerror=alert(1)>"
    async with desk() as running, running.bot() as bot, running.events() as events:
        async with running.http.post(f"{running.base}/sandbox/api/users", json={"first_name": name}) as response:
            user = await response.json()
        assert (user["id"], user["first_name"]) == (1003, name)
        assert await anext(events) == ("user", {"user": user})
        await running.act(1003, "messages", text="hi")
        (update,) = await bot.get_updates()
        assert update.message.from_user.first_name == name


async def test_events_tell_what_happens_in_order():
    async with desk() as running, running.bot() as bot, running.events() as events:
        await running.act(ADA, "messages", text="/start")
        message = await bot.send_message(ADA, "one")
        await bot.edit_message_text("two", chat_id=ADA, message_id=message.message_id)
        await bot.delete_message(ADA, message.message_id)
        got = [await anext(events) for _ in range(5)]
        assert [kind for kind, _ in got] == ["chat", "message", "message", "edited", "deleted"]
        assert got[1][1]["message"]["entities"][0]["type"] == "bot_command"
        assert got[4][1] == {"bot": 42, "chat": ADA, "message_id": message.message_id}


async def test_a_full_queue_is_told_to_the_user():
    async with desk() as running:
        running.runtime.world.bots[42].queue._bound = 1
        await running.act(ADA, "messages", text="x")
        answer = await running.act(ADA, "messages", expect=503, text="y")
        assert "nobody fetches them" in answer["error"]
        assert [message["text"] for message in (await running.chat(ADA))["messages"]] == ["x"]


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({"Host": "evil.example"}, "/sandbox/"),
        ({"Host": "evil.example:8083"}, f"/bot{TOKEN}/getMe"),
        ({"Origin": "https://evil.example"}, f"/bot{TOKEN}/getMe"),
        ({"Origin": "null"}, "/sandbox/api/state"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, f"/bot{TOKEN}/sendMessage"),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, "/sandbox/api/state"),
    ],
)
async def test_other_sites_are_kept_out(headers, path):
    async with desk() as running, running.http.get(running.base + path, headers=headers) as response:
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_posts_must_be_json():
    async with desk() as running:
        path = f"{running.base}/sandbox/api/bots/counter/users/{ADA}/messages"
        async with running.http.post(path, data='{"text":"x"}', headers={"Content-Type": "text/plain"}) as response:
            assert response.status == 415


async def test_the_page_loads_nothing_from_outside():
    async with desk() as running:
        async with running.http.get(f"{running.base}/?bot=counter", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (302, "/sandbox/?bot=counter")
        async with running.http.get(f"{running.base}/sandbox/") as response:
            policy = response.headers["Content-Security-Policy"]
            assert "http" not in (await response.text()).replace("http-equiv", "")
        assert "default-src 'none'" in policy
        assert "frame-src http://127.0.0.1:8080;" in policy
        async with running.http.get(f"{running.base}/sandbox/page/main.js") as response:
            assert response.status == 200
            assert response.content_type.endswith("/javascript")


async def start_process(*arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", *arguments, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


async def stopped(process):
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_the_process_serves_and_stops_cleanly_with_pages_and_polls_open(unused_tcp_port):
    port = unused_tcp_port
    process = await start_process("--port", str(port), "--app", f"counter={TOKEN},{APP_URL}")
    try:
        async with aiohttp.ClientSession() as http:
            await eventually(lambda: _healthy(http, port), what="readiness")
            base = f"http://127.0.0.1:{port}"
            async with http.get(f"{base}/sandbox/api/events") as events:
                await events.content.readline()
                poll = asyncio.create_task(_poll(http, base))
                async with http.post(f"{base}/bot{TOKEN}/noSuchMethod") as response:
                    assert response.status == 404
                process.send_signal(signal.SIGTERM)
                out, log = await asyncio.wait_for(process.communicate(), 60)
                await asyncio.gather(poll, return_exceptions=True)
        assert (process.returncode, out) == (0, b"")
        assert b"listening" in log
        assert TOKEN.encode() not in log
    finally:
        await stopped(process)


async def _poll(http, base):
    async with http.get(f"{base}/bot{TOKEN}/getUpdates", params={"timeout": "50"}) as response:
        return await response.json()


async def _healthy(http, port):
    try:
        async with http.get(f"http://127.0.0.1:{port}/healthz") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_the_process_tells_its_mistakes_in_one_line(unused_tcp_port):
    for arguments, text in (
        (("--host", "0.0.0.0"), b"--allow-remote"),
        (("--app", "counter=123456789:AAH" + "x" * 32), b"--allow-real-token"),
        (("--config", "/nowhere.json"), b"No such file"),
    ):
        process = await start_process("--port", str(unused_tcp_port), *arguments)
        try:
            _, errors = await asyncio.wait_for(process.communicate(), 60)
            assert process.returncode == 2
            assert text in errors
            assert errors.count(b"\n") == 1
        finally:
            await stopped(process)


async def test_a_taken_port_is_one_line():
    async with desk() as running:
        port = urlsplit(running.base).port
        process = await start_process("--port", str(port))
        try:
            _, errors = await asyncio.wait_for(process.communicate(), 60)
            assert process.returncode == 1
            assert f"cannot listen on 127.0.0.1:{port}".encode() in errors
            assert b"Traceback" not in errors
        finally:
            await stopped(process)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "state", 200),
        ("POST", "state", 405),
        ("GET", "nothing", 404),
        ("GET", "bots/42/users/1001/messages", 405),
        ("POST", "bots/42/users/1001/nothing", 404),
        ("POST", "bots/42/users/1001/messages/more", 404),
    ],
)
async def test_what_is_no_route_is_said(method, path, status):
    async with desk() as running, running.http.request(method, f"{running.base}/sandbox/api/{path}") as response:
        assert response.status == status
        assert status != 405 or response.headers["Allow"]

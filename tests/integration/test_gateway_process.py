"""The real process: `python -m gateway`."""

import asyncio
import json
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from gateway_support import SETTINGS, answers, settings_of, started
from mini_apps.embedded import EmbeddedValkey, free_port
from support import TOKEN, eventually


@pytest.fixture
def folder(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> Path:
    (tmp_path / "mini-apps.toml").write_text(SETTINGS)
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.html").write_text("hello")
    return tmp_path


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


async def test_a_clean_life_and_a_log_without_secrets(valkey: EmbeddedValkey, prefix: str, folder: Path) -> None:
    app = settings_of(folder, valkey.url, prefix).apps["counter"]
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(folder, valkey.url, prefix, "--port", str(port)) as child:
        await answers(f"{url}/readyz")
        secret = app.effective_webhook_secret() or ""
        async with aiohttp.ClientSession() as session:
            hook = f"{url}/webhook/{app.webhook_path()}"
            headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
            for number in (1, 2):
                update = f'{{"update_id": {number}}}'
                async with (  # a connection each: what aiohttp got once for want of the script stays with it
                    aiohttp.ClientSession() as other,
                    other.post(hook, data=update, headers=headers) as answer,
                ):
                    assert answer.status == 200
            async with session.post(hook + "/x", data="{}", headers=headers) as answer:
                assert answer.status == 404
            async with session.get(f"{url}/apps/counter/?tgWebAppData=hash%3Dabcdef&x=hidden-query") as answer:
                assert answer.status == 200
            async with session.get(f"{url}/metrics") as answer:
                metrics = await answer.text()
        child.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(child.wait, 20) == 0
    text = (folder / "log").read_text()
    for hidden in (secret, app.webhook_path(), TOKEN, "hidden-query", "abcdef"):
        assert hidden not in text
        assert hidden not in metrics
    requests = [(line["path"], line["status"]) for line in lines(folder) if line["event"] == "request"]
    # There are thousands a second, so the metrics count them; but for one that finds a Redis without its script.
    assert requests.count(("/webhook/counter", 200)) <= 1
    assert ("/webhook/?", 404) in requests
    assert ("/apps/counter/", 200) in requests
    assert 'mini_apps_gateway_requests_total{route="/webhook/{path}",status="200"} 2.0' in metrics
    assert 'mini_apps_gateway_updates_total{app="counter",verdict="taken"} 2.0' in metrics
    events = [line["event"] for line in lines(folder) if line["event"] != "request"]  # the last one may end meanwhile
    assert events[-2:] == ["stopping", "stopped"]


async def test_what_is_no_http_is_one_line_without_a_traceback(
    valkey: EmbeddedValkey, prefix: str, folder: Path
) -> None:
    port = free_port()
    with started(folder, valkey.url, prefix, "--port", str(port)):
        await answers(f"http://127.0.0.1:{port}/healthz")
        for garbage in (b"garbage\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"GET /" + b"x" * 10_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            assert (await reader.readline()).split()[1] == b"400"
            writer.close()
            await writer.wait_closed()
        await eventually(lambda: sum(line.get("status") == 400 for line in lines(folder)) == 3, what="three lines")
    assert "Traceback" not in (folder / "log").read_text()


async def test_a_running_request_is_finished_and_readiness_goes_first(
    valkey: EmbeddedValkey, prefix: str, folder: Path
) -> None:
    app = settings_of(folder, valkey.url, prefix).apps["counter"]
    port = free_port()
    with started(folder, valkey.url, prefix, "--port", str(port)) as child:
        await answers(f"http://127.0.0.1:{port}/readyz")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /webhook/{app.webhook_path()} HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n"
        head += f"Expect: 100-continue\r\nX-Telegram-Bot-Api-Secret-Token: {app.effective_webhook_secret()}\r\n\r\n"
        writer.write(head.encode())
        assert b"100" in await reader.readline()  # the handler runs and waits for the body
        child.send_signal(signal.SIGTERM)
        await answers(f"http://127.0.0.1:{port}/readyz", 503)
        writer.write(b'{"update_id": 9}')
        answer = await reader.read()
        assert b"200 OK" in answer
        assert await asyncio.to_thread(child.wait, 20) == 0
        writer.close()


async def test_a_taken_port_is_one_clear_line(valkey: EmbeddedValkey, prefix: str, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with started(folder, valkey.url, prefix, "--port", str(port)) as child:
            assert await asyncio.to_thread(child.wait, 20) == 1
    (line,) = lines(folder)
    assert line["event"] == f"gateway: 127.0.0.1:{port} is already in use; choose another with gateway.port or --port"


async def test_an_address_that_is_not_ours(valkey: EmbeddedValkey, prefix: str, folder: Path) -> None:
    with started(folder, valkey.url, prefix, "--host", "192.0.2.1", "--port", "0") as child:
        assert await asyncio.to_thread(child.wait, 20) == 1
    (line,) = lines(folder)
    assert str(line["event"]).startswith("gateway: 192.0.2.1:0 cannot be listened on (")
    assert "--host" in str(line["event"])


async def test_mistakes_in_the_settings(valkey: EmbeddedValkey, prefix: str, folder: Path) -> None:
    (folder / "mini-apps.toml").write_text("[gateway]\nprot = 8080\nhost = 7\n")
    with started(folder, valkey.url, prefix) as child:
        assert await asyncio.to_thread(child.wait, 20) == 2
    text = (folder / "log").read_text().strip().splitlines()
    assert len(text) == 2
    assert any("prot" in line and "port" in line for line in text)


async def test_a_stop_while_redis_is_not_there(prefix: str, folder: Path) -> None:
    port = free_port()
    with started(folder, f"redis://127.0.0.1:{free_port()}/0", prefix, "--port", str(port)) as child:
        await answers(f"http://127.0.0.1:{port}/healthz")
        await eventually(lambda: "waiting for it" in (folder / "log").read_text())
        child.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(child.wait, 20) == 0


async def test_missing_pages_are_one_line(valkey: EmbeddedValkey, prefix: str, folder: Path) -> None:
    (folder / "mini-apps.toml").write_text('[apps.counter]\npages = "nowhere"\n')
    port = free_port()
    with started(folder, valkey.url, prefix, "--port", str(port)):
        await answers(f"http://127.0.0.1:{port}/readyz")
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/apps/counter/") as answer:
            assert answer.status == 404
            assert "nowhere" not in await answer.text()
    (line,) = [line for line in lines(folder) if line["level"] == "warning"]
    assert line["folder"] == str(folder / "nowhere")
    assert "apps.counter.pages" in str(line["advice"])

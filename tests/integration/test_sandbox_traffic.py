"""The stream of the traffic panel: updates and calls with their ids, over HTTP."""

import asyncio
import json
from typing import Any

import aiohttp

from sandbox_desk import ADA, TOKEN, desk


async def read(response: aiohttp.ClientResponse, count: int) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        async for line in response.content:
            if line.startswith(b'data: {"entries"'):
                entries += json.loads(line.removeprefix(b"data: "))["entries"]
            if len(entries) >= count:
                return entries
    raise AssertionError(f"the stream ended with {entries}")


async def test_updates_and_calls_are_told_with_their_ids() -> None:
    async with desk() as running:
        await running.act(ADA, "messages", text="/start")
        fields = {"chat_id": ADA, "text": "Hi"}
        status, _ = await running.raw("sendMessage", json=fields, headers={"X-Trace": "update-9"})
        assert status == 200
        await running.raw("setWebhook", json={"url": "http://a.example", "secret_token": "s3cret"})
        async with running.http.get(f"{running.base}/sandbox/api/traffic") as response:
            update, sent, refused = await read(response, 3)
            assert (update["kind"], update["title"], update["bot"]) == ("update", "message", 42)
            assert update["trace"] == f"update-{update['detail']['update_id']}"
            assert (sent["kind"], sent["title"], sent["status"], sent["trace"]) == (
                "call",
                "sendMessage",
                200,
                "update-9",
            )
            assert sent["detail"]["parameters"] == fields
            assert sent["detail"]["answer"]["result"]["text"] == "Hi"
            assert (refused["title"], refused["status"]) == ("setWebhook", 400)
            assert "s3cret" not in json.dumps(refused)
            assert TOKEN not in json.dumps([update, sent, refused])
            await running.raw("getMe")
            (later,) = await read(response, 1)
            assert (later["number"], later["title"]) == (4, "getMe")
            running.runtime.close()
            assert (await response.content.read()).strip() == b""

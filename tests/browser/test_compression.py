"""permessage-deflate as a real browser speaks it: compressed and plain frames side by side."""

from pathlib import Path

import pytest
from playwright.async_api import BrowserContext

from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from nodes import Cluster
from support import TOKEN

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]

CONVERSATION = """
async ([url, data, long]) => new Promise((resolve, reject) => {
  const socket = new WebSocket(url);
  const seen = [];
  setTimeout(() => reject(new Error("got only " + JSON.stringify(seen).slice(0, 1000))), 20000);
  const say = (message) => socket.send(JSON.stringify(message));
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    seen.push(message);
    if (message.type === "connect") say({ type: "login", app: "chat", data });
    if (message.type === "welcome") say({ type: "echo", id: 1, value: long });
    if (message.type === "reply" && message.id === 1) say({ type: "whisper", to: 7, text: message.data });
    if (message.type === "whispered") say({ type: "echo", id: 2, value: "short" });
    if (message.type === "reply" && message.id === 2) socket.close(1000);
  };
  socket.onclose = ({ code }) => resolve([socket.extensions, seen, code]);
})
"""


async def test_a_browser_reads_both_kinds_of_frames(
    context: BrowserContext, valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, valkey.url, prefix, WS__COMPRESSION="true")
    try:
        node = await cluster.node()
        page = await context.new_page()
        data = sign_init_data(TOKEN, user={"id": 7, "first_name": "Grace"})
        long = "the same words again and again; " * 500
        extensions, seen, code = await page.evaluate(CONVERSATION, [node.url, data, long])
    finally:
        await cluster.aclose()
    assert extensions.startswith("permessage-deflate")
    assert [message["type"] for message in seen] == ["connect", "welcome", "hello", "reply", "whispered", "reply"]
    assert seen[3]["data"] == seen[4]["text"] == long
    assert code in (1000, 1005)

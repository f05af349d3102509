"""The browser client in a real browser, and what pages do without it."""

import pytest
from deployment import Deployment
from playwright.async_api import BrowserContext

from mini_apps.testing import sign_init_data
from support import TOKEN

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]

# The original library's flow, with nothing but what a browser has: connect, login, welcome or disconnect, messages.
ORIGINAL = """
async ([url, data, wanted]) => new Promise((resolve, reject) => {
  const socket = new WebSocket(url);
  const seen = [];
  setTimeout(() => reject(new Error("got only " + JSON.stringify(seen))), 20000);
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    seen.push(message);
    if (message.type === "connect") socket.send(JSON.stringify({ type: "login", app: "counter", data }));
    if (message.type === "welcome") socket.send(JSON.stringify({ type: "click", app: "counter" }));
    if (seen.filter(({ type }) => type === wanted).length === (wanted === "clicks-updated" ? 2 : 1)) {
      if (wanted === "disconnect") socket.onclose = ({ code }) => resolve([seen, code]);
      else { socket.onclose = ({ code }) => resolve([seen, code]); socket.close(1000); }
    }
  };
})
"""

CLIENT = """
async ([data]) => {
  const { connect } = await import("/client/mini-apps.js");
  const mesh = await connect({ initData: data, settings: "/apps/counter/settings.json" });
  const states = [];
  mesh.onState((state) => states.push(state));
  const heard = [];
  mesh.on("clicks-updated", ({ clicks }) => heard.push(clicks));
  const user = await mesh.ready;
  const before = await mesh.request({ type: "clicks" });
  const loop = (async () => {
    for await (const message of mesh) if (message.clicks > before) return message;
  })();
  mesh.send({ type: "click" });
  const message = await loop;
  const unsubscribed = await mesh.subscribe("private").catch((error) => [error.name, error.code]);
  mesh.close();
  const after = await mesh.request({ type: "clicks" }).catch((error) => error.code);
  return { states, user, grew: message.clicks - before, last: heard.at(-1) === message.clicks, unsubscribed, after };
}
"""


def init_data(user: int) -> str:
    return sign_init_data(TOKEN, user={"id": user, "first_name": "Ada"})


async def test_the_original_flow_works_in_plain_javascript(context: BrowserContext, deployment: Deployment) -> None:
    page = await context.new_page()
    await page.goto(f"{deployment.url}/apps/counter/settings.json")
    socket = await page.evaluate("fetch('settings.json').then((response) => response.json()).then((all) => all.socket)")
    seen, code = await page.evaluate(ORIGINAL, [socket, init_data(4001), "clicks-updated"])
    assert [message["type"] for message in seen] == ["connect", "welcome", "clicks-updated", "clicks-updated"]
    assert {key: seen[1][key] for key in ("telegram_id", "name")} == {"telegram_id": 4001, "name": "Ada"}
    assert code == 1000


async def test_a_refused_login_says_disconnect_and_closes_for_good(
    context: BrowserContext, deployment: Deployment
) -> None:
    page = await context.new_page()
    await page.goto(f"{deployment.url}/apps/counter/settings.json")
    socket = await page.evaluate("fetch('settings.json').then((response) => response.json()).then((all) => all.socket)")
    seen, code = await page.evaluate(ORIGINAL, [socket, "nonsense", "disconnect"])
    assert [message["type"] for message in seen] == ["connect", "disconnect"]
    assert code == seen[1]["code"] == 4500


async def test_the_client_asks_hears_reads_and_closes(context: BrowserContext, deployment: Deployment) -> None:
    page = await context.new_page()
    await page.goto(f"{deployment.url}/apps/counter/settings.json")
    result = await page.evaluate(CLIENT, [init_data(4002)])
    assert result["user"] == {"telegram_id": 4002, "name": "Ada", "is_admin": False}
    assert result["grew"] >= 1
    assert result["last"]
    assert result["unsubscribed"] == ["MeshError", "refused"]
    assert result["after"] == "closed"
    assert result["states"][-2:] == ["open", "closed"]

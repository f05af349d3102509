import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Window } from "happy-dom";
import { act, createElement as h, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { MiniApp, useChannel, useMessage, useMiniApp } from "../../react.js";
import { World } from "../world.js";

const window = new Window();
Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true });

let root;
let page;
let world;
let mesh;

beforeEach(async () => {
  page = document.createElement("div");
  root = createRoot(page);
  world = new World();
  mesh = await world.start();
});

afterEach(() => act(() => root.unmount()));

const show = (...children) => act(() => root.render(h(StrictMode, null, h(MiniApp, { mesh }, ...children))));
const says = (message) => act(async () => world.socket.says(message));

function State() {
  const { state, why, user } = useMiniApp();
  return `${state} ${user?.name ?? "nobody"} ${why.reason ?? ""}`.trim();
}

function Counter({ type = "clicks-updated" }) {
  const [clicks, setClicks] = useState(0);
  useMessage(type, (message) => setClicks(clicks + message.by));
  return String(clicks);
}

function Game({ channel }) {
  const [moves, setMoves] = useState([]);
  const { joined, error } = useChannel(channel, ({ type, x }) => setMoves([...moves, type + x]));
  return [joined ? "in" : "out", error?.code, ...moves].filter(Boolean).join(" ");
}

test("a component shows where the connection stands, and who is logged in", async () => {
  await show(h(State));
  assert.equal(page.textContent, "connecting nobody");
  await act(() => world.welcome());
  assert.equal(page.textContent, "open Ada");
  await act(async () => world.socket.ends(1012, "restart"));
  assert.equal(page.textContent, "waiting Ada restart");
  await act(() => world.pass(600));
  await says({ type: "disconnect", code: 4501, reason: "banned" });
  assert.equal(page.textContent, "closed Ada banned");
});

test("a listener is always the newest, and heard once, also under StrictMode", async () => {
  await act(() => world.welcome());
  await show(h(Counter));
  await says({ type: "clicks-updated", by: 1 });
  await says({ type: "clicks-updated", by: 2 });
  await says({ type: "other", by: 10 });
  assert.equal(page.textContent, "3");
  await show(h(Counter, { type: "other" }));
  await says({ type: "clicks-updated", by: 1 });
  await says({ type: "other", by: 10 });
  assert.equal(page.textContent, "13");
  await show();
  await says({ type: "other", by: 10 });
  assert.deepEqual(world.reported, []);
});

test("components share a channel, change it, and leave with the last of them", async () => {
  await act(() => world.welcome());
  await show(h(Game, { key: 1, channel: "game:1" }), h(Game, { key: 2, channel: "game:1" }));
  assert.deepEqual(world.socket.sent.slice(1).map(({ type, channel }) => [type, channel]), [["subscribe", "game:1"]]);
  await says({ type: "joined", channel: "game:1", id: world.socket.of("subscribe")[0].id });
  await says({ type: "move", channel: "game:1", x: 1 });
  await says({ type: "move", channel: "game:1", x: 2 });
  assert.equal(page.textContent, "in move1 move2in move1 move2");
  await show(h(Game, { key: 1, channel: "game:2" }), h(Game, { key: 2, channel: null }));
  assert.deepEqual(world.socket.sent.slice(2).map(({ type, channel }) => [type, channel]),
    [["subscribe", "game:2"], ["unsubscribe", "game:1"]]);
  assert.equal(page.textContent, "out move1 move2out move1 move2");
  await says({ type: "error", id: world.socket.of("subscribe")[1].id, msg: "No", code: "refused" });
  assert.match(page.textContent, /^out refused/);
});

test("a hook without a connection says what to do", async (t) => {
  t.mock.method(console, "error", () => {});
  await assert.rejects(async () => act(() => root.render(h(State))), /put <MiniApp mesh=\{mesh\}> around/);
});

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { App, SocketConnection } from "../app.js";
import { settled } from "./world.js";

let sockets;

class FakeSocket extends EventTarget {
  static OPEN = 1;
  readyState = 0;
  sent = [];

  constructor(url) {
    super();
    this.url = url;
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  says(message) {
    this.readyState = 1;
    this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(message) }));
  }

  ends(code = 1006) {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }
}

beforeEach((t) => {
  sockets = [];
  globalThis.WebSocket = FakeSocket;
  globalThis.document = { baseURI: "http://gateway/apps/event/" };
  t.mock.method(Math, "random", () => 0.5);
  t.mock.timers.enable({ apis: ["setTimeout"] });
});

const telegram = { WebApp: { initData: "init-data" } };

class Events extends App {
  seen = [];

  constructor() {
    super("mini_event", telegram);
    this.connection.addEventListener("event", ({ detail }) => this.seen.push(detail));
    this.connection.addEventListener("socket.disconnected", () => this.seen.push("gone"));
  }

  _on_welcome(event) {
    super._on_welcome(event);
    this.connection.send({ type: "attend", event: 3 });
  }
}

test("a page as people wrote it: connect, login, welcome, messages", () => {
  const app = new Events();
  app.connect("ws://node/ws");
  assert.deepEqual([sockets[0].url, app.connection.url, app.connection.connected, app.user], ["ws://node/ws", "ws://node/ws", true, {}]);
  sockets[0].says({ type: "connect" });
  sockets[0].says({ type: "welcome", telegram_id: 1, name: "Ada", is_admin: true });
  sockets[0].says({ type: "event", id: 3, title: "Tea" });
  assert.deepEqual(sockets[0].sent, [
    { type: "login", data: "init-data", app: "mini_event" }, { type: "attend", event: 3, app: "mini_event" },
  ]);
  assert.deepEqual([app.user.name, app.seen], ["Ada", [{ type: "event", id: 3, title: "Tea" }]]);
  assert.equal(app.webapp, telegram.WebApp);
});

test("a lost connection comes back and logs in again; `disconnect` and codes from 4500 are for good", async (t) => {
  const app = new Events();
  app.connect("ws://node/ws");
  sockets[0].ends(1006);
  assert.deepEqual([app.seen, app.connection.connected], [["gone"], false]);
  app.connection.send({ type: "attend", event: 3 });
  t.mock.timers.tick(600);
  await settled();
  sockets[1].says({ type: "connect" });
  assert.deepEqual(sockets[1].sent, [{ type: "login", data: "init-data", app: "mini_event" }]);
  sockets[1].says({ type: "disconnect", code: 4501, reason: "banned" });
  sockets[1].ends(1006);
  t.mock.timers.tick(100_000);
  await settled();
  assert.equal(sockets.length, 2);
  app.connect("ws://node/ws");
  assert.equal(sockets.length, 2, "`reconnect` is false now");

  const bare = new SocketConnection("mini_event");
  bare.connect("ws://node/ws");
  sockets[2].ends(4504);
  t.mock.timers.tick(100_000);
  await settled();
  assert.deepEqual([sockets.length, bare.reconnect], [3, false]);
});

test("it waits longer and longer, starts anew after a welcome, and heeds `retry_after`", async (t) => {
  const connection = new SocketConnection("mini_event");
  connection.connect("ws://node/ws");
  const comesBackAfter = async (ms) => {
    const before = sockets.length;
    t.mock.timers.tick(ms - 1);
    await settled();
    assert.equal(sockets.length, before);
    t.mock.timers.tick(1);
    await settled();
    assert.equal(sockets.length, before + 1);
  };
  for (const ms of [600, 1100, 2100]) {
    sockets.at(-1).ends();
    await comesBackAfter(ms);
  }
  sockets.at(-1).says({ type: "welcome" });
  sockets.at(-1).says({ type: "reconnect", code: 4005, reason: "draining", retry_after: 4 });
  sockets.at(-1).ends(4005);
  await comesBackAfter(4600);
  sockets.at(-1).ends();
  await comesBackAfter(600);
});

test("with the gateway's settings it asks for a node, anew after each end", async (t) => {
  const answers = {
    "/apps/event/settings.json": { app: "mini_event", socket: "ws://any/ws", negotiate: "/negotiate" },
    "/negotiate": { url: "ws://node-1/ws" },
  };
  t.mock.method(globalThis, "fetch", async (address) => new Response(JSON.stringify(answers[new URL(address).pathname])));
  const connection = new SocketConnection("mini_event");
  await connection.connect_from_settings();
  assert.equal(sockets[0].url, "ws://node-1/ws");
  answers["/negotiate"] = { url: "ws://node-2/ws" };
  sockets[0].ends();
  t.mock.timers.tick(600);
  await settled();
  assert.equal(sockets[1].url, "ws://node-2/ws");
});

test("a server that is down when the page opens is waited for", async (t) => {
  const down = t.mock.method(globalThis, "fetch", async () => { throw new TypeError("Failed to fetch"); });
  const connection = new SocketConnection("mini_event");
  await connection.connect_from_settings("/settings.json");
  assert.equal(sockets.length, 0);
  down.mock.mockImplementation(async () => new Response(JSON.stringify({ socket: "ws://any/ws", negotiate: null })));
  t.mock.timers.tick(600);
  await settled();
  assert.equal(sockets[0].url, "ws://any/ws");
});

test("without Telegram's script the init data comes from the page's address", () => {
  globalThis.location = { href: "http://gateway/apps/event/#tgWebAppData=user%3D1" };
  globalThis.window = { name: "" };
  const app = new App("mini_event");
  app.connect("ws://node/ws");
  sockets[0].says({ type: "connect" });
  assert.equal(sockets[0].sent[0].data, "user=1");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { settled, World } from "./world.js";

const states = (mesh) => mesh.seen.map(([state]) => state);

async function rejection(promise) {
  const error = await promise.then(() => assert.fail("it did not reject"), (reason) => reason);
  assert.equal(error.name, "MeshError");
  return error;
}

test("asks the gateway for a node, waits for its greeting, logs in with init data", async () => {
  const world = new World();
  const mesh = await world.start();
  assert.deepEqual(world.fetched, ["/apps/counter/settings.json", "/negotiate?app=counter"]);
  assert.equal(world.socket.url, "ws://node-1/ws");
  assert.deepEqual(world.socket.sent, []);
  await world.welcome();
  assert.deepEqual(world.socket.sent, [{ type: "login", app: "counter", data: "init-data" }]);
  assert.deepEqual(await mesh.ready, { telegram_id: 1, name: "Ada", is_admin: false });
  assert.deepEqual([mesh.node, mesh.state, mesh.app], ["ws-1", "open", "counter"]);
  assert.deepEqual(states(mesh), ["connecting", "open"]);
});

test("`url` needs neither settings nor gateway", async () => {
  const world = new World();
  await world.start({ url: "ws://here/ws", app: "counter" });
  assert.deepEqual([world.fetched, world.socket.url], [[], "ws://here/ws"]);
});

test("settings may be elsewhere, and say that there is nobody to ask", async () => {
  const world = new World();
  world.answers["/else/settings.json"] = { app: "other", negotiate: "ask", socket: null };
  world.answers["/else/ask"] = { url: "ws://other/ws" };
  const mesh = await world.start({ settings: "/else/settings.json" });
  assert.deepEqual([world.socket.url, mesh.app], ["ws://other/ws", "other"]);
  world.answers["/else/settings.json"] = { app: "other", negotiate: null, socket: "ws://only/ws" };
  await world.start({ settings: "/else/settings.json" });
  assert.equal(world.socket.url, "ws://only/ws");
});

test("init data of the page is used when Telegram gave none, and none at all still asks the server", async () => {
  const world = new World();
  world.data = "";
  await world.start({ initData: "mine" });
  await world.welcome();
  assert.equal(world.socket.sent[0].data, "mine");
  await world.start();
  await world.welcome();
  assert.equal(world.socket.sent[0].data, "");
});

test("the session token is not shown to the page", async () => {
  const world = new World();
  const mesh = await world.start();
  const heard = [];
  mesh.on("welcome", (message) => heard.push(message));
  await world.welcome({ session: "secret" });
  assert.equal(heard.length, 1);
  assert.ok(!JSON.stringify([heard, mesh]).includes("secret"));
});

test("listeners hear their type until they stop, and a failing one hurts nobody", async () => {
  const world = new World();
  const mesh = await world.online();
  const heard = [];
  mesh.on("move", () => { throw new Error("the page's own mistake"); });
  const off = mesh.on("move", ({ x }) => heard.push(x));
  world.socket.says({ type: "move", x: 1 });
  world.socket.says({ type: "other", x: 2 });
  off();
  world.socket.says({ type: "move", x: 3 });
  assert.deepEqual(heard, [1]);
  assert.equal(world.reported.length, 2);
  assert.equal(mesh.state, "open");
});

test("frames that are no messages are passed over", async () => {
  const world = new World();
  const mesh = await world.online();
  for (const text of ["", "nonsense", "null", "7", "[]"]) world.socket.says(text);
  assert.equal(mesh.state, "open");
  assert.deepEqual(world.reported, []);
});

test("messages can be read in a loop, which ends with the connection", async () => {
  const world = new World();
  const mesh = await world.online();
  const loop = (async () => {
    const types = [];
    for await (const { type } of mesh) types.push(type);
    return types;
  })();
  world.socket.says({ type: "a" });
  world.socket.says({ type: "pong" });
  world.socket.says({ type: "b" });
  mesh.close();
  assert.deepEqual(await loop, ["a", "b"]);
});

test("a loop that lags starts anew with a resync, also when it stops early it leaves nothing behind", async () => {
  const world = new World();
  const mesh = await world.online();
  const loop = mesh[Symbol.asyncIterator]();
  const first = loop.next();
  for (let x = 0; x < 1026; x++) world.socket.says({ type: "move", x });
  assert.equal((await first).value.type, "resync");
  assert.equal((await loop.next()).value.x, 1024);
  assert.equal((await loop.next()).value.x, 1025);
  assert.equal((await loop.return()).done, true);
});

test("a message that wants an ack gets one after its listeners ran, also those that take their time", async () => {
  const world = new World();
  const mesh = await world.online();
  let shown;
  const heard = [];
  mesh.on("your-turn", (message) => heard.push(message));
  mesh.on("your-turn", () => new Promise((resolve) => (shown = resolve)));
  world.socket.says({ type: "your-turn", ack: "a1" });
  await settled();
  assert.deepEqual([heard, world.socket.of("ack")], [[{ type: "your-turn", ack: "a1" }], []]);
  shown();
  await settled();
  assert.deepEqual(world.socket.of("ack"), [{ type: "ack", ack: "a1" }]);
});

test("nothing is acknowledged that nobody here took: the server shall tell the user another way", async () => {
  const world = new World();
  const mesh = await world.online();
  world.socket.says({ type: "your-turn", ack: "a1" });
  mesh.on("your-turn", () => { throw new Error("the page's own mistake"); });
  mesh.on("your-turn", async () => { throw new Error("the page's own mistake"); });
  world.socket.says({ type: "your-turn", ack: "a2" });
  await settled();
  assert.deepEqual([world.socket.of("ack"), world.reported.length], [[], 2]);
  mesh.on("*", ({ channel }) => channel === "game:42"); // false: not mine
  world.socket.says({ type: "chat", ack: "a0" });
  await settled();
  assert.deepEqual(world.socket.of("ack"), []);
  mesh.on("*", () => {});
  world.socket.says({ type: "your-turn", ack: "a3" });
  await settled();
  assert.deepEqual(world.socket.of("ack"), [{ type: "ack", ack: "a3" }]);
});

test("an ack goes where the message came from, or nowhere", async () => {
  const world = new World();
  const mesh = await world.online();
  let shown;
  mesh.on("your-turn", () => new Promise((resolve) => (shown = resolve)));
  world.socket.says({ type: "your-turn", ack: "a1" });
  world.socket.ends(1006);
  await world.pass(600);
  await world.welcome();
  shown();
  await settled();
  assert.deepEqual(world.socket.of("ack"), []);
});

test("`*` hears everything the page is told, after those who named the type", async () => {
  const world = new World();
  const mesh = await world.start();
  const heard = [];
  mesh.on("*", ({ type }) => heard.push("* " + type));
  mesh.on("move", ({ type }) => heard.push(type));
  await world.welcome();
  world.socket.says({ type: "move" });
  world.socket.says({ type: "pong" });
  assert.deepEqual(heard, ["* welcome", "move", "* move"]);
});

test("what a channel brings twice is heard once", async () => {
  const world = new World();
  const mesh = await world.online();
  const heard = [];
  mesh.on("move", ({ offset }) => heard.push(offset));
  world.socket.says({ type: "joined", channel: "game:42", offset: 10, grant: "g" });
  for (const offset of [10, 11, 11, 12]) world.socket.says({ type: "move", channel: "game:42", offset });
  assert.deepEqual(heard, [11, 12]);
});

test("a request gets its reply, or the server's error with its code", async () => {
  const world = new World();
  const mesh = await world.online();
  const asked = mesh.request({ type: "click" });
  const refused = mesh.request({ type: "cheat" });
  const [{ id }, { id: other }] = world.socket.sent.slice(1);
  world.socket.says({ type: "error", id: other, msg: "Not here", code: "rules" });
  world.socket.says({ type: "reply", id, data: { clicks: 3 } });
  assert.deepEqual(await asked, { clicks: 3 });
  const error = await rejection(refused);
  assert.deepEqual([error.message, error.code], ["Not here", "rules"]);
});

test("answers to ids that are not the client's go to the page", async () => {
  const world = new World();
  const mesh = await world.online();
  const heard = [];
  mesh.on("reply", (message) => heard.push(message));
  mesh.on("error", (message) => heard.push(message));
  mesh.send({ type: "delete", id: 5 });
  world.socket.says({ type: "reply", id: 5, data: null });
  world.socket.says({ type: "error", msg: "You need to login first" });
  assert.deepEqual(heard.map(({ type }) => type), ["reply", "error"]);
});

test("a request without an answer times out, also one that still waits in the queue and is then never sent", async () => {
  const world = new World();
  const mesh = await world.start();
  const queued = rejection(mesh.request({ type: "early" }, { timeout: 1000 }));
  await world.pass(1000);
  assert.equal((await queued).code, "timeout");
  await world.welcome();
  assert.equal(world.socket.of("early").length, 0);
  const silent = rejection(mesh.request({ type: "late" }));
  await world.pass(15_000);
  assert.equal((await silent).code, "timeout");
  assert.equal(mesh.state, "open");
});

test("requests in flight when the connection ends are unknown, and not sent again", async () => {
  const world = new World();
  const mesh = await world.online();
  const flying = rejection(mesh.request({ type: "pay" }));
  world.socket.ends(1006);
  assert.equal((await flying).code, "unknown");
  const waiting = mesh.request({ type: "look" });
  await world.pass(1100);
  await world.welcome();
  assert.deepEqual(world.socket.sent.map(({ type }) => type), ["login", "look"]);
  world.socket.says({ type: "reply", id: world.socket.sent[1].id, data: 1 });
  assert.equal(await waiting, 1);
});

test("a message needs a type, and a request's id is the client's", async () => {
  const world = new World();
  const mesh = await world.online();
  assert.throws(() => mesh.send({}), TypeError);
  assert.throws(() => mesh.send(undefined), TypeError);
  assert.throws(() => mesh.request({ type: "delete", id: 5 }), TypeError);
});

test("messages wait for the connection in order and bounded, and go out before the page hears the welcome", async () => {
  const world = new World();
  const mesh = await world.start({ queue: 2 });
  mesh.on("welcome", () => mesh.send({ type: "fresh" }));
  assert.deepEqual(["a", "b", "c"].map((type) => mesh.send({ type })), [true, true, false]);
  assert.equal(mesh.queued, 2);
  assert.equal((await rejection(mesh.request({ type: "d" }))).code, "queue-full");
  await world.welcome();
  assert.deepEqual(world.socket.sent.map(({ type }) => type), ["login", "a", "b", "fresh"]);
  assert.equal(mesh.queued, 0);
});

test("a link that takes nothing does not pile up messages", async () => {
  const world = new World();
  const mesh = await world.online();
  world.socket.bufferedAmount = 2 ** 21;
  assert.equal(mesh.send({ type: "draw" }), false);
});

test("a socket that is already closing queues instead of losing", async () => {
  const world = new World();
  const mesh = await world.online();
  world.socket.readyState = 2;
  assert.equal(mesh.send({ type: "click" }), true);
  assert.equal(mesh.queued, 1);
});

test("a lost connection comes back with the session, at a node the gateway names anew", async () => {
  const world = new World();
  const mesh = await world.online();
  await world.pass(60);
  world.socket.ends(1006);
  assert.deepEqual(mesh.seen.at(-1), ["waiting", { code: 1006, reason: "", retryIn: 600 }]);
  world.answers["/negotiate"] = { url: "ws://node-2/ws", node: "ws-2" };
  await world.pass(600);
  assert.equal(world.socket.url, "ws://node-2/ws");
  await world.welcome();
  assert.deepEqual(world.socket.sent[0], { type: "login", app: "counter", session: "token-1" });
  assert.deepEqual(states(mesh), ["connecting", "open", "waiting", "connecting", "open"]);
});

test("a session is old when the server says so: no clock of the phone is asked", async (t) => {
  t.mock.method(Date, "now", () => assert.fail("a clock was read"));
  t.mock.method(performance, "now", () => assert.fail("a clock was read"));
  const world = new World();
  await world.online({}, { session_expires: 1 });
  world.socket.ends(1006);
  await world.pass(1100);
  await world.welcome();
  assert.deepEqual(world.socket.sent[0], { type: "login", app: "counter", session: "token-1" });
  await world.pass(100_000);
});

test("a refused session falls back to init data, whose refusal is for good", async () => {
  const world = new World();
  const mesh = await world.online();
  const gone = [];
  mesh.on("disconnect", (message) => gone.push(message));
  world.socket.ends(1006);
  await world.pass(1100);
  world.socket.says({ type: "connect", protocol: 1, node: "ws-1", ping: 25, timeout: 10 });
  world.socket.says({ type: "disconnect", code: 4500, reason: "session" });
  await settled();
  assert.equal(world.sockets.length, 3);
  world.socket.says({ type: "connect", protocol: 1, node: "ws-1", ping: 25, timeout: 10 });
  assert.equal(world.socket.sent[0].data, "init-data");
  world.socket.says({ type: "disconnect", code: 4500, reason: "expired" });
  await world.pass(100_000);
  assert.equal(world.sockets.length, 3);
  assert.deepEqual(gone, [{ type: "disconnect", code: 4500, reason: "expired" }]);
  assert.equal(mesh.state, "closed");
});

for (const [how, end] of Object.entries({
  "a disconnect message": (socket) => socket.says({ type: "disconnect", code: 4501, reason: "banned" }),
  "a close code alone": (socket) => socket.ends(4501, "banned"),
})) {
  test(`${how} from 4500 is for good, and says so once to everybody who waits`, async () => {
    const world = new World();
    const mesh = await world.start();
    const gone = [];
    mesh.on("disconnect", (message) => gone.push(message));
    const queued = rejection(mesh.request({ type: "click" }));
    world.socket.says({ type: "connect", protocol: 1, node: "ws-1", ping: 25, timeout: 10 });
    end(world.socket);
    world.socket.ends(4501, "banned");
    assert.equal((await queued).code, "closed");
    const error = await rejection(mesh.ready);
    assert.deepEqual([error.code, error.reason], [4501, "banned"]);
    assert.equal(mesh.send({ type: "click" }), false);
    assert.equal((await rejection(mesh.request({ type: "click" }))).code, "closed");
    world.wake();
    await world.pass(100_000);
    assert.deepEqual([world.sockets.length, gone.length, world.timers.length, world.wakers.size], [1, 1, 0, 0]);
  });
}

test("`reconnect` is obeyed: not sooner than told, not even by waking up", async () => {
  const world = new World();
  const mesh = await world.online();
  world.socket.says({ type: "reconnect", code: 4005, reason: "draining", retry_after: 3.2 });
  assert.equal(mesh.state, "waiting");
  world.wake();
  await world.pass(3199);
  assert.equal(world.sockets.length, 1);
  await world.pass(1000);
  assert.equal(world.sockets.length, 2);
});

test("too many messages drop the queue, and say so", async () => {
  const world = new World();
  const mesh = await world.online();
  const errors = [];
  mesh.on("error", (message) => errors.push(message));
  world.socket.readyState = 2;
  mesh.send({ type: "a" });
  const queued = rejection(mesh.request({ type: "b" }));
  world.socket.says({ type: "reconnect", code: 4003, reason: "too many messages", retry_after: 1 });
  assert.equal((await queued).code, "dropped");
  assert.deepEqual([mesh.queued, errors[0].code], [0, "dropped"]);
});

test("tries wait longer and longer while nothing answers, and start short again after a stable login", async () => {
  const world = new World();
  world.answers["/negotiate"] = new TypeError("Failed to fetch");
  world.answers["/apps/counter/settings.json"].socket = null;
  const mesh = await world.start();
  const waits = () => mesh.seen.flatMap(([state, why]) => (state === "waiting" ? [why.retryIn] : []));
  await world.pass(10_000);
  assert.deepEqual(waits(), [600, 1100, 2100, 4100, 8100]);
  world.answers["/negotiate"] = { url: "ws://node-1/ws" };
  await world.pass(8100);
  await world.welcome();
  world.socket.ends(1006);
  assert.equal(waits().at(-1), 15_100, "a login that is cut at once does not start the backoff anew");
  await world.pass(15_100);
  await world.welcome();
  await world.pass(5000);
  world.socket.ends(1006);
  assert.equal(waits().at(-1), 600);
});

test("a gateway that is down is no reason for a node to be; one that says wait is obeyed", async () => {
  const world = new World();
  world.answers["/negotiate"] = new TypeError("Failed to fetch");
  await world.start();
  assert.equal(world.socket.url, "ws://fallback/ws");
  world.answers["/negotiate"] = { status: 503, error: "no node is up", retry_after: 2 };
  const mesh = await world.start();
  assert.deepEqual(mesh.seen.at(-1), ["waiting", { code: undefined, reason: "no node is up", retryIn: 2350 }]);
  world.answers["/negotiate"] = { status: 500 };
  const other = await world.start();
  assert.deepEqual(other.seen.at(-1), ["waiting", { code: undefined, reason: "/negotiate answered 500", retryIn: 600 }]);
});

test("a server that is down when the page opens is waited for", async () => {
  const world = new World();
  const settings = world.answers["/apps/counter/settings.json"];
  world.answers["/apps/counter/settings.json"] = new TypeError("Failed to fetch");
  const mesh = await world.start();
  assert.equal(mesh.send({ type: "click" }), true);
  world.answers["/apps/counter/settings.json"] = settings;
  await world.pass(600);
  await world.welcome();
  assert.deepEqual(world.socket.of("click").length, 1);
});

test("settings without an app say what to do", async () => {
  const world = new World();
  world.answers["/apps/counter/settings.json"] = { socket: "ws://x/ws" };
  const mesh = await world.start();
  assert.match(mesh.seen.at(-1)[1].reason, /give connect\(\{ app \}\)/);
});

test("a page that wakes up does not wait out its backoff", async () => {
  const world = new World();
  const mesh = await world.online();
  world.socket.ends(1006);
  world.wake();
  await settled();
  assert.equal(world.sockets.length, 2);
  await world.pass(5000);
  assert.equal(world.sockets.length, 2, "the try that was waiting is not made as well");
  assert.equal(mesh.state, "connecting");
});

test("a page that wakes up asks its link whether it still lives, and does not wait long for the answer", async () => {
  const world = new World();
  const mesh = await world.online();
  world.wake();
  assert.equal(world.socket.of("ping").length, 1);
  world.socket.says({ type: "pong" });
  await world.pass(5000);
  assert.equal(mesh.state, "open");
  world.wake();
  await world.pass(5000);
  assert.equal(mesh.state, "waiting");
});

test("a page that wakes up on its way to a node gives that way 5 seconds more, not 20", async () => {
  const world = new World();
  const mesh = await world.start();
  world.wake();
  await world.pass(4999);
  assert.equal(mesh.state, "connecting");
  await world.pass(1);
  assert.deepEqual([mesh.state, world.sockets.length, world.socket.closedWith], ["waiting", 1, 1005]);
});

test("a silent link is pinged, then given up; the server's pings are answered", async () => {
  const world = new World();
  const mesh = await world.online();
  world.socket.says({ type: "ping" });
  assert.equal(world.socket.of("pong").length, 1);
  await world.pass(24_999);
  assert.equal(world.socket.of("ping").length, 0);
  await world.pass(1);
  assert.equal(world.socket.of("ping").length, 1);
  await world.pass(9_999); // the last of the ten seconds is for answers that stand in line behind a late timer
  assert.equal(mesh.state, "open");
  const link = world.socket;
  await world.pass(1);
  assert.equal(mesh.state, "waiting");
  assert.equal(link.closedWith, 1005);
  link.says({ type: "late" });
  link.ends(1006);
  assert.equal(states(mesh).filter((state) => state === "waiting").length, 1);
});

test("any word of the server keeps a link alive, also in the very last moment", async () => {
  const world = new World();
  const mesh = await world.online();
  await world.pass(34_500);
  world.socket.says({ type: "news" });
  await world.pass(24_999);
  assert.equal(world.socket.of("ping").length, 1);
  assert.equal(mesh.state, "open");
});

test("a server without pings is not given up", async () => {
  const world = new World();
  const mesh = await world.start();
  await world.welcome({ ping: 0 });
  await world.pass(1_000_000);
  world.wake();
  assert.equal(mesh.state, "open");
});

test("a socket that never greets, and a login that is never answered, are given up", async () => {
  const world = new World();
  const mesh = await world.start();
  await world.pass(20_000);
  assert.equal(mesh.state, "waiting");
  await world.pass(600);
  world.socket.says({ type: "connect", protocol: 1, node: "ws-1", ping: 0, timeout: 10 });
  await world.pass(20_000);
  assert.equal(mesh.state, "waiting");
});

test("channels are rejoined with their positions; what was lost or missed is told", async () => {
  const world = new World();
  const mesh = await world.online();
  const entered = mesh.subscribe("game:42");
  const [{ id }] = world.socket.of("subscribe");
  world.socket.says({ type: "joined", channel: "game:42", id, offset: 10, grant: "g" });
  assert.equal((await entered).offset, 10);
  world.socket.says({ type: "joined", channel: "lobby" });
  world.socket.says({ type: "joined", channel: "left-by-us" });
  mesh.unsubscribe("left-by-us");
  world.socket.says({ type: "move", channel: "game:42", offset: 11 });
  world.socket.ends(1006);
  await world.pass(600);
  const news = [];
  mesh.on("resync", ({ channel }) => news.push(["resync", channel]));
  mesh.on("left", ({ channel }) => news.push(["left", channel]));
  await world.welcome({ channels: { "game:42": { recovered: true, offset: 11 } } });
  assert.deepEqual(world.socket.sent[0].channels, { "game:42": { offset: 11, grant: "g" }, lobby: {} });
  assert.deepEqual(news, [["left", "lobby"]]);
});

test("a subscription in flight when the connection ends is asked for again; a refusal is an error", async () => {
  const world = new World();
  const mesh = await world.online();
  const entered = mesh.subscribe("game:42");
  world.socket.ends(1006);
  await world.pass(600);
  world.socket.ends(1006); // it was not sent there: it waits on, once
  await world.pass(1100);
  await world.welcome();
  assert.equal(world.socket.of("subscribe").length, 1);
  const [{ id, channel }] = world.socket.of("subscribe");
  assert.equal(channel, "game:42");
  world.socket.says({ type: "joined", channel, id });
  assert.equal((await entered).channel, "game:42");
  const refused = rejection(mesh.subscribe("secret"));
  world.socket.says({ type: "error", id: world.socket.of("subscribe")[1].id, msg: "No", code: "refused" });
  assert.equal((await refused).code, "refused");
});

test("close ends everything, quietly and for good", async () => {
  const world = new World();
  const mesh = await world.online();
  const gone = [];
  mesh.on("disconnect", (message) => gone.push(message));
  const flying = rejection(mesh.request({ type: "click" }));
  mesh.close();
  mesh.close();
  assert.equal((await flying).code, "unknown");
  world.wake();
  await world.pass(100_000);
  assert.deepEqual([world.sockets.length, world.socket.closedWith, gone, mesh.state], [1, 1000, [], "closed"]);
});

test("`why` tells in which way the state was entered", async () => {
  const world = new World();
  const mesh = await world.online();
  assert.deepEqual(mesh.why, {});
  world.socket.ends(1006);
  assert.deepEqual(mesh.why, { code: 1006, reason: "", retryIn: 600 });
  await world.pass(600);
  assert.deepEqual([mesh.state, mesh.why], ["connecting", {}]);
  world.socket.says({ type: "disconnect", code: 4501, reason: "banned" });
  assert.deepEqual([mesh.why.code, mesh.why.reason], [4501, "banned"]);
  const late = [];
  mesh.onState((state, { code }) => late.push(state, code));
  assert.deepEqual(late, ["closed", 4501]);
});

test("closing while the gateway is being asked opens no socket", async () => {
  const world = new World();
  const opening = world.start();
  const mesh = await opening;
  world.socket.ends(1006);
  const before = world.sockets.length;
  world.wake();
  mesh.close();
  await settled();
  assert.equal(world.sockets.length, before);
});

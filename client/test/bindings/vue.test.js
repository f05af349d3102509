import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Window } from "happy-dom";
import { settled, World } from "../world.js";

const window = new Window();
for (const name of ["document", "Node", "Element", "SVGElement", "MathMLElement", "ShadowRoot"]) globalThis[name] = window[name];
globalThis.window = window;
const { createApp, h, nextTick, reactive, ref } = await import("vue");
const { miniApp, useChannel, useMessage, useMiniApp } = await import("../../vue.js");

let app;
let page;
let world;
let mesh;

beforeEach(async () => {
  page = document.createElement("div");
  world = new World();
  mesh = await world.start();
});

afterEach(() => app.unmount());

function show(setup) {
  app = createApp({ setup });
  app.use(miniApp(mesh)).mount(page);
}

const says = async (message) => {
  world.socket.says(message);
  await settled();
  await nextTick();
};

test("a component shows where the connection stands, and who is logged in", async () => {
  show(() => {
    const { state, why, user } = useMiniApp();
    return () => h("p", `${state.value} ${user.value?.name ?? "nobody"} ${why.value.reason ?? ""}`.trim());
  });
  assert.equal(page.textContent, "connecting nobody");
  await world.welcome();
  await nextTick();
  assert.equal(page.textContent, "open Ada");
  world.socket.ends(1012, "restart");
  await nextTick();
  assert.equal(page.textContent, "waiting Ada restart");
  await world.pass(600);
  await says({ type: "disconnect", code: 4501, reason: "banned" });
  assert.equal(page.textContent, "closed Ada banned");
});

test("a listener hears its type while the component is there", async () => {
  const clicks = ref(0);
  await world.welcome();
  show(() => {
    useMessage("clicks-updated", ({ by }) => { clicks.value += by; });
    return () => h("p", clicks.value);
  });
  await says({ type: "clicks-updated", by: 2 });
  await says({ type: "other", by: 10 });
  assert.equal(page.textContent, "2");
  app.unmount();
  await says({ type: "clicks-updated", by: 5 });
  assert.equal(clicks.value, 2);
});

test("a channel is entered, changed with its name, and left with the component", async () => {
  await world.welcome();
  const channel = ref("game:1");
  const moves = ref([]);
  show(() => {
    const { joined, error } = useChannel(channel, ({ x }) => { moves.value.push(x); });
    useChannel(() => channel.value);
    return () => h("p", [joined.value ? "in" : "out", error.value?.code, ...moves.value].filter(Boolean).join(" "));
  });
  const sent = () => world.socket.sent.slice(1).map((message) => [message.type, message.channel]);
  assert.deepEqual(sent(), [["subscribe", "game:1"]]);
  await says({ type: "joined", channel: "game:1", id: world.socket.of("subscribe")[0].id });
  await says({ type: "move", channel: "game:1", x: 7 });
  assert.equal(page.textContent, "in 7");
  channel.value = "game:2";
  await nextTick();
  await settled();
  assert.deepEqual(sent().slice(1).sort(), [["subscribe", "game:2"], ["unsubscribe", "game:1"]]);
  await says({ type: "error", id: world.socket.of("subscribe")[1].id, msg: "No", code: "refused" });
  assert.equal(page.textContent, "out refused 7");
  channel.value = null;
  await nextTick();
  await settled();
  assert.equal(page.textContent, "out 7");
  assert.deepEqual(sent().at(-1), ["unsubscribe", "game:2"]);
});

test("the connection may be put into reactive state", async () => {
  show(() => () => h("p"));
  assert.equal(reactive({ mesh }).mesh.queued, 0);
});

test("a function without a connection says what to do", () => {
  app = createApp({ setup: () => useMiniApp() });
  app.config.warnHandler = () => {};
  assert.throws(() => app.mount(page), /app\.use\(miniApp\(await connect\(\)\)\)/);
  app = { unmount() {} };
});

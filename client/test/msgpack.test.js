import assert from "node:assert/strict";
import { test } from "node:test";
import { msgpack } from "../msgpack.js";
import { settled, World } from "./world.js";

const decode = (bytes) => msgpack.decode(Uint8Array.from(bytes).buffer);
const there = (message) => msgpack.decode(msgpack.encode(message).buffer);

const VALUES = {
  "nothing, true and false": [null, true, false],
  "numbers of every width": [0, 1, 127, 128, -1, -32, -33, -128, 255, 256, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, -(2 ** 31),
    -(2 ** 31) - 1, 2 ** 32, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 1_795_328_095_871_553],
  "numbers with a point, and huge ones": [0.5, -1.25, Math.PI, 2 ** 53, 1e300, Number.MIN_VALUE],
  "texts of every length": ["", "a", "ü", "👍🏽", "x".repeat(31), "x".repeat(32), "x".repeat(255), "x".repeat(256), "x".repeat(70_000)],
  "lists and maps of every length": [[], Array(15).fill(1), Array(16).fill(1), Array(70_000).fill(1), {},
    Object.fromEntries(Array(16).fill().map((_, n) => ["n" + n, n])), Object.fromEntries(Array(66_000).fill().map((_, n) => ["n" + n, n]))],
  "things in things": [{ type: "move", at: [{ x: 1, y: [null, { deep: true }] }] }],
};

for (const [what, values] of Object.entries(VALUES)) {
  test(`${what} come back as they went`, () => {
    for (const value of values) assert.deepEqual(there({ type: "v", value }), { type: "v", value });
  });
}

test("it says what JSON says: gaps, dates, and numbers that are none", () => {
  const odd = { type: "odd", gap: undefined, call() {}, list: [undefined, NaN, Infinity], at: new Date(0), minus: -0 };
  assert.deepEqual(there(odd), JSON.parse(JSON.stringify(odd)));
  assert.throws(() => msgpack.encode({ type: "big", value: 1n }), TypeError);
});

test("the bytes are the shortest that other implementations write too", () => {
  const hex = (message) => Buffer.from(msgpack.encode(message)).toString("hex");
  assert.equal(hex({ a: 1 }), "81a16101");
  assert.equal(hex([-1, true, null, "é"]), "94ffc3c0a2c3a9");
  assert.equal(hex("x".repeat(32)).slice(0, 4), "d920");
});

test("every number another implementation may write is read", () => {
  assert.equal(decode([0xcc, 200]), 200);
  assert.equal(decode([0xcd, 1, 0]), 256);
  assert.equal(decode([0xce, 255, 255, 255, 255]), 2 ** 32 - 1);
  assert.equal(decode([0xcf, 0, 0, 0, 1, 0, 0, 0, 0]), 2 ** 32);
  assert.equal(decode([0xd0, 0x80]), -128);
  assert.equal(decode([0xd1, 0x80, 0]), -32_768);
  assert.equal(decode([0xca, 0x3f, 0x80, 0, 0]), 1);
});

test("a hostile key is only a key", () => {
  const message = decode([0x82, 0xa4, ...Buffer.from("type"), 0xa1, 0x61, 0xa9, ...Buffer.from("__proto__"), 0x81, 0xa1, 0x78, 1]);
  assert.equal(Object.getPrototypeOf(message), Object.prototype);
  assert.equal(message.x, undefined);
});

test("what is no message is refused: cut off, too long, bytes, extensions, text", () => {
  const whole = msgpack.encode({ type: "move", at: [1, 2, "three"] });
  for (let end = 0; end < whole.length; end++) assert.throws(() => decode(whole.slice(0, end)), `${end} bytes`);
  assert.throws(() => decode([...whole, 1]), RangeError);
  for (const head of [0xc1, 0xc4, 0xc7, 0xd4, 0xd6]) assert.throws(() => decode([head, 0, 0]), TypeError);
  assert.throws(() => decode([0xdd, 255, 255, 255, 255]), RangeError); // says four billion, and has none
  assert.throws(() => msgpack.decode("{}"), TypeError);
});

test("a connection with it offers the subprotocol, and passes over frames it cannot read", async () => {
  const world = new World();
  const mesh = await world.start({ codec: msgpack });
  const socket = world.socket;
  socket.decode = (bytes) => msgpack.decode(bytes.buffer);
  assert.deepEqual([socket.protocol, socket.binaryType], ["mini-apps.msgpack", "arraybuffer"]);
  const says = (message) => socket.onmessage({ data: msgpack.encode(message).buffer });
  says({ type: "connect", protocol: 1, node: "ws-1", ping: 25, timeout: 10 });
  socket.onmessage({ data: Uint8Array.of(0xc1).buffer });
  socket.onmessage({ data: "text" });
  says({ type: "welcome", telegram_id: 1, name: "Ada", is_admin: false, session: "s", session_expires: 1 });
  assert.equal(mesh.state, "open");
  const asked = mesh.request({ type: "click" });
  says({ type: "reply", id: socket.of("click")[0].id, data: 7 });
  assert.equal(await asked, 7);
  await settled();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { enter } from "../channels.js";
import { settled, World } from "./world.js";

function part(mesh, channel = "game:42") {
  const seen = { heard: [], statuses: [] };
  seen.leave = enter(mesh, channel, (message) => { seen.heard.push(message.type); }, (status) => seen.statuses.push(status));
  return seen;
}

const last = ({ statuses }) => statuses.at(-1);

test("two parts of a page share a channel, and the last one leaves it", async () => {
  const world = new World();
  const mesh = await world.online();
  const [one, two] = [part(mesh), part(mesh)];
  assert.equal(world.socket.of("subscribe").length, 1);
  assert.deepEqual([last(one), last(two)], Array(2).fill({ joined: false, error: null }));
  world.socket.says({ type: "joined", channel: "game:42", id: world.socket.of("subscribe")[0].id });
  world.socket.says({ type: "move", channel: "game:42" });
  world.socket.says({ type: "move", channel: "game:43" });
  world.socket.says({ type: "resync", channel: "game:42", reason: "too old" });
  assert.deepEqual([last(one).joined, one.heard, two.heard], [true, ["move", "resync"], ["move", "resync"]]);
  one.leave();
  await settled();
  assert.deepEqual(world.socket.of("unsubscribe"), []);
  two.leave();
  two.leave();
  await settled();
  assert.deepEqual(world.socket.of("unsubscribe"), [{ type: "unsubscribe", channel: "game:42" }]);
  const again = part(mesh);
  assert.deepEqual([world.socket.of("subscribe").length, last(again).joined], [2, false]);
});

test("a part that comes late knows at once that the page is in", async () => {
  const world = new World();
  const mesh = await world.online();
  part(mesh);
  world.socket.says({ type: "joined", channel: "game:42" });
  assert.equal(last(part(mesh)).joined, true);
});

test("a part that is only made anew does not leave and come back", async () => {
  const world = new World();
  const mesh = await world.online();
  part(mesh).leave();
  part(mesh);
  await settled();
  assert.deepEqual(world.socket.sent.slice(1).map(({ type }) => type), ["subscribe"]);
});

test("a refusal and a later end are told", async () => {
  const world = new World();
  const mesh = await world.online();
  const one = part(mesh);
  world.socket.says({ type: "error", id: world.socket.of("subscribe")[0].id, msg: "No", code: "refused" });
  await settled();
  assert.deepEqual([last(one).joined, last(one).error.code], [false, "refused"]);
  const two = part(mesh, "game:7");
  world.socket.says({ type: "joined", channel: "game:7", id: world.socket.of("subscribe")[1].id });
  world.socket.says({ type: "left", channel: "game:7", reason: "the game is over" });
  assert.deepEqual([last(two).joined, last(two).error.reason], [false, "the game is over"]);
});

test("it stays in across a reconnect", async () => {
  const world = new World();
  const mesh = await world.online();
  const one = part(mesh);
  world.socket.says({ type: "joined", channel: "game:42", id: world.socket.of("subscribe")[0].id, offset: 4, grant: "g" });
  world.socket.ends(1006);
  await world.pass(600);
  await world.welcome({ channels: { "game:42": { recovered: true, offset: 4 } } });
  world.socket.says({ type: "move", channel: "game:42", offset: 5 });
  assert.deepEqual([last(one).joined, one.heard], [true, ["move"]]);
});

test("what is for another channel, or nobody's, gets no ack from a channel's listener", async () => {
  const world = new World();
  const mesh = await world.online();
  part(mesh);
  world.socket.says({ type: "your-turn", ack: "a1" });
  world.socket.says({ type: "your-turn", channel: "game:42", ack: "a2" });
  await settled();
  assert.deepEqual(world.socket.of("ack"), [{ type: "ack", ack: "a2" }]);
});

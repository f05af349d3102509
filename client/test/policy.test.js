import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { Backoff, isFinal, Positions } from "../policy.js";

test("the range of a close code says whether to come back", () => {
  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 4000, 4001, 4007, 4499]) assert.equal(isFinal(code), false, code);
  for (const code of [4500, 4501, 4504, 4999]) assert.equal(isFinal(code), true, code);
});

test("waits double to a ceiling, are never nothing, and spread over their whole length", () => {
  const slowest = new Backoff();
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 99].map(() => Math.round(slowest.next(1))),
    [1100, 2100, 4100, 8100, 16100, 30100, 30100, 30100]);
  assert.equal(new Backoff().next(0), 100);
});

test("what the server told is the least wait, is spread, and does not count as a try", () => {
  const backoff = new Backoff();
  assert.ok(backoff.next(0, 3.2) >= 3200);
  assert.ok(backoff.next(1, 3.2) > backoff.next(0, 3.2));
  assert.ok(backoff.next(0, 0) > 0, "a server that says 0 must not make a busy loop");
  assert.equal(backoff.next(1), 1100);
  assert.equal(backoff.next(1, "soon"), 2100, "nonsense is as good as nothing");
});

test("positions follow what was read, and tell what a welcome left out", () => {
  const positions = new Positions();
  assert.equal(positions.forLogin(), undefined);
  positions.note({ type: "joined", channel: "game:1", offset: 5, grant: "g" });
  positions.note({ type: "joined", channel: "plain" });
  positions.note({ type: "joined", channel: "gone" });
  positions.note({ type: "move", channel: "game:1", offset: 6 });
  positions.note({ type: "move", channel: "never joined", offset: 9 });
  assert.deepEqual(JSON.parse(JSON.stringify(positions.forLogin())),
    { "game:1": { offset: 6, grant: "g" }, plain: {}, gone: {} });
  const news = positions.welcome({
    "game:1": { recovered: true, offset: 6, grant: "newer" }, plain: { recovered: false, reason: "unknown position" },
  });
  assert.deepEqual(news, [
    { type: "resync", channel: "plain", reason: "unknown position" },
    { type: "left", channel: "gone", reason: "refused" },
  ]);
  assert.deepEqual(positions.forLogin()["game:1"], { offset: 6, grant: "newer" });
  assert.equal("gone" in positions.forLogin(), false);
});

test("what a channel has brought before is not news, until a resync says that the count is not to be trusted", () => {
  const positions = new Positions();
  positions.note({ type: "joined", channel: "game:1", offset: 5 });
  const news = (offset) => positions.note({ type: "move", channel: "game:1", offset });
  assert.deepEqual([5, 4, 7, 7, 6, 8].map(news), [false, false, true, false, false, true]);
  assert.equal(positions.note({ type: "presence", channel: "game:1" }), true);
  assert.equal(positions.forLogin()["game:1"].offset, 8);
  assert.equal(positions.note({ type: "resync", channel: "game:1", reason: "too old" }), true);
  assert.deepEqual([3, 3].map(news), [true, false]);
  assert.equal(positions.note({ type: "move", channel: "never joined", offset: 1 }), true);
  assert.equal(positions.note({ type: "clap" }), true);
});

test("a position that could not be recovered goes on from where the server says", () => {
  const positions = new Positions();
  positions.note({ type: "joined", channel: "game:1", offset: 5, grant: "g" });
  assert.deepEqual(positions.welcome({ "game:1": { recovered: false, reason: "too old", offset: 90 } }),
    [{ type: "resync", channel: "game:1", reason: "too old" }]);
  assert.deepEqual(positions.forLogin()["game:1"], { offset: 90, grant: "g" });
});

test("all that a page loads is at most 6 KB, gzipped as the gateway does it", () => {
  const files = ["mini-apps.js", "browser.js", "policy.js"];
  const served = (name) => gzipSync(read(name), { level: 6 }).length;
  const size = files.reduce((sum, name) => sum + served(name), 0);
  assert.ok(size <= 6 * 1024, `${size} bytes`);
  const imports = files.flatMap((name) => [...read(name).matchAll(/^import .* from "\.\/(.*)";$/gm)].map(([, file]) => file));
  assert.deepEqual(new Set(["mini-apps.js", ...imports]), new Set(files), "nothing else is loaded");
});

function read(name) {
  return readFileSync(new URL(`../${name}`, import.meta.url), "utf8");
}

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { Backoff, Heartbeat, isFinal, Positions } from "../policy.js";

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

test("a silent link is pinged after `ping` and dead after `ping + timeout`", () => {
  const heartbeat = new Heartbeat(25_000, 10_000, 0);
  assert.deepEqual(heartbeat.check(0), { act: "wait", again: 25_000 });
  assert.deepEqual(heartbeat.check(25_000), { act: "ping", again: 10_000 });
  assert.deepEqual(heartbeat.check(34_999), { act: "wait", again: 1 });
  assert.equal(heartbeat.check(35_000).act, "dead");
});

test("any word from the server keeps a link alive", () => {
  const heartbeat = new Heartbeat(25_000, 10_000, 0);
  heartbeat.check(25_000);
  heartbeat.heard(30_000);
  assert.deepEqual(heartbeat.check(35_000), { act: "wait", again: 20_000 });
});

test("a timer that a sleeping phone ran late asks once more before it believes the silence", () => {
  const heartbeat = new Heartbeat(25_000, 10_000, 0);
  heartbeat.check(25_000);
  assert.equal(heartbeat.check(600_000).act, "ping");
  assert.equal(heartbeat.check(610_000).act, "dead");
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
    "game:1": { recovered: true, offset: 8 }, plain: { recovered: false, reason: "unknown position" },
  });
  assert.deepEqual(news, [
    { type: "resync", channel: "plain", reason: "unknown position" },
    { type: "left", channel: "gone", reason: "refused" },
  ]);
  assert.equal(positions.forLogin()["game:1"].offset, 8);
  assert.equal("gone" in positions.forLogin(), false);
});

test("all that a page loads is at most 6 KB gzipped", () => {
  const files = ["mini-apps.js", "browser.js", "policy.js"];
  const size = files.reduce((sum, name) => sum + gzipSync(readFileSync(new URL(`../${name}`, import.meta.url))).length, 0);
  assert.ok(size <= 6 * 1024, `${size} bytes`);
  const listed = JSON.parse(readFileSync(new URL("../package.json", import.meta.url))).files;
  for (const name of files) assert.ok(listed.includes(name), name);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { launchData } from "../browser.js";

function memory(values = {}) {
  return () => ({ getItem: (key) => values[key] ?? null, setItem: (key, value) => (values[key] = value) });
}

const hash = "#tgWebAppData=user%3D%257B%257D%26hash%3Dff&tgWebAppVersion=6.7";

test("Telegram's script goes before the fragment, the fragment before what was kept", () => {
  const kept = memory({ "mini-apps.init-data ": "kept" });
  assert.equal(launchData("script", hash, kept, ""), "script");
  assert.equal(launchData("", hash, kept, ""), "user=%7B%7D&hash=ff");
  assert.equal(launchData(undefined, "", memory(), ""), "");
});

test("a reload without the fragment finds what was kept", () => {
  const storage = memory();
  launchData(undefined, hash, storage, "");
  assert.equal(launchData(undefined, "#/settings", storage, ""), "user=%7B%7D&hash=ff");
});

test("a launch without init data does not borrow an earlier one's", () => {
  const storage = memory({ "mini-apps.init-data ": "somebody" });
  assert.equal(launchData(undefined, "#tgWebAppData=&tgWebAppVersion=6.7", storage, ""), "");
});

test("two named frames of one tab keep apart", () => {
  const storage = memory();
  launchData(undefined, "#tgWebAppData=ada", storage, "phone-1");
  launchData(undefined, "#tgWebAppData=ben", storage, "phone-2");
  assert.equal(launchData(undefined, "", storage, "phone-1"), "ada");
  assert.equal(launchData(undefined, "", storage, "phone-2"), "ben");
});

test("a forbidden or full storage is no reason to fail", () => {
  const forbidden = () => { throw new Error("SecurityError"); };
  assert.equal(launchData(undefined, "#tgWebAppData=ada", forbidden, ""), "ada");
  assert.equal(launchData(undefined, "", forbidden, ""), "");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, launchData } from "../browser.js";

function memory(values = {}) {
  return () => ({ getItem: (key) => values[key] ?? null, setItem: (key, value) => (values[key] = value) });
}

const hash = "#tgWebAppData=user%3D%257B%257D%26hash%3Dff&tgWebAppVersion=6.7";

test("Telegram's script goes before the fragment, the fragment before what was kept", () => {
  const kept = memory({ "mini-apps.init-data ": "kept" });
  assert.equal(launchData("script", [hash], kept, ""), "script");
  assert.equal(launchData("", [hash], kept, ""), "user=%7B%7D&hash=ff");
  assert.equal(launchData(undefined, [""], memory(), ""), "");
});

test("a reload without the fragment finds what was kept", () => {
  const storage = memory();
  launchData(undefined, [hash], storage, "");
  assert.equal(launchData(undefined, ["#/settings"], storage, ""), "user=%7B%7D&hash=ff");
});

test("a launch without init data does not borrow an earlier one's", () => {
  const storage = memory({ "mini-apps.init-data ": "somebody" });
  assert.equal(launchData(undefined, ["#tgWebAppData=&tgWebAppVersion=6.7"], storage, ""), "");
});

test("two named frames of one tab keep apart", () => {
  const storage = memory();
  launchData(undefined, ["#tgWebAppData=ada"], storage, "phone-1");
  launchData(undefined, ["#tgWebAppData=ben"], storage, "phone-2");
  assert.equal(launchData(undefined, [""], storage, "phone-1"), "ada");
  assert.equal(launchData(undefined, [""], storage, "phone-2"), "ben");
});

test("a forbidden or full storage is no reason to fail", () => {
  const forbidden = () => { throw new Error("SecurityError"); };
  assert.equal(launchData(undefined, ["#tgWebAppData=ada"], forbidden, ""), "ada");
  assert.equal(launchData(undefined, [""], forbidden, ""), "");
});

test("the address may be a whole one, with a router's path and a query before the launch parameters", () => {
  const address = "https://apps.example/apps/counter/?page=1#/board?tgWebAppData=user%3D1%26hash%3Dff&tgWebAppVersion=8.0";
  assert.equal(launchData(undefined, [address], memory(), ""), "user=1&hash=ff");
  assert.equal(launchData(undefined, ["https://apps.example/apps/counter/#/board", address], memory(), ""), "user=1&hash=ff");
  assert.equal(launchData(undefined, ["https://apps.example/", undefined], memory(), ""), "");
});

test("what @tma.js kept is found, after what was kept here", () => {
  const values = { "tapps/launchParams": JSON.stringify("tgWebAppData=user%3D1%26hash%3Dff&tgWebAppPlatform=ios") };
  assert.equal(launchData(undefined, [""], memory(values), ""), "user=1&hash=ff");
  values["mini-apps.init-data "] = "ours";
  assert.equal(launchData(undefined, [""], memory(values), ""), "ours");
  assert.equal(launchData(undefined, [""], memory({ "tapps/launchParams": "{broken" }), ""), "");
});

test("a page wakes when it is seen, online, or shown again by Telegram, until it is told to stop", (t) => {
  const page = Object.assign(new EventTarget(), { hidden: false });
  const phone = new EventTarget();
  const telegram = new EventTarget();
  const globals = {
    document: page,
    addEventListener: phone.addEventListener.bind(phone),
    removeEventListener: phone.removeEventListener.bind(phone),
    Telegram: { WebApp: {
      onEvent: (type, call) => telegram.addEventListener(type, call),
      offEvent: (type, call) => telegram.removeEventListener(type, call),
    } },
  };
  Object.assign(globalThis, globals);
  t.after(() => Object.keys(globals).forEach((name) => delete globalThis[name]));
  const wakes = [];
  const stop = browser.onWake(() => wakes.push(1));
  const everything = () => {
    page.dispatchEvent(new Event("visibilitychange"));
    phone.dispatchEvent(new Event("online"));
    telegram.dispatchEvent(new Event("activated"));
  };
  everything();
  assert.equal(wakes.length, 3);
  page.hidden = true;
  page.dispatchEvent(new Event("visibilitychange"));
  assert.equal(wakes.length, 3);
  page.hidden = false;
  stop();
  everything();
  assert.equal(wakes.length, 3);
});

test("without Telegram's script a page wakes as well", (t) => {
  const nothing = () => {};
  Object.assign(globalThis, { document: new EventTarget(), addEventListener: nothing, removeEventListener: nothing });
  t.after(() => ["document", "addEventListener", "removeEventListener"].forEach((name) => delete globalThis[name]));
  browser.onWake(nothing)();
});

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { upload } from "../media.js";
import { settled, World } from "./world.js";

const GIF = new Blob(["GIF89a"], { type: "image/gif" }); // what no canvas touches
const PICTURE = { url: "/media/counter/1.gif", type: "image/gif", width: 1, height: 1, bytes: 6 };
let asked;
let answers;

beforeEach((t) => {
  asked = [];
  answers = [];
  globalThis.document = { baseURI: "http://gateway/apps/counter/page.html" };
  t.mock.method(globalThis, "fetch", async (url, { method, body, headers, signal }) => {
    asked.push({ url: url.href, method, body, bearer: headers.Authorization });
    signal?.throwIfAborted();
    const { status = 201, ...says } = answers.shift() ?? PICTURE;
    if (says.fails) throw new TypeError("Failed to fetch");
    return new Response(JSON.stringify(says), { status });
  });
});

test("a picture goes to the app's folder with the session, which stands in no address", async () => {
  const mesh = await new World().online({}, { session: "token-1" });
  assert.deepEqual(await upload(mesh, GIF), PICTURE);
  assert.deepEqual(asked, [{ url: "http://gateway/apps/counter/media", method: "POST", body: GIF, bearer: "Bearer token-1" }]);
  await upload(mesh, GIF, { gateway: "https://elsewhere/x" });
  assert.equal(asked[1].url, "https://elsewhere/apps/counter/media");
});

test("before the first login it waits for it", async () => {
  const world = new World();
  const mesh = await world.start();
  const uploading = upload(mesh, GIF);
  await settled();
  assert.deepEqual(asked, []);
  await world.welcome({ session: "token-1" });
  await uploading;
  assert.equal(asked[0].bearer, "Bearer token-1");
});

test("a refusal says why, with the status and when to come back", async () => {
  const mesh = await new World().online();
  answers = [{ status: 503, error: "busy", retry_after: 2 }, { status: 413, error: "too large" }, { fails: true }];
  await assert.rejects(upload(mesh, GIF), { name: "MeshError", code: 503, message: "busy", retryAfter: 2 });
  await assert.rejects(upload(mesh, GIF), { name: "MeshError", code: 413, message: "too large" });
  await assert.rejects(upload(mesh, GIF), { name: "MeshError", code: "unreachable" });
  await assert.rejects(upload(mesh, GIF, { signal: AbortSignal.abort() }), { name: "AbortError" });
});

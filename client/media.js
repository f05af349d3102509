// Sends a picture to the app's media folder; media.d.ts tells the rest.

import { Mesh, MeshError } from "./mini-apps.js";

const SIDE = 1600; // px
const QUALITY = 0.85;
const NO_SESSION = 401;

export async function upload(mesh, file, { side = SIDE, gateway = document.baseURI, signal } = {}) {
  await mesh.ready; // before the first login there is nothing to prove who this is
  const url = new URL(`/apps/${mesh.app}/media`, gateway);
  const body = side ? await shrink(file, side) : file;
  let answer = await post(url, body, mesh.session, signal);
  if (answer.status === NO_SESSION) answer = await post(url, body, await newSession(mesh), signal);
  const says = await answer.json().catch(() => ({}));
  if (answer.ok) return says;
  const error = new MeshError(says.error ?? `The gateway answered ${answer.status}`, answer.status);
  throw Object.assign(error, { retryAfter: says.retry_after });
}

export async function shrink(file, side = SIDE) {
  if (file.type === "image/gif") return file; // it may move
  const picture = await createImageBitmap(file).catch(() => {
    throw new MeshError("This is no picture that can be shown", "unreadable");
  });
  const scale = Math.min(1, side / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const kind = file.type === "image/jpeg" ? file.type : "image/webp"; // which keeps what is see-through
  return new Promise((done) => canvas.toBlob(done, kind, QUALITY));
}

async function post(url, body, session, signal) {
  const headers = { Authorization: `Bearer ${session}` };
  return fetch(url, { method: "POST", body, headers, signal }).catch((error) => {
    throw error.name === "AbortError" ? error : new MeshError("The gateway was not reached", "unreachable");
  });
}

/** Logs in once more beside the page's connection: its session may be older than sessions live. */
async function newSession(mesh) {
  const other = new Mesh({ ...mesh.options });
  try {
    await other.ready;
    return other.session;
  } finally {
    other.close();
  }
}

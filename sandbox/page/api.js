// The page API of the sandbox: requests and the stream of events.

const BASE = "api";

/** The sandbox refused, with a sentence for the person at the page. */
export class Refused extends Error {}

async function request(path, options) {
  let response;
  try {
    response = await fetch(`${BASE}/${path}`, options);
  } catch {
    throw new Refused("The sandbox does not answer.");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(body.error ?? `The sandbox answered ${response.status}.`);
  return body;
}

const get = (path) => request(path);
const post = (path, fields = {}) =>
  request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) });

export const loadState = () => get("state");
export const addUser = (fields) => post("users", fields);

/** What one user can do with one bot. */
export function chatApi(bot, user) {
  const base = `bots/${bot.id}/users/${user.id}`;
  return {
    load: () => get(`${base}/chat`),
    send: (text) => post(`${base}/messages`, { text }),
    press: (messageId, data) => post(`${base}/callback`, { message_id: messageId, data }),
    inline: (query, offset = "") => post(`${base}/inline`, { query, offset }),
    choose: (queryId, resultId) => post(`${base}/choose`, { query_id: queryId, result_id: resultId }),
    block: (blocked) => post(`${base}/block`, { blocked }),
    launch: (fields) => post(`${base}/launch`, fields),
    sendWebAppData: (buttonText, data) => post(`${base}/web_app_data`, { button_text: buttonText, data }),
  };
}

const KINDS = ["message", "edited", "deleted", "chat", "callback_answer", "inline_answer", "action", "user"];

/**
 * Follows what happens; the browser reconnects by itself.
 * @param {{open: () => void, lost: () => void, event: (kind: string, data: object) => void}} on
 *   `open` is called on every (re)connection: what was missed in between must be loaded anew.
 */
export function follow(on) {
  const source = new EventSource(`${BASE}/events`);
  source.addEventListener("hello", on.open);
  source.addEventListener("error", on.lost);
  for (const kind of KINDS) source.addEventListener(kind, (event) => on.event(kind, JSON.parse(event.data)));
  return source;
}

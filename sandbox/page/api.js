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

/** What is set on one bot. */
export function botApi(bot) {
  const base = `bots/${bot.id}`;
  return {
    groups: async () => (await get(`${base}/groups`)).groups,
    limits: (enabled) => post(`${base}/limits`, { enabled }),
    privacy: (enabled) => post(`${base}/privacy`, { enabled }),
    faults: async () => (await get(`${base}/faults`)).faults,
    addFault: async (fault) => (await post(`${base}/faults`, fault)).faults,
    clearFaults: async () => (await request(`${base}/faults`, { method: "DELETE" })).faults,
    counts: () => get(`${base}/counts`),
  };
}

/**
 * What one user can do with one bot, in the private chat or in a group.
 * @param {object} bot
 * @param {object} user
 * @param {number} chat id of the group; 0 for the private chat
 */
export function chatApi(bot, user, chat = 0) {
  const base = `bots/${bot.id}/users/${user.id}`;
  const act = (action, fields = {}) => post(`${base}/${action}`, chat ? { chat_id: chat, ...fields } : fields);
  return {
    load: () => get(`${base}/chat?chat_id=${chat}`),
    send: (text, replyTo) => act("messages", replyTo ? { text, reply_to: replyTo } : { text }),
    sendFile: (kind, file, caption) => {
      const query = new URLSearchParams({ kind, name: file.name, caption, chat_id: String(chat) });
      const headers = { "Content-Type": "application/octet-stream" };
      return request(`${base}/files?${query}`, { method: "POST", headers, body: file });
    },
    edit: (messageId, text) => act("edit", { message_id: messageId, text }),
    remove: (messageId) => act("delete", { message_id: messageId }),
    react: (messageId, emoji) => act("react", { message_id: messageId, emoji }),
    vote: (messageId, options) => act("vote", { message_id: messageId, options }),
    press: (messageId, data) => act("callback", { message_id: messageId, data }),
    inline: (query, offset = "") => act("inline", { query, offset }),
    choose: (queryId, resultId) => act("choose", { query_id: queryId, result_id: resultId }),
    block: (blocked) => act("block", { blocked }),
    launch: (fields) => act("launch", fields),
    invoice: (what) => act("invoice", what),
    pay: (what) => act("pay", what),
    share: (id) => act("share", { id }),
    allowWriting: () => act("write_access"),
    shareContact: () => act("contact"),
    shareLocation: () => act("location"),
    shareUsers: (buttonText, ids) => act("share_users", { button_text: buttonText, user_ids: ids }),
    shareChat: (buttonText, id) => act("share_chat", { button_text: buttonText, shared_chat_id: id }),
    sendWebAppData: (buttonText, data) => act("web_app_data", { button_text: buttonText, data }),
    join: (link) => act("join", { link }),
    newGroup: (fields) => act("groups", fields),
    setMember: (userId, status) => act("members", { user_id: userId, status }),
    upgrade: () => act("upgrade"),
  };
}

const KINDS = [
  "message", "edited", "deleted", "chat", "callback_answer", "inline_answer", "action", "checkout", "group", "reactions", "user",
];

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

/**
 * Follows what goes over the wires; a new connection brings again what is kept.
 * @param {{open: () => void, entries: (entries: object[], lost: number) => void}} on
 */
export function followTraffic(on) {
  const source = new EventSource(`${BASE}/traffic`);
  source.addEventListener("hello", on.open);
  source.addEventListener("traffic", (event) => {
    const { entries, lost } = JSON.parse(event.data);
    on.entries(entries, lost);
  });
  return source;
}

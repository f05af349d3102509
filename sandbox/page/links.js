// Reads Telegram links: those of this sandbox's bots open inside a phone.

const HOSTS = new Set(["t.me", "telegram.me", "telegram.dog"]);

/**
 * @param {string} url
 * @returns {null | {kind: "app"|"start"|"share"|"chat"|"invoice"|"join", link?: string, bot?: string, param?: string, text?: string, slug?: string}}
 */
export function readTelegramLink(url) {
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    return null;
  }
  if (parsed.protocol === "tg:") return readTgScheme(parsed);
  if (!HOSTS.has(parsed.hostname)) return null;
  const [first, second] = parsed.pathname.split("/").filter(Boolean);
  const query = parsed.searchParams;
  if (first === "share") return share(query);
  if (first?.startsWith("+")) return { kind: "join", link: url };
  if (first?.startsWith("$")) return { kind: "invoice", slug: first.slice(1) };
  if (first === "invoice" && second) return { kind: "invoice", slug: second };
  return bot(first, second, query);
}

function readTgScheme(parsed) {
  const query = parsed.searchParams;
  if (parsed.hostname === "msg_url" || parsed.hostname === "share") return share(query);
  return parsed.hostname === "resolve" ? bot(query.get("domain"), query.get("appname"), query) : null;
}

function share(query) {
  return { kind: "share", text: [query.get("url"), query.get("text")].filter(Boolean).join("\n") };
}

function bot(name, app, query) {
  if (!name) return null;
  if (app || query.has("startapp")) return { kind: "app", bot: name, param: query.get("startapp") ?? "" };
  if (query.has("start")) return { kind: "start", bot: name, param: query.get("start") };
  return { kind: "chat", bot: name };
}

// What the client needs of the world, so that tests can bring their own: timers, sockets, the gateway, who opened the page.

export const browser = {
  random: () => Math.random(),
  after: (ms, call) => setTimeout(call, ms),
  cancel: (timer) => clearTimeout(timer),
  open: (url, protocol) => new WebSocket(url, protocol),
  fetch: (url) => fetch(url, { cache: "no-store" }),
  base: () => document.baseURI,
  report: (error) => (globalThis.reportError ?? console.error)(error),

  initData() {
    const opened = performance.getEntriesByType("navigation")[0]?.name; // before a router changed it
    return launchData(globalThis.Telegram?.WebApp?.initData, [location.href, opened], () => sessionStorage, window.name);
  },

  /** Calls `wake` when a page that slept or was offline is back; returns how to stop that. */
  onWake(wake) {
    const seen = () => document.hidden || wake();
    const telegram = globalThis.Telegram?.WebApp;
    document.addEventListener("visibilitychange", seen);
    addEventListener("online", wake);
    telegram?.onEvent?.("activated", wake); // Telegram had made the page small
    return () => {
      document.removeEventListener("visibilitychange", seen);
      removeEventListener("online", wake);
      telegram?.offEvent?.("activated", wake);
    };
  },
};

/**
 * Finds the init data: in Telegram's script, or the address Telegram opened, or kept from there by us or by @tma.js.
 * Frames of one tab share a storage; their names keep them apart.
 */
export function launchData(telegram, addresses, storage, frame) {
  const key = "mini-apps.init-data " + frame;
  const read = (text) => new URLSearchParams(text?.replace(/[?#]/g, "&")).get("tgWebAppData") ?? undefined;
  let found = telegram || addresses.map(read).find((data) => data !== undefined);
  try {
    if (found) storage().setItem(key, found);
    found ??= storage().getItem(key) ?? read(JSON.parse(storage().getItem("tapps/launchParams")));
  } catch {} // storage is full or forbidden: then a reload needs the address
  return found ?? "";
}

/** Returns the address of a node, asked for anew each time: the last may be dead. The settings stay in `known`. */
export async function findNode(known, host) {
  if (known.url) return known.url;
  const base = new URL(known.settings ?? "./settings.json", host.base());
  const { app, negotiate, socket } = (known.found ??= await ask(base, host));
  known.app ??= app;
  if (!known.app) throw new Error("the settings name no app; give connect({ app })");
  if (!negotiate) return socket;
  const question = new URL(negotiate, base);
  question.searchParams.set("app", known.app);
  try {
    return (await ask(question, host)).url;
  } catch (error) {
    if (error.status || !socket) throw error;
    return socket; // the gateway is down, which is no reason for a node to be
  }
}

async function ask(url, host) {
  const response = await host.fetch(url.href);
  if (response.ok) return response.json();
  const { status } = response;
  const { error, retry_after: retryAfter } = await response.json().catch(() => ({}));
  throw Object.assign(new Error(error ?? `${url.pathname} answered ${status}`), { status, retryAfter });
}

// What the client needs of the browser, so that tests can bring a clock and a network of their own.

export const browser = {
  now: () => Date.now(), // unlike performance.now() it goes on while a phone sleeps
  random: () => Math.random(),
  after: (ms, call) => setTimeout(call, ms),
  cancel: (timer) => clearTimeout(timer),
  open: (url) => new WebSocket(url),
  fetch: (url) => fetch(url, { cache: "no-store" }),
  base: () => document.baseURI,
  initData: () => launchData(globalThis.Telegram?.WebApp?.initData, location.hash, () => sessionStorage, window.name),
  report: (error) => setTimeout(() => { throw error; }), // to window.onerror, as if nobody stood between

  /** Calls `wake` when a page that slept or was offline is back; returns how to stop that. */
  onWake(wake) {
    const seen = () => document.hidden || wake();
    document.addEventListener("visibilitychange", seen);
    addEventListener("online", wake);
    return () => {
      document.removeEventListener("visibilitychange", seen);
      removeEventListener("online", wake);
    };
  },
};

/**
 * Finds the init data: in Telegram's script, or the fragment Telegram opened the page with, or kept from there for when a
 * router takes the fragment away. Frames of one tab share a storage; their names keep them apart.
 */
export function launchData(telegram, hash, storage, frame) {
  const key = "mini-apps.init-data " + frame;
  const found = telegram || new URLSearchParams(hash.slice(1)).get("tgWebAppData");
  try {
    if (found) storage().setItem(key, found);
    return found ?? storage().getItem(key) ?? "";
  } catch {
    return found ?? ""; // storage is full or forbidden: then a reload needs the fragment
  }
}

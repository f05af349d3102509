// The little of Telegram that this page needs, without loading a script from elsewhere.
// Source: https://docs.telegram-mini-apps.com/platform/methods and /platform/events

const inFrame = window.parent !== window;
const inTelegram = inFrame || Boolean(window.TelegramWebviewProxy);

/** Takes over Telegram's colours, now and whenever they change (`repaint` is told), and the whole height of the screen. */
export function moveIn(repaint) {
  const launch = new URLSearchParams(location.hash.slice(1));
  paint(parse(launch.get("tgWebAppThemeParams")));
  addEventListener("message", ({ source, data }) => {
    const { eventType, eventData } = (source === window.parent && parse(data)) || {};
    if (eventType !== "theme_changed") return;
    paint(eventData?.theme_params);
    repaint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  tell("web_app_ready");
  tell("web_app_expand");
  tell("web_app_setup_swipe_behavior", { allow_vertical_swipe: false }); // a finger that moves the board would close it
}

/** Lets the phone answer: `light` for a pixel, `error` for none. */
export function buzz(kind) {
  const how = kind === "error" ? { type: "notification", notification_type: "error" } : { type: "impact", impact_style: kind };
  tell("web_app_trigger_haptic_feedback", how);
}

/** Offers a link to a friend: in Telegram by its own dialog, elsewhere by the clipboard. Resolves to what was done. */
export async function share(url, text) {
  if (inTelegram) {
    tell("web_app_open_tg_link", { path_full: `/share/url?${new URLSearchParams({ url, text })}` });
    return "";
  }
  try {
    await navigator.clipboard.writeText(url);
    return "The link to this place is copied";
  } catch {
    return url;
  }
}

function tell(eventType, eventData = {}) {
  if (window.TelegramWebviewProxy) window.TelegramWebviewProxy.postEvent(eventType, JSON.stringify(eventData));
  else if (inFrame) window.parent.postMessage(JSON.stringify({ eventType, eventData }), "*"); // nothing secret in it
}

function paint(params) {
  const root = document.documentElement;
  for (const [name, color] of Object.entries(params ?? {})) {
    if (/^\w+$/.test(name) && /^#[0-9a-f]{6}$/i.test(color)) {
      root.style.setProperty(`--tg-theme-${name.replaceAll("_", "-")}`, color);
    }
  }
  if (params?.bg_color) root.style.colorScheme = isDark(params.bg_color) ? "dark" : "light";
}

function isDark(color) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return red * 0.299 + green * 0.587 + blue * 0.114 < 128;
}

function parse(text) {
  try {
    return typeof text === "string" ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
